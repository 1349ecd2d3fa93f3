import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { LoopbackIssuer, makeKey } from '../../test/identity/issuer.ts';
import { identityMethods } from '../config/identity.ts';
import { SallyportError } from '../errors.ts';
import { type AuthenticatorDependencies, createAuthenticator } from './authenticator.ts';
import type { Caller } from './caller.ts';
import { upstreamName } from './upstream-name.ts';

const bearer = (token: string) => ({ rawHeaders: ['Authorization', `Bearer ${token}`], target: '/api' });
const refusedAs = (code: string) => (error: unknown) => error instanceof SallyportError && error.code === code;

async function issuerOf(t: TestContext): Promise<LoopbackIssuer> {
  const issuer = new LoopbackIssuer();
  issuer.keys.push(await makeKey('one'));
  await issuer.listen();
  t.after(() => issuer.close());
  return issuer;
}

const oidc = (issuer: LoopbackIssuer, more: object = {}) => ({
  issuer: issuer.url,
  audiences: ['sallyport'],
  insecureLoopbackHTTP: true,
  ...more,
});

function authenticatorOf(t: TestContext, options: object, dependencies: AuthenticatorDependencies = {}) {
  const authenticator = createAuthenticator(identityMethods.parse(options), dependencies);
  t.after(() => authenticator.close());
  return authenticator;
}

