import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { WorkQueue } from './work-queue.ts';

test('a key that waits is worked on once, and never by two at once', async () => {
  const done: string[] = [];
  let inside = 0;
  const queue = new WorkQueue({
    workers: 4,
    work: async (key) => {
      assert.equal(++inside, 1);
      await sleep(10);
      inside--;
      done.push(key);
    },
  });
  for (let i = 0; i < 100; i++) queue.add('a');
  await sleep(5);
  for (let i = 0; i < 100; i++) queue.add('a');
  await sleep(50);
  assert.deepEqual(done, ['a', 'a'], 'what came while it was worked on is worked on once more');
  await queue.stop();
});

test('as many keys at once as there are workers', async () => {
  let inside = 0;
  let most = 0;
  const queue = new WorkQueue({
    workers: 3,
    work: async () => {
      most = Math.max(most, ++inside);
      await sleep(5);
      inside--;
    },
  });
  for (let i = 0; i < 20; i++) queue.add(`k${i}`);
  assert.equal(queue.depth, 17);
  await sleep(100);
  assert.equal(most, 3);
  assert.equal(queue.depth, 0);
  await queue.stop();
});

test('what fails comes back after a growing wait, and a success forgets that', async () => {
  const times: number[] = [];
  const queue = new WorkQueue({
    firstDelay: 20,
    lastDelay: 10_000,
    work: async () => {
      times.push(performance.now());
      if (times.length < 5) throw new Error('not yet');
    },
  });
  queue.add('a');
  await sleep(700);
  assert.equal(times.length, 5);
  const waits = times.slice(1).map((time, index) => time - times[index]!);
  assert.ok(waits[3]! > 75 && waits[3]! > waits[0]!, `${waits}`);
  await queue.stop();
});

test('of several times the earliest wins; far ones do not fire at once', async () => {
  const done: string[] = [];
  const queue = new WorkQueue({ work: async (key) => void done.push(key) });
  queue.addAfter('a', 10_000);
  queue.addAfter('a', 10);
  queue.addAfter('a', 5_000);
  queue.addAfter('b', 2 ** 40);
  queue.addAfter('c', 10);
  queue.forget('c');
  await sleep(60);
  assert.deepEqual(done, ['a']);
  await queue.stop();
});

test('a stop waits for what was begun and begins nothing more', async () => {
  const done: string[] = [];
  const queue = new WorkQueue({
    workers: 1,
    work: async (key) => {
      await sleep(20);
      done.push(key);
    },
  });
  queue.add('a');
  queue.add('b');
  queue.addAfter('c', 1);
  await queue.stop();
  queue.add('d');
  await sleep(50);
  assert.deepEqual(done, ['a']);
});
