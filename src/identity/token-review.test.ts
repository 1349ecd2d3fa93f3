import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LoopbackIssuer, makeKey } from '../../test/identity/issuer.ts';
import { identityMethods } from '../config/identity.ts';
import { SallyportError } from '../errors.ts';
import { ClusterSignature } from './cluster-signature.ts';
import { KeySet } from './jwks.ts';
import { tokenDigest } from './token-cache.ts';
import { type ReviewToken, TokenReviewer, type TokenReviewStatus } from './token-review.ts';
import { readUnverified } from './unverified.ts';

const YES: TokenReviewStatus = {
  authenticated: true,
  audiences: ['sallyport'],
  user: {
    username: 'system:serviceaccount:ci:deployer',
    uid: 'u1',
    groups: ['system:serviceaccounts', 'system:serviceaccounts:ci', 'system:authenticated'],
  },
};
const claims = { iss: 'https://kubernetes.default.svc', aud: ['sallyport'], exp: undefined };

function reviewer(review: ReviewToken, options: object = {}) {
  const state = { now: 1_000_000, asked: 0 };
  const { tokenReview } = identityMethods.parse({ tokenReview: options });
  const instance = new TokenReviewer(
    tokenReview!,
    (...input) => {
      state.asked += 1;
      return review(...input);
    },
    () => state.now,
  );
  const verify = (token = 'token', aud: unknown = claims.aud, exp?: unknown) =>
    instance.verify(token, tokenDigest(token), { ...claims, aud: aud ?? undefined, exp });
  return { state, verify };
}

const refusedAs = (code: string) => (error: unknown) => error instanceof SallyportError && error.code === code;

