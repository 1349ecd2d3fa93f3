import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { configuration, MemorySecrets, MemorySessions, person, replica } from '../../test/sessions/memory.ts';
import type { Caller } from './caller.ts';
import { SessionRefused } from './session-exchange.ts';

function room(changes: object = {}) {
  const clock = { now: Date.parse('2026-03-01T12:00:00Z') };
  const secrets = new MemorySecrets();
  const store = new MemorySessions(() => clock.now);
  const made = replica({ secrets, store, clock, configuration: configuration(changes) });
  store.watchers.push(made.registry);
  return { ...made, store, secrets, clock };
}

function refusedAs(oauth: SessionRefused['oauth']) {
  return (error: unknown) => {
    assert.ok(error instanceof SessionRefused, String(error));
    assert.equal(error.code, 'SP_SESSION_REFUSED');
    assert.equal(error.oauth, oauth);
    return true;
  };
}

test('who may take a session', async () => {
  const account = person({
    method: 'TokenReview',
    issuer: 'kubernetes',
    username: 'system:serviceaccount:ci:deployer',
    groups: ['system:serviceaccounts'],
    serviceAccount: { namespace: 'ci', name: 'deployer' },
  });
  const refused: Record<string, Caller> = {
    'an agent session': person({ method: 'AgentSession', agent: 'cursor', session: 'cursor-1' }),
    'an OIDC token that names an agent': person({ agent: 'cursor' }),
    'a ServiceAccount': account,
    'an OIDC token of a ServiceAccount': person({ serviceAccount: { namespace: 'ci', name: 'deployer' } }),
  };
  const { exchange, store } = room();
  for (const [what, caller] of Object.entries(refused)) {
    await assert.rejects(exchange.issue(caller, 'cursor', undefined), refusedAs('access_denied'), what);
    assert.throws(() => exchange.list(caller), refusedAs('access_denied'), what);
  }
  assert.equal(store.writes, 0);
  await exchange.issue(person({ method: 'ClientCertificate', issuer: 'x509' }), 'cursor', undefined);
  const open = room({ allowServiceAccounts: true });
  const { token } = await open.exchange.issue(account, 'cursor', undefined);
  assert.deepEqual((await open.authenticator.authenticate(token)).serviceAccount, account.serviceAccount);
  await assert.rejects(
    open.exchange.issue(refused['an agent session']!, 'cursor', undefined),
    refusedAs('access_denied'),
  );

  const only = room({ issuers: ['https://login.example'] });
  await only.exchange.issue(person(), 'cursor', undefined);
  await assert.rejects(
    only.exchange.issue(person({ issuer: 'https://ci' }), 'cursor', undefined),
    refusedAs('access_denied'),
  );
});

test('an agent that is not configured is refused', async () => {
  const { exchange, store } = room();
  for (const agent of ['other', '', 'CURSOR', 'cursor ', '*', '__proto__']) {
    await assert.rejects(exchange.issue(person(), agent, undefined), refusedAs('invalid_target'), agent);
  }
  assert.equal(store.writes, 0);
});

test('how long a session lasts: never beyond any of its bounds', async () => {
  const { exchange, clock } = room({ maxTTL: '8h', maxSignInAge: '10h' });
  const lasts = async (caller: Caller, agent: string, ttl?: number) =>
    ((await exchange.issue(caller, agent, ttl)).expiresAt - clock.now) / 1_000;
  const seconds = clock.now / 1_000;
  assert.equal(await lasts(person(), 'cursor'), 3_600);
  assert.equal(await lasts(person(), 'cursor', 60), 60);
  assert.equal(await lasts(person(), 'cursor', 9_999_999), 8 * 3_600, 'the gateway’s bound');
  assert.equal(await lasts(person(), 'brief', 3_600), 300, 'the agent’s bound');
  assert.equal(await lasts(person({ expiresAt: clock.now + 5_000 }), 'cursor'), 3_600, 'an ID token is only the proof');
  const certificate = person({ method: 'ClientCertificate', expiresAt: clock.now + 90_000 });
  assert.equal(await lasts(certificate, 'cursor'), 90, 'the certificate’s end');
  assert.equal(await lasts(person({ authTime: seconds - 9.5 * 3_600 }), 'cursor'), 1_800, 'the sign-in’s age');
  const stale = person({ authTime: seconds - 10 * 3_600 });
  await assert.rejects(exchange.issue(stale, 'cursor', undefined), refusedAs('insufficient_user_authentication'));
});

test('groups: the agent’s and the person’s, or the agent’s alone; too many are refused, not cut', async () => {
  const many = person({ groups: Array.from({ length: 300 }, (_, index) => `g${index}`) });
  const long = person({ groups: Array.from({ length: 40 }, (_, index) => `${index}`.padEnd(200, 'x')) });
  const { exchange, authenticator } = room();
  const { token } = await exchange.issue(person({ groups: ['a', 'ai-agents', 'b'] }), 'cursor', undefined);
  assert.deepEqual((await authenticator.authenticate(token)).groups, ['ai-agents', 'a', 'b']);
  await assert.rejects(exchange.issue(many, 'cursor', undefined), refusedAs('access_denied'));
  await assert.rejects(exchange.issue(long, 'cursor', undefined), refusedAs('access_denied'));
  const bare = room({ inheritGroups: false });
  const own = await bare.exchange.issue(many, 'cursor', undefined);
  assert.deepEqual((await bare.authenticator.authenticate(own.token)).groups, ['ai-agents']);
});

