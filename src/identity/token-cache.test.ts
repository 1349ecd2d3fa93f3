import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SallyportError } from '../errors.ts';
import { notAuthenticated } from './refusal.ts';
import { LRU, TokenCache, tokenDigest } from './token-cache.ts';

const always = (error: unknown): error is SallyportError => error instanceof SallyportError;
const never = (_error: unknown): _error is SallyportError => false;

function cache(now = () => 0) {
  return new TokenCache<{ until: number }>({
    capacity: 3,
    refusals: 3,
    refusalTTL: 100,
    isUsable: (entry) => entry.until > now(),
    now,
  });
}

describe('the cache of verified tokens', () => {
  it('verifies once for parallel requests with one token, and once more after it ended', async () => {
    let now = 0;
    let verified = 0;
    const tokens = cache(() => now);
    const verify = async () => {
      verified += 1;
      await new Promise((resolve) => setImmediate(resolve));
      return { until: now + 10 };
    };
    await Promise.all(Array.from({ length: 40 }, () => tokens.verified('a', verify, always)));
    assert.equal(verified, 1);
    now = 9;
    await tokens.verified('a', verify, always);
    assert.equal(verified, 1);
    now = 10;
    assert.equal(tokens.peek('a'), undefined);
    await tokens.verified('a', verify, always);
    assert.equal(verified, 2);
    assert.equal(tokens.size.underWay, 0);
  });

  it('remembers a refusal for its time', async () => {
    let now = 0;
    let asked = 0;
    const tokens = cache(() => now);
    const refuse = async () => {
      asked += 1;
      throw notAuthenticated('no');
    };
    for (let round = 0; round < 3; round += 1) await assert.rejects(tokens.verified('a', refuse, always));
    assert.equal(asked, 1);
    now = 100;
    await assert.rejects(tokens.verified('a', refuse, always));
    assert.equal(asked, 2);
  });

  it('does not remember what was no final refusal', async () => {
    const tokens = cache();
    const fail = async () => {
      throw new Error('unreachable');
    };
    await assert.rejects(tokens.verified('a', fail, never));
    assert.deepEqual(await tokens.verified('a', async () => ({ until: 1 }), never), { until: 1 });
  });

  it('keeps a good token through a flood of distinct bad ones, in bounded memory', async () => {
    const tokens = cache();
    await tokens.verified('good', async () => ({ until: 1 }), always);
    const refuse = async () => {
      throw notAuthenticated('no');
    };
    for (let index = 0; index < 1_000; index += 1) {
      await assert.rejects(tokens.verified(tokenDigest(`bad ${index}`), refuse, always));
    }
    assert.deepEqual(tokens.size, { verified: 1, refused: 3, underWay: 0 });
    assert.ok(tokens.peek('good'));
  });

  it('forgets first what was unused for longest', () => {
    const entries = new LRU<number>(2);
    entries.set('a', 1);
    entries.set('b', 2);
    entries.get('a');
    entries.set('c', 3);
    assert.deepEqual([entries.get('a'), entries.get('b'), entries.get('c')], [1, undefined, 3]);
  });
});