async function until(condition: () => boolean): Promise<void> {
  for (let round = 0; !condition(); round += 1) {
    if (round > 500) assert.fail('never came true');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

describe('the authenticator', () => {
  it('maps every claim that it is told to', async (t) => {
    const issuer = await issuerOf(t);
    const authenticator = authenticatorOf(t, {
      oidc: [
        oidc(issuer, {
          claimMappings: {
            username: { claim: 'email', prefix: 'idp:' },
            groups: { claim: 'https://idp.example/roles', prefix: 'idp:' },
            uid: { claim: 'sub' },
            agent: { claim: 'azp', prefix: 'app/' },
          },
        }),
      ],
    });
    const exp = Math.floor(Date.now() / 1_000) + 600;
    const token = await issuer.sign({
      email: 'alice@example.com',
      email_verified: true,
      'https://idp.example/roles': 'dev',
      azp: 'cursor',
      auth_time: 1_700_000_000,
      exp,
    });
    assert.deepEqual(await authenticator.authenticate(bearer(token)), {
      method: 'OIDC',
      issuer: issuer.url,
      username: 'idp:alice@example.com',
      uid: 'alice',
      groups: ['idp:dev'],
      serviceAccount: undefined,
      agent: 'app/cursor',
      onBehalfOf: undefined,
      session: undefined,
      expiresAt: exp * 1_000 + 30_000,
      authTime: 1_700_000_000,
    } satisfies Caller);
    const unverified = await issuer.sign({ email: 'alice@example.com', email_verified: false });
    await assert.rejects(authenticator.authenticate(bearer(unverified)), refusedAs('SP_NOT_AUTHENTICATED'));
  });

  it('gives the same caller object for the same token, so that names are computed once', async (t) => {
    const issuer = await issuerOf(t);
    const authenticator = authenticatorOf(t, { oidc: [oidc(issuer)] });
    const token = await issuer.sign();
    const first = await authenticator.authenticate(bearer(token));
    assert.equal(await authenticator.authenticate(bearer(token)), first);
    assert.equal(upstreamName(first), upstreamName(await authenticator.authenticate(bearer(token))));
  });

  it('refuses a remembered token at its end, as expired', async (t) => {
    const issuer = await issuerOf(t);
    let now = Date.now();
    const authenticator = authenticatorOf(t, { oidc: [oidc(issuer)] }, { now: () => now });
    const token = await issuer.sign();
    await authenticator.authenticate(bearer(token));
    now += 631_000;
    await assert.rejects(authenticator.authenticate(bearer(token)), refusedAs('SP_CREDENTIAL_EXPIRED'));
  });

  it('takes tokens of a new key at once, and drops remembered ones of a withdrawn key', async (t) => {
    const issuer = await issuerOf(t);
    let now = Date.now();
    const authenticator = authenticatorOf(t, { oidc: [oidc(issuer)] }, { now: () => now });
    const former = await issuer.sign();
    await authenticator.authenticate(bearer(former));
    issuer.keys.splice(0, 1, await makeKey('two'));
    now += 10_000;
    await authenticator.authenticate(bearer(await issuer.sign()));
    await assert.rejects(authenticator.authenticate(bearer(former)), refusedAs('SP_NOT_AUTHENTICATED'));
  });

  it('lets no issuer that is down or hangs hold up the others, and comes back by itself', async (t) => {
    const [good, hanging, down] = await Promise.all([issuerOf(t), issuerOf(t), issuerOf(t)]);
    hanging.takeOver = () => true;
    const downToken = await down.sign();
    const hangingToken = await hanging.sign();
    await down.close();
    const warned: object[] = [];
    const authenticator = authenticatorOf(
      t,
      {
        oidc: [good, hanging, down].map((issuer, index) =>
          oidc(issuer, { claimMappings: { username: { claim: 'sub', prefix: `i${index}:` } } }),
        ),
      },
      { log: { warn: (fields) => warned.push(fields), info: () => {} } },
    );
    const startedAt = performance.now();
    assert.equal((await authenticator.authenticate(bearer(await good.sign()))).username, 'i0:alice');
    assert.ok(performance.now() - startedAt < 4_000);
    await assert.rejects(authenticator.authenticate(bearer(downToken)), refusedAs('SP_IDENTITY_UNAVAILABLE'));
    const stuck = authenticator.authenticate(bearer(hangingToken)).catch((error: unknown) => error);
    assert.equal((await authenticator.authenticate(bearer(await good.sign({ jti: '2' })))).username, 'i0:alice');
    assert.ok(refusedAs('SP_IDENTITY_UNAVAILABLE')(await stuck));
    await until(() => authenticator.ready().ready);
    const states = authenticator.ready().issuers;
    assert.deepEqual(
      states.map(({ usable }) => usable),
      [true, false, false],
    );
    assert.equal(warned.length, 2);
  });

  it('is ready when a method works, and not before every issuer was asked', async (t) => {
    const issuer = await issuerOf(t);
    const authenticator = authenticatorOf(t, { oidc: [oidc(issuer)] });
    assert.equal(authenticator.ready().ready, false);
    await until(() => authenticator.ready().ready);
    assert.equal(authenticatorOf(t, {}).ready().ready, false, 'without any method nobody can come in');
  });

  it('takes keys from a file', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'sallyport-keys-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const jwksFile = join(folder, 'jwks.json');
    const issuer = new LoopbackIssuer();
    issuer.url = 'https://cluster-b.invalid';
    issuer.keys.push(await makeKey('one'));
    writeFileSync(jwksFile, JSON.stringify({ keys: issuer.keys.map(({ jwk }) => jwk) }));
    let now = Date.now();
    const authenticator = authenticatorOf(
      t,
      { oidc: [{ issuer: issuer.url, audiences: ['sallyport'], jwksFile }] },
      { now: () => now },
    );
    assert.equal((await authenticator.authenticate(bearer(await issuer.sign()))).username, 'alice');
    issuer.keys.push(await makeKey('two'));
    writeFileSync(jwksFile, JSON.stringify({ keys: issuer.keys.map(({ jwk }) => jwk) }));
    now += 10_000;
    assert.equal((await authenticator.authenticate(bearer(await issuer.sign()))).username, 'alice');
  });

  it('asks the API server about no token of a configured issuer, and no issuer about its own', async (t) => {
    const issuer = await issuerOf(t);
    const reviewed: string[] = [];
    const authenticator = authenticatorOf(
      t,
      { oidc: [oidc(issuer)], tokenReview: {} },
      {
        reviewToken: async (token) => {
          reviewed.push(token);
          return {
            authenticated: true,
            audiences: ['sallyport'],
            user: { username: 'system:serviceaccount:ci:deployer' },
          };
        },
      },
    );
    await assert.rejects(authenticator.authenticate(bearer(await issuer.sign({}, {}, await makeKey('one')))));
    assert.equal(reviewed.length, 0, 'a refused OIDC token is not tried elsewhere');
    const account = await issuer.sign({ iss: 'https://kubernetes.default.svc' });
    assert.equal((await authenticator.authenticate(bearer(account))).username, 'system:serviceaccount:ci:deployer');
    await authenticator.authenticate(bearer(account));
    assert.deepEqual(reviewed, [account]);
    await assert.rejects(authenticator.authenticate(bearer('opaque')), refusedAs('SP_NOT_AUTHENTICATED'));
    assert.equal(reviewed.length, 1, 'a ServiceAccount token is always a JWT');
  });

  it('needs an API server where TokenReview is configured', () => {
    assert.throws(() => createAuthenticator(identityMethods.parse({ tokenReview: {} }), {}), /no API server/);
  });
});

describe('agent sessions', () => {
  const session: Caller = {
    method: 'AgentSession',
    issuer: 'https://idp.example',
    username: 'alice',
    uid: '',
    groups: ['dev'],
    serviceAccount: undefined,
    agent: 'cursor',
    onBehalfOf: 'alice',
    session: 'cursor-x1',
    expiresAt: Number.POSITIVE_INFINITY,
    authTime: undefined,
  };

  it('are judged by their own verifier, on every request', async (t) => {
    let verdict: () => Caller = () => session;
    let asked = 0;
    const authenticator = authenticatorOf(
      t,
      {},
      {
        sessions: {
          claims: (token) => token.startsWith('session'),
          verify: async () => {
            asked += 1;
            return verdict();
          },
        },
      },
    );
    const first = await authenticator.authenticate(bearer('session.x.y'));
    assert.deepEqual(first, session);
    assert.equal(await authenticator.authenticate(bearer('session.x.y')), first);
    assert.equal(asked, 2);
    const verdicts: [() => Caller, string, string][] = [
      [
        () => {
          throw new SallyportError('SP_NOT_AUTHENTICATED', 'revoked yesterday', { cause: new Error('revoked') });
        },
        'SP_NOT_AUTHENTICATED',
        'the credential was not accepted',
      ],
      [
        () => {
          throw new SallyportError('SP_CREDENTIAL_EXPIRED', 'session over');
        },
        'SP_CREDENTIAL_EXPIRED',
        'the credential has expired: sign in again',
      ],
      [
        () => {
          throw new TypeError('session.x.y');
        },
        'SP_NOT_AUTHENTICATED',
        'the credential was not accepted',
      ],
      [() => ({ ...session, username: 'system:admin' }), 'SP_NOT_AUTHENTICATED', 'the credential was not accepted'],
    ];
    for (const [next, code, message] of verdicts) {
      verdict = next;
      await assert.rejects(authenticator.authenticate(bearer('session.x.y')), (error: SallyportError) => {
        assert.equal(error.code, code);
        assert.equal(error.message, message);
        assert.ok(!String(error.cause).includes('session.x.y'));
        return true;
      });
    }
  });
});