describe('a TokenReview', () => {
  it('names the ServiceAccount', async () => {
    const asked: unknown[] = [];
    const { verify, state } = reviewer(async (token, audiences) => {
      asked.push([token, audiences]);
      return YES;
    });
    const caller = await verify('token', ['sallyport'], state.now / 1_000 + 3_600);
    assert.equal(caller.username, 'system:serviceaccount:ci:deployer');
    assert.deepEqual(caller.serviceAccount, { namespace: 'ci', name: 'deployer' });
    assert.equal(caller.issuer, 'kubernetes');
    assert.equal(caller.uid, 'u1');
    assert.equal(caller.expiresAt, state.now + 3_600_000);
    assert.deepEqual(asked, [['token', ['sallyport']]]);
  });

  const noes: [string, unknown][] = [
    ['nothing', undefined],
    ['an empty status', {}],
    ['authenticated missing', { ...YES, authenticated: undefined }],
    ['authenticated false', { ...YES, authenticated: false }],
    ['authenticated as a text', { ...YES, authenticated: 'true' }],
    ['authenticated as a number', { ...YES, authenticated: 1 }],
    ['an error beside the yes', { ...YES, error: 'expired' }],
    ['no audiences', { ...YES, audiences: undefined }],
    ['other audiences', { ...YES, audiences: ['https://kubernetes.default.svc'] }],
    ['no user', { ...YES, user: undefined }],
    ['a person', { ...YES, user: { username: 'alice', groups: [] } }],
    ['a node', { ...YES, user: { username: 'system:node:one', groups: [] } }],
    ['an odd account', { ...YES, user: { username: 'system:serviceaccount:ci:a:b' } }],
    ['masters', { ...YES, user: { ...YES.user, groups: ['system:masters'] } }],
    ['an empty group', { ...YES, user: { ...YES.user, groups: [''] } }],
  ];
  for (const [what, status] of noes) {
    it(`is a no with ${what}`, async () => {
      const { verify } = reviewer(async () => status as TokenReviewStatus);
      await assert.rejects(verify(), refusedAs('SP_NOT_AUTHENTICATED'));
    });
  }

  for (const [what, aud] of [
    ['the API server’s audience only', ['https://kubernetes.default.svc']],
    ['the API server’s audience beside the gateway’s', ['sallyport', 'https://kubernetes.default.svc']],
    ['any second audience', ['sallyport', 'vault']],
    ['no audience (a legacy Secret token)', null],
    ['an empty list', []],
    ['an odd list', [['sallyport']]],
  ] as const) {
    it(`is not even asked for a token with ${what}`, async () => {
      const { verify, state } = reviewer(async () => YES);
      await assert.rejects(verify('token', aud), refusedAs('SP_NOT_AUTHENTICATED'));
      assert.equal(state.asked, 0);
    });
  }

  it('is asked once for parallel requests, and again after the cache time, counted from the question', async () => {
    let status = YES;
    const { verify, state } = reviewer(async () => {
      await new Promise((resolve) => setImmediate(resolve));
      return status;
    });
    await Promise.all(Array.from({ length: 30 }, () => verify()));
    assert.equal(state.asked, 1);
    status = { authenticated: false };
    state.now += 9_999;
    await verify();
    state.now += 1;
    await assert.rejects(verify(), refusedAs('SP_NOT_AUTHENTICATED'));
    assert.equal(state.asked, 2);
  });

  it('never outlives the token in the cache', async () => {
    const { verify, state } = reviewer(async () => YES);
    await verify('token', ['sallyport'], state.now / 1_000 + 2);
    state.now += 2_000;
    await verify('token', ['sallyport'], state.now / 1_000);
    assert.equal(state.asked, 2);
  });

  it('fails closed when the API server does not answer, without remembering it and without the token in the error', async () => {
    let fail = true;
    const { verify } = reviewer(async (token) => {
      if (fail) throw new Error(`POST tokenreviews {"token":"${token}"}: connection refused`);
      return YES;
    });
    await assert.rejects(verify('hush-hush'), (error: SallyportError) => {
      assert.equal(error.code, 'SP_IDENTITY_UNAVAILABLE');
      assert.equal(error.status, 503);
      assert.ok(!`${error.stack}${(error.cause as Error).stack}`.includes('hush-hush'));
      return true;
    });
    fail = false;
    assert.ok(await verify('hush-hush'));
  });

  it('does not use a remembered yes while the API server is away', async () => {
    let away = false;
    const { verify, state } = reviewer(async () => {
      if (away) throw new Error('away');
      return YES;
    });
    await verify();
    away = true;
    state.now += 10_000;
    await assert.rejects(verify(), refusedAs('SP_IDENTITY_UNAVAILABLE'));
  });

  it('is given up in time, even by a client that does not mind its signal', async () => {
    const { verify } = reviewer(() => new Promise(() => {}), { timeout: '100ms' });
    await assert.rejects(verify(), refusedAs('SP_IDENTITY_UNAVAILABLE'));
  });

  it('is bounded in number: a flood of made-up tokens is no flood of reviews', async () => {
    let open = () => {};
    const gate = new Promise<void>((resolve) => (open = resolve));
    const { verify, state } = reviewer(
      async () => {
        await gate;
        return { authenticated: false };
      },
      { maxConcurrent: 5 },
    );
    const results = Promise.allSettled(Array.from({ length: 100 }, (_, index) => verify(`made-up ${index}`)));
    open();
    const codes = (await results).map((one) => (one.status === 'rejected' ? (one.reason as SallyportError).code : ''));
    assert.equal(state.asked, 5);
    assert.equal(codes.filter((code) => code === 'SP_IDENTITY_UNAVAILABLE').length, 95);
  });

  describe('with the cluster’s published keys', () => {
    async function withKeys(review: ReviewToken, options: object = {}) {
      const issuer = new LoopbackIssuer();
      issuer.keys.push(await makeKey('k1', 'RS256'));
      const state = { now: Date.now(), asked: 0, loads: 0, broken: false };
      const keys = new KeySet({
        load: async () => {
          state.loads += 1;
          if (state.broken) throw new Error('forbidden');
          return { keys: issuer.keys.map(({ jwk }) => jwk) };
        },
        now: () => state.now,
        cooldown: 60_000,
      });
      const { tokenReview } = identityMethods.parse({ tokenReview: options });
      const instance = new TokenReviewer(
        tokenReview!,
        (...input) => {
          state.asked += 1;
          return review(...input);
        },
        () => state.now,
        new ClusterSignature(keys),
      );
      const verify = (token: string, source?: string) =>
        instance.verify(token, tokenDigest(token), readUnverified(token)!, source);
      return { issuer, state, keys, verify };
    }

    it('is not asked for what another key has signed under the name of one of them, nor for what is altered', async () => {
      const { issuer, state, verify } = await withKeys(async () => YES);
      const good = await issuer.sign({ aud: 'sallyport' });
      assert.equal((await verify(good)).username, YES.user!.username);
      const stranger = new LoopbackIssuer();
      stranger.keys.push(await makeKey('k1', 'RS256'));
      const [head, body, signature] = good.split('.') as [string, string, string];
      const altered = Buffer.from(
        JSON.stringify({ ...(JSON.parse(Buffer.from(body, 'base64url').toString()) as object), sub: 'else' }),
      ).toString('base64url');
      const unsigned = Buffer.from(JSON.stringify({ alg: 'none', kid: 'k1' })).toString('base64url');
      for (const bad of [
        await stranger.sign({ aud: 'sallyport' }),
        `${head}.${altered}.${signature}`,
        `${unsigned}.${body}.${signature}`,
        `${head}.${body}.AAAA`,
      ]) {
        await assert.rejects(verify(bad), refusedAs('SP_NOT_AUTHENTICATED'));
      }
      assert.equal(state.asked, 1);
    });

    it('is not asked for one that has expired, and that is said', async () => {
      const { issuer, state, verify } = await withKeys(async () => ({ authenticated: false }));
      const exp = Math.floor(state.now / 1_000) - 61;
      await assert.rejects(verify(await issuer.sign({ aud: 'sallyport', exp })), refusedAs('SP_CREDENTIAL_EXPIRED'));
      assert.equal(state.asked, 0);
      // Clocks differ: the API server has the last word on one that has only just expired.
      const late = await issuer.sign({ aud: 'sallyport', exp: exp + 30 });
      await assert.rejects(verify(late), refusedAs('SP_NOT_AUTHENTICATED'));
      assert.equal(state.asked, 1);
    });

    it('is answered for a real token while made-up ones by the hundred wait for an answer', async () => {
      let open = () => {};
      const gate = new Promise<void>((resolve) => (open = resolve));
      const { issuer, state, verify, keys } = await withKeys(async (token) => {
        if (token !== real) await gate;
        return token === real ? YES : { authenticated: false };
      });
      const real = await issuer.sign({ aud: 'sallyport' });
      await keys.start();
      const stranger = new LoopbackIssuer();
      // Of a key that nobody publishes: only the API server could tell.
      stranger.keys.push(await makeKey('elsewhere', 'ES256'));
      const made = await Promise.all(Array.from({ length: 300 }, (_, n) => stranger.sign({ aud: 'sallyport', n })));
      const flood = Promise.allSettled(made.map((token, n) => verify(token, `10.0.0.${n % 8}`)));
      assert.equal((await verify(real, '10.0.0.1')).username, YES.user!.username);
      assert.equal(state.asked, 1 + 16, 'a quarter of 64, and the real one');
      assert.equal(state.loads, 1, 'an unknown key has the set loaded anew at most once a minute');
      open();
      const codes = (await flood).map((one) => (one.status === 'rejected' ? (one.reason as SallyportError).code : ''));
      assert.equal(codes.filter((code) => code === 'SP_NOT_AUTHENTICATED').length, 16);
      assert.equal(codes.filter((code) => code === 'SP_IDENTITY_UNAVAILABLE').length, 284);
    });

    it('is asked for everything while they cannot be read, of one client a quarter at a time', async () => {
      let open = () => {};
      const gate = new Promise<void>((resolve) => (open = resolve));
      const { issuer, state, verify } = await withKeys(async (token) => {
        if (token !== real) await gate;
        return token === real ? YES : { authenticated: false };
      });
      state.broken = true;
      const real = await issuer.sign({ aud: 'sallyport' });
      const made = await Promise.all(Array.from({ length: 100 }, (_, n) => issuer.sign({ aud: 'sallyport', n })));
      const flood = Promise.allSettled(made.map((token) => verify(token, '10.0.0.66')));
      assert.equal((await verify(real, '10.0.0.1')).username, YES.user!.username);
      assert.equal(state.asked, 1 + 16);
      open();
      await flood;
      // Every place was given back.
      await assert.rejects(verify(await issuer.sign({ aud: 'sallyport', n: 'last' }), '10.0.0.66'), (error) =>
        refusedAs('SP_NOT_AUTHENTICATED')(error),
      );
    });
  });

  it('cannot be configured for an audience of the API server', () => {
    for (const audience of [
      'https://kubernetes.default.svc',
      'https://kubernetes.default.svc.cluster.local',
      'kubernetes',
      'https://kubernetes.default.svc:443/',
      '',
    ]) {
      assert.equal(identityMethods.safeParse({ tokenReview: { audience } }).success, false, audience);
    }
  });
});
