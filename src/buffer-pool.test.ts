import assert from 'node:assert/strict';
import test from 'node:test';
import { BufferPool } from './buffer-pool.ts';

test('what was given back is taken again, by whoever needs no more', () => {
  const pool = new BufferPool();
  const first = pool.take(100_000);
  assert.equal(first.length, 100_000);
  pool.give(first);
  assert.equal(pool.take(131_073).buffer === first.buffer, false);
  const second = pool.take(9_000);
  assert.equal(second.length, 9_000);
  assert.equal(second.buffer, first.buffer);
  assert.notEqual(pool.take(9_000).buffer, first.buffer, 'never two at once');
});

test('it keeps no more than its bound, and nothing small', () => {
  const pool = new BufferPool();
  const taken = Array.from({ length: 8 }, () => pool.take(4 << 20));
  for (const each of taken) pool.give(each);
  const again = Array.from({ length: 8 }, () => pool.take(4 << 20));
  assert.equal(again.filter((each) => taken.some((one) => one.buffer === each.buffer)).length, 4);
  const small = pool.take(100);
  pool.give(small);
  assert.equal(small.length, 100);
});
