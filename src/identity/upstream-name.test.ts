import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Caller } from './caller.ts';
import { NameError, parseServiceAccount, validCaller } from './name.ts';
import { readUpstreamUsername, UPSTREAM_PREFIX, upstreamName, Via } from './upstream-name.ts';

function caller(change: Partial<Caller>): Caller {
  return {
    method: 'OIDC',
    issuer: 'https://idp.example',
    username: 'alice',
    uid: '',
    groups: [],
    serviceAccount: undefined,
    agent: undefined,
    onBehalfOf: undefined,
    session: undefined,
    expiresAt: 1,
    authTime: undefined,
    ...change,
  };
}

const label = fc.stringMatching(/^[a-z0-9]([-a-z0-9]{0,10}[a-z0-9])?$/);
/** Names as an attacker would choose them: pieces that mean something upstream, glued together. */
const hostile = fc
  .array(
    fc.constantFrom(
      'system',
      'sa',
      'sallyport',
      'serviceaccount',
      'masters',
      ':',
      ':',
      ' ',
      'ci',
      'a',
      'SA',
      '\t',
      ',',
    ),
    { minLength: 0, maxLength: 8 },
  )
  .map((parts) => parts.join(''));
const anyName = fc.oneof(hostile, fc.string({ unit: 'grapheme-ascii', maxLength: 40 }), fc.string({ unit: 'binary' }));
const anyCaller = fc.oneof(
  fc.record({ username: anyName, groups: fc.array(anyName, { maxLength: 4 }), uid: anyName }).map(caller),
  fc.tuple(label, label).map(([namespace, name]) => {
    const username = `system:serviceaccount:${namespace}:${name}`;
    return caller({ method: 'TokenReview', issuer: 'kubernetes', username, serviceAccount: { namespace, name } });
  }),
);

describe('the name upstream', () => {
  it('is prefixed for users, groups and ServiceAccounts', () => {
    assert.deepEqual(
      upstreamName(
        caller({ uid: 'u1', groups: ['dev', 'ops'], agent: 'cursor', onBehalfOf: 'alice', session: 'cursor-x1' }),
      ),
      {
        username: 'sallyport:alice',
        uid: 'u1',
        groups: ['sallyport:dev', 'sallyport:ops'],
        extra: {
          'sallyport.dev/agent': ['cursor'],
          'sallyport.dev/on-behalf-of': ['alice'],
          'sallyport.dev/session': ['cursor-x1'],
        },
      },
    );
    const username = 'system:serviceaccount:ci:deployer';
    const account = caller({
      username,
      serviceAccount: parseServiceAccount(username),
      groups: ['system:serviceaccounts:ci'],
    });
    assert.equal(upstreamName(account).username, 'sallyport:sa:ci:deployer');
    assert.deepEqual(upstreamName(account).groups, ['sallyport:system:serviceaccounts:ci']);
  });

  it('is refused for a person who would be a ServiceAccount upstream', () => {
    assert.throws(() => upstreamName(caller({ username: 'sa:ci:deployer' })), NameError);
  });

  it('is computed once for a caller', () => {
    const one = validCaller(caller({}));
    assert.equal(upstreamName(one), upstreamName(one));
  });

  it('never reaches system:, is never empty, and survives header trimming, whoever calls', () => {
    let named = 0;
    fc.assert(
      fc.property(anyCaller, (one) => {
        let name: ReturnType<typeof upstreamName>;
        try {
          name = upstreamName(one);
        } catch (error) {
          assert.ok(error instanceof NameError);
          return;
        }
        named += 1;
        for (const value of [name.username, ...name.groups]) {
          assert.ok(value.startsWith(UPSTREAM_PREFIX) && value.length > UPSTREAM_PREFIX.length);
          assert.match(value, /^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/);
        }
        assert.equal(name.uid.trim(), name.uid);
      }),
      { numRuns: 3_000 },
    );
    assert.ok(named > 300, `only ${named} callers were named`);
  });

  it('is shared by no two callers: it can be read back', () => {
    fc.assert(
      fc.property(anyCaller, (one) => {
        let username: string;
        try {
          ({ username } = upstreamName(one));
        } catch {
          return;
        }
        assert.deepEqual(readUpstreamUsername(username), {
          username: one.username,
          serviceAccount: one.serviceAccount,
        });
      }),
      { numRuns: 3_000 },
    );
  });

  it('is read back as nobody’s without the prefix, and refused when the gateway cannot have made it', () => {
    assert.equal(readUpstreamUsername('system:admin'), undefined);
    assert.equal(readUpstreamUsername('sallyport'), undefined);
    for (const name of ['sallyport:', 'sallyport:sa:ci', 'sallyport:sa:ci:a:b', 'sallyport:system:masters']) {
      assert.throws(() => readUpstreamUsername(name), NameError, name);
    }
  });
});

describe('the via extra', () => {
  const key = randomBytes(32);
  const via = new Via(key);
  const name = upstreamName(caller({ uid: 'u1' }));
  const now = 28_333_333 * 60_000 + 10_000;
  const value = via.of(name, now);

  it('is the same for the whole minute, and another in the next', () => {
    assert.equal(via.of(name, now + 20_000), value);
    assert.notEqual(via.of(name, now + 60_000), value);
  });

  it('is verified by another replica with the same key, within its time', () => {
    const other = new Via(Buffer.from(key));
    assert.equal(other.verify(value, name.username, 'u1', now), true);
    assert.equal(other.verify(value, name.username, 'u1', now + 120_000), true);
    assert.equal(other.verify(value, name.username, 'u1', now + 180_000), false);
    assert.equal(other.verify(value, name.username, 'u1', now - 120_000), false);
  });

  it('is not another user’s, another uid’s, another key’s, another minute’s, nor anything malformed', () => {
    const [minute, mac] = value.split('.') as [string, string];
    assert.equal(via.verify(value, 'sallyport:bob', 'u1', now), false);
    assert.equal(via.verify(value, name.username, '', now), false);
    assert.equal(new Via(randomBytes(32)).verify(value, name.username, 'u1', now), false);
    assert.equal(via.verify(`${Number(minute) - 1}.${mac}`, name.username, 'u1', now), false);
    for (const broken of [
      '',
      '.',
      minute,
      `${minute}.`,
      `${minute}.${mac}x`,
      `${minute}.${mac.slice(1)}`,
      ` ${value}`,
    ]) {
      assert.equal(via.verify(broken, name.username, 'u1', now), false, broken);
    }
  });

  it('needs a key of 32 bytes', () => assert.throws(() => new Via(randomBytes(16)), RangeError));
});
