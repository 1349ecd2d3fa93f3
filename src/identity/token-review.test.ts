import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { identityMethods } from '../config/identity.ts';
import { SallyportError } from '../errors.ts';
import { tokenDigest } from './token-cache.ts';
import { type ReviewToken, TokenReviewer, type TokenReviewStatus } from './token-review.ts';

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
