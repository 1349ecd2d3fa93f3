import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { MemorySecrets, MemorySessions, person, replica } from '../../test/sessions/memory.ts';
import { SallyportError } from '../errors.ts';

const clock = { now: Date.parse('2026-03-01T12:00:00Z') };

function room(changes: { audience?: string; installation?: string; secrets?: MemorySecrets } = {}) {
  const store = new MemorySessions(() => clock.now);
  const made = replica({ secrets: changes.secrets ?? new MemorySecrets(), store, clock, ...changes });
  store.watchers.push(made.registry);
  return { ...made, store };
}

test('a session token makes the person plus agent and onBehalfOf', async () => {
  const { exchange, authenticator } = room();
  const alice = person({ authTime: clock.now / 1_000 - 60 });
  const { token, name } = await exchange.issue(alice, 'cursor', 600);
  assert.ok(authenticator.claims(token));
  assert.deepEqual(await authenticator.authenticate(token), {
    ...alice,
    method: 'AgentSession',
    groups: ['ai-agents', 'developers'],
    agent: 'cursor',
    onBehalfOf: 'alice@example.com',
    session: name,
    expiresAt: clock.now + 600_000,
  });
});

test('bad tokens: 401 with one constant message per class', async () => {
  const secrets = new MemorySecrets();
  const { exchange, authenticator, keys, registry, store } = room({ secrets });
  const { token, name } = await exchange.issue(person(), 'cursor', undefined);
  const [header, payload, signature] = token.split('.') as [string, string, string];
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Record<string, unknown>;
  const { kid, key } = await keys.signingKey();
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const good = { alg: 'ES256', typ: 'sallyport-session+jwt', kid };
  const sign = (body: Record<string, unknown>, head: object = good, by = key) =>
    new SignJWT(body).setProtectedHeader(head as { alg: string }).sign(by);
  const strange = await generateKeyPair('ES256');
  const rsa = await generateKeyPair('RS256');
  const stored = JSON.parse(secrets.secrets.get('keys')!.data['keys.json']!) as { keys: { jwk: object }[] };
  const hmac = (head: object, secret: string) => {
    const input = `${encode(head)}.${payload}`;
    return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
  };
  const without = (claim: string) => Object.fromEntries(Object.entries(claims).filter(([key]) => key !== claim));

  const refused: Record<string, string> = {
    'alg none': `${encode({ ...good, alg: 'none' })}.${payload}.`,
    'alg None': `${encode({ ...good, alg: 'None' })}.${payload}.`,
    'alg none, signature kept': `${encode({ ...good, alg: 'none' })}.${payload}.${signature}`,
    'no signature': `${header}.${payload}.`,
    'signature of another token': `${header}.${encode({ ...claims, sub: 'bob' })}.${signature}`,
    'HS256 with the public key as secret': hmac({ ...good, alg: 'HS256' }, JSON.stringify(stored.keys[0]!.jwk)),
    'RS256 of its own key': await sign(claims, { ...good, alg: 'RS256' }, rsa.privateKey),
    'another key under our kid': await sign(claims, good, strange.privateKey),
    'another key with its own jwk in the header': await sign(
      claims,
      { ...good, jwk: await exportJWK(strange.publicKey) },
      strange.privateKey,
    ),
    'an unknown kid': await sign(claims, { ...good, kid: 'other' }),
    'no kid': await sign(claims, { alg: good.alg, typ: good.typ }),
    'another typ': await sign(claims, { ...good, typ: 'JWT' }),
    'at+jwt': await sign(claims, { ...good, typ: 'at+jwt' }),
    'no typ': await sign(claims, { alg: good.alg, kid }),
    'an unknown crit': await sign(claims, { ...good, typ: good.typ, crit: ['x'], x: 1 }).catch(() => 'a.b.c'),
    'another audience': await sign({ ...claims, aud: 'https://kubernetes.default.svc' }),
    'two audiences': await sign({ ...claims, aud: ['sallyport', 'other'] }),
    'another issuer': await sign({ ...claims, iss: 'https://login.example' }),
    'another installation': await sign({ ...claims, iss: 'urn:sallyport:session:there' }),
    'no exp': await sign(without('exp')),
    'no sub': await sign(without('sub')),
    'no jti': await sign(without('jti')),
    'no agent': await sign(without('agent')),
    'no groups': await sign(without('groups')),
    'someone else behind it': await sign({ ...claims, on_behalf_of: 'bob' }),
    'a name with white space': await sign({ ...claims, sub: 'alice ', on_behalf_of: 'alice ' }),
    'an empty name': await sign({ ...claims, sub: '', on_behalf_of: '' }),
    'a reserved group': await sign({ ...claims, groups: ['system:masters'] }),
    'a session that does not exist': await sign({ ...claims, jti: 'cursor-none' }),
    'a session made anew under the name': await sign({ ...claims, session_uid: crypto.randomUUID() }),
    'a group more than the session was given': await sign({ ...claims, groups: ['admins', 'ai-agents', 'developers'] }),
    'a group less': await sign({ ...claims, groups: ['ai-agents'] }),
    'a longer life than the session': await sign({ ...claims, exp: (claims['exp'] as number) + 1 }),
    'another uid of the person': await sign({ ...claims, person_uid: 'u-2' }),
    'a sign-in that was not': await sign({ ...claims, auth_time: clock.now / 1_000 }),
    'another issuer of the person': await sign({ ...claims, person_iss: 'https://other' }),
    'another agent than the session was for': await sign({ ...claims, agent: 'brief' }),
    'another person than the session was for': await sign({ ...claims, sub: 'bob', on_behalf_of: 'bob' }),
    empty: '',
    'two tokens': `${token},${token}`,
    oversized: `${header}.${'a'.repeat(20_000)}.${signature}`,
    'not a token': 'hello',
  };
  for (const [what, bad] of Object.entries(refused)) {
    await assert.rejects(authenticator.authenticate(bad), (error: SallyportError) => {
      assert.ok(error instanceof SallyportError, `${what}: ${String(error)}`);
      assert.equal(error.code, 'SP_NOT_AUTHENTICATED', what);
      assert.equal(error.message, 'the credential was not accepted', what);
      assert.ok(error.cause instanceof Error, what);
      return true;
    });
  }
  // The way the bad ones are made makes good ones too: none of the above is refused for being made by hand.
  assert.equal((await authenticator.authenticate(await sign(claims))).session, name);

  const expired = await sign({ ...claims, exp: clock.now / 1_000 });
  await assert.rejects(authenticator.authenticate(expired), { code: 'SP_CREDENTIAL_EXPIRED' });
  // Only what was ours can be expired; a forgery is a forgery.
  const forgedExpired = await sign({ ...claims, exp: 1 }, good, strange.privateKey);
  await assert.rejects(authenticator.authenticate(forgedExpired), { code: 'SP_NOT_AUTHENTICATED' });

  await authenticator.authenticate(token);
  await store.patchStatus(name, { revoked: true });
  await assert.rejects(authenticator.authenticate(token), { code: 'SP_NOT_AUTHENTICATED' });
  registry.applySession({ ...store.objects.get(name)!.session, status: {} });
  await assert.rejects(authenticator.authenticate(token), { code: 'SP_NOT_AUTHENTICATED' }, 'revoked is for good');
});

