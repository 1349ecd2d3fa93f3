import assert from 'node:assert/strict';
import { test } from 'node:test';
import { trimHeap } from './heap.ts';

test('what nobody holds is given back, what somebody holds stays, and no collector is left for others to call', async () => {
  const kept = Array.from({ length: 1_000 }, (_, index) => ({ index }));
  let left: object[] | undefined = Array.from({ length: 400_000 }, (_, index) => ({ index, text: `${index}` }));
  const before = process.memoryUsage();
  const gone = new WeakRef(left);
  left = undefined;
  // A WeakRef holds what it was made of until the end of the turn.
  await new Promise((resolve) => setImmediate(resolve));
  trimHeap();
  const after = process.memoryUsage();
  assert.equal(gone.deref(), undefined);
  assert.ok(before.heapTotal - after.heapTotal > 10 << 20, `${before.heapTotal} -> ${after.heapTotal}`);
  assert.equal(kept[999]!.index, 999);
  assert.equal('gc' in globalThis, process.execArgv.includes('--expose-gc'));
});
