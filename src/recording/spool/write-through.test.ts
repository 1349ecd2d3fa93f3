import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import { WriteThrough } from './write-through.ts';

test('small writes on a disk of this machine are made at once; large ones and other file systems wait in the pool', async (context) => {
  const local = await WriteThrough.on(tmpdir());
  if (!local.allows(100)) return context.skip('the folder for temporary files is on no disk of this machine');
  assert.deepEqual([local.allows(384 << 10), local.allows((384 << 10) + 1)], [true, false]);
  // procfs stands for whatever is not on the list.
  if (process.platform === 'linux') assert.equal((await WriteThrough.on('/proc')).allows(100), false);
});

test('a disk that was slow once is left to the pool for a while, one that stalled for longer', async (context) => {
  const disk = await WriteThrough.on(tmpdir());
  if (!disk.allows(100)) return context.skip('the folder for temporary files is on no disk of this machine');
  let now = performance.now();
  context.mock.method(performance, 'now', () => now);
  disk.took(19);
  assert.equal(disk.allows(100), true);
  disk.took(25);
  assert.equal(disk.allows(100), false);
  now += 9_999;
  assert.equal(disk.allows(100), false);
  now += 2;
  assert.equal(disk.allows(100), true);
  disk.took(3_000);
  now += 299_999;
  assert.equal(disk.allows(100), false);
  now += 2;
  assert.equal(disk.allows(100), true);
});
