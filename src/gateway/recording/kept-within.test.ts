import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SpoolError } from '../../recording/spool/spool-error.ts';
import { keptWithin } from './kept-within.ts';

/** As a client's connection does. */
const alive = setInterval(() => {}, 1_000);
after(() => clearInterval(alive));

const never = (): Promise<void> => new Promise(() => {});
const slow = (error: SpoolError): boolean => error.fault === 'Slow' && error.message === 'not kept within 60 ms';

test('what is kept in time is, what is not is late in the order in which it began, and never early', async () => {
  const ends: string[] = [];
  const began = performance.now();
  const first = assert.rejects(keptWithin(never(), 60), slow).then(() => ends.push('first'));
  await keptWithin(sleep(10), 60);
  await assert.rejects(
    keptWithin(
      sleep(5).then(() => assert.fail('the disk')),
      60,
    ),
    /the disk/,
  );
  await sleep(20);
  const later = performance.now();
  const second = assert.rejects(keptWithin(never(), 60), slow).then(() => ends.push('second'));
  await first;
  // A timer of node fires up to a millisecond early.
  assert.ok(performance.now() - began >= 59);
  assert.deepEqual(ends, ['first']);
  await second;
  assert.ok(performance.now() - later >= 59);
  await assert.rejects(keptWithin(never(), 60), slow);
});

test('a failure is told once, however often it fails', async () => {
  const told: unknown[] = [];
  const { promise, reject } = Promise.withResolvers<void>();
  const late = keptWithin(promise, 20, (error) => {
    told.push(error);
    return new Error('refused');
  });
  await assert.rejects(late, /refused/);
  reject(new Error('the disk'));
  await sleep(1);
  assert.equal(told.length, 1);
});

test('what is kept after all when it was late changes nothing', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const late = keptWithin(promise, 20);
  await assert.rejects(late);
  resolve();
  await keptWithin(Promise.resolve(), 20);
});

test('nothing of what was kept keeps a process from ending', async () => {
  const timers = (): number => process.getActiveResourcesInfo().filter((one) => one === 'Timeout').length;
  const before = timers();
  await Promise.all(Array.from({ length: 100 }, () => keptWithin(Promise.resolve(), 60_000)));
  assert.equal(timers(), before);
});