test('the cap counts live sessions of one person only', async () => {
  const { exchange, clock, store } = room({ maxPerPerson: 2 });
  const first = await exchange.issue(person(), 'cursor', 60);
  const second = await exchange.issue(person(), 'brief', 120);
  const writes = store.writes;
  await assert.rejects(exchange.issue(person(), 'cursor', undefined), refusedAs('access_denied'));
  assert.equal(store.writes, writes, 'refused before anything is written');
  await exchange.issue(person({ username: 'bob' }), 'cursor', undefined);
  await exchange.issue(person({ issuer: 'https://other' }), 'cursor', undefined);
  clock.now += 60_000;
  await exchange.issue(person(), 'cursor', undefined);
  await assert.rejects(exchange.issue(person(), 'cursor', undefined), refusedAs('access_denied'));
  assert.ok(await exchange.revoke(person(), second.name));
  const fresh = person({ authTime: clock.now / 1_000 + 1 });
  await exchange.issue(fresh, 'cursor', undefined);
  assert.ok(!exchange.list(person()).some((session) => session.name === first.name));
});

test('three replicas whose watches lag never pass the cap together', async () => {
  const clock = { now: Date.now() };
  const secrets = new MemorySecrets();
  const store = new MemorySessions(() => clock.now);
  const create = store.create.bind(store);
  store.create = async (...args) => {
    await sleep(Math.random() * 5);
    return create(...args);
  };
  const config = configuration({ maxPerPerson: 5 });
  const list = [1, 2, 3].map(() => replica({ secrets, store, clock, configuration: config }));
  const results = await Promise.allSettled(
    Array.from({ length: 30 }, (_, index) => list[index % 3]!.exchange.issue(person(), 'cursor', undefined)),
  );
  const made = results.filter((result) => result.status === 'fulfilled').length;
  assert.ok(made >= 1 && made <= 5, `${made} sessions`);
  for (const result of results) if (result.status === 'rejected') refusedAs('access_denied')(result.reason);
  assert.equal(store.objects.size, made, 'what was refused is gone again');
});

test('after a revocation only a later sign-in gets another session of that agent', async () => {
  const { exchange, clock } = room();
  const seconds = clock.now / 1_000;
  const { name } = await exchange.issue(person({ authTime: seconds - 100 }), 'cursor', 3_600);
  clock.now += 10_000;
  await exchange.revoke(person(), name);
  clock.now += 10_000;
  const stored = refusedAs('insufficient_user_authentication');
  await assert.rejects(exchange.issue(person({ authTime: seconds - 100 }), 'cursor', undefined), stored);
  await assert.rejects(exchange.issue(person({ authTime: seconds + 9 }), 'cursor', undefined), stored);
  await assert.rejects(exchange.issue(person(), 'cursor', undefined), stored, 'an issuer that does not say when');
  await exchange.issue(person({ authTime: seconds - 100 }), 'brief', undefined);
  await exchange.issue(person({ authTime: seconds + 10 }), 'cursor', undefined);
  clock.now += 3_600_000;
  await exchange.issue(person(), 'cursor', undefined);
});

test('a person sees and ends their own sessions, an agent session itself only', async () => {
  const { exchange, authenticator } = room();
  const mine = await exchange.issue(person(), 'cursor', undefined);
  const other = await exchange.issue(person(), 'brief', undefined);
  const bob = person({ username: 'bob' });
  const theirs = await exchange.issue(bob, 'cursor', undefined);
  assert.deepEqual(new Set(exchange.list(person()).map((session) => session.name)), new Set([mine.name, other.name]));
  assert.equal(await exchange.revoke(bob, mine.name), false);
  assert.equal(await exchange.revoke(person(), 'cursor-none'), false);
  const agent = await authenticator.authenticate(mine.token);
  assert.equal(await exchange.find(agent, other.name), undefined);
  assert.equal(await exchange.revoke(agent, other.name), false);
  assert.equal(await exchange.revoke(agent, theirs.name), false);
  assert.ok(await exchange.revoke(agent, mine.name));
  await assert.rejects(authenticator.authenticate(mine.token), { code: 'SP_NOT_AUTHENTICATED' });
  await authenticator.authenticate(other.token);
  await authenticator.authenticate(theirs.token);
});

test('names that no caller may have get no session', async () => {
  const { exchange, store } = room();
  for (const changes of [
    { username: 'system:admin' },
    { groups: ['system:masters'] },
    { username: 'alice ' },
    { uid: ' ' },
  ]) {
    await assert.rejects(exchange.issue(person(changes), 'cursor', undefined), refusedAs('access_denied'));
  }
  assert.equal(store.writes, 0);
});