test('a token expires out of the cache too, to the millisecond', async () => {
  const { exchange, authenticator } = room();
  const { token } = await exchange.issue(person(), 'cursor', 60);
  const start = clock.now;
  clock.now = start + 59_999;
  await authenticator.authenticate(token);
  clock.now = start + 60_000;
  await assert.rejects(authenticator.authenticate(token), { code: 'SP_CREDENTIAL_EXPIRED' });
  clock.now = start;
});

test('another gateway with the same keys, or another audience, does not accept it', async () => {
  const secrets = new MemorySecrets();
  const here = room({ secrets });
  const { token } = await here.exchange.issue(person(), 'cursor', undefined);
  for (const other of [room({ secrets, installation: 'there' }), room({ secrets, audience: 'another' })]) {
    await assert.rejects(other.tokens.verify(token), { code: 'SP_NOT_AUTHENTICATED' });
  }
  assert.ok(await room({ secrets }).tokens.verify(token));
});

test('a key that is gone from the Secret ends even what was verified and remembered', async () => {
  const secrets = new MemorySecrets();
  const { exchange, authenticator, keys } = room({ secrets });
  const { token } = await exchange.issue(person(), 'cursor', undefined);
  await authenticator.authenticate(token);
  secrets.secrets.clear();
  clock.now += 60_000;
  await keys.refresh();
  await assert.rejects(authenticator.authenticate(token), { code: 'SP_NOT_AUTHENTICATED' });
});

test('only tokens that call themselves sessions are claimed', () => {
  const { tokens } = room();
  const token = (head: object) => `${Buffer.from(JSON.stringify(head)).toString('base64url')}.e30.x`;
  assert.ok(tokens.claims(token({ typ: 'sallyport-session+jwt' })));
  assert.ok(tokens.claims(token({ typ: 'application/Sallyport-Session+JWT' })));
  for (const other of [
    '',
    '.',
    'x',
    'opaque',
    token({ typ: 'JWT' }),
    token({}),
    'bnVsbA.e30.x',
    `${'a'.repeat(5_000)}.b.c`,
  ]) {
    assert.equal(tokens.claims(other), false, other.slice(0, 20));
  }
});
