import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SpoolError } from '../../recording/spool/spool-error.ts';
import { CommitDeadline } from './commit-deadline.ts';

/** As a client's connection does. */
const alive = setInterval(() => {}, 1_000);
after(() => clearInterval(alive));

const never = (): Promise<void> => new Promise(() => {});
const slow = (error: SpoolError): boolean => error.fault === 'Slow' && error.message === 'not kept within 60 ms';

test('what is kept in time is, what is not is late in the order in which it began, and never early', async () => {
  const deadline = new CommitDeadline(60);
  const ends: string[] = [];
  const began = performance.now();
  const first = assert.rejects(deadline.within(never()), slow).then(() => ends.push('first'));
  await deadline.within(sleep(10));
  await assert.rejects(deadline.within(sleep(5).then(() => assert.fail('the disk'))), /the disk/);
  await sleep(20);
  const later = performance.now();
  const second = assert.rejects(deadline.within(never()), slow).then(() => ends.push('second'));
  await first;
  // A timer of node fires up to a millisecond early.
  assert.ok(performance.now() - began >= 59);
  assert.deepEqual(ends, ['first']);
  await second;
  assert.ok(performance.now() - later >= 59);
  await assert.rejects(deadline.within(never()), slow);
});

test('what is kept after all when it was late changes nothing', async () => {
  const deadline = new CommitDeadline(20);
  const { promise, resolve } = Promise.withResolvers<void>();
  const late = deadline.within(promise);
  await assert.rejects(late);
  resolve();
  await deadline.within(Promise.resolve());
});

test('nothing of what was kept keeps a process from ending', async () => {
  const timers = (): number => process.getActiveResourcesInfo().filter((one) => one === 'Timeout').length;
  const before = timers();
  const deadline = new CommitDeadline(60_000);
  await Promise.all(Array.from({ length: 100 }, () => deadline.within(Promise.resolve())));
  assert.equal(timers(), before);
});
