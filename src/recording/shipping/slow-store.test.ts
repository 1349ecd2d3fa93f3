import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import {
  append,
  home,
  identity,
  inAHomeOfItsOwn,
  Moody,
  replica,
  storedSeq,
  until,
  verified,
} from '../cases/shipping-replicas.ts';
import { readAnnouncements } from './announcement.ts';

inAHomeOfItsOwn();

/** A store that is well, and takes as long as the test wants from `hold` on. */
async function slowly(
  name: string,
  ...more: Parameters<typeof replica> extends [unknown, unknown, ...infer R] ? R : never
) {
  const store = new Moody(`${home}/store`);
  const one = await replica(name, store.storage, ...more);
  const hold = (): (() => void) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    store.gate = promise;
    return () => {
      store.gate = undefined;
      resolve();
    };
  };
  return { store, hold, ...one };
}

test('nobody waits for a slow store: lines stay in the spool, a few calls are under way, and when they end all of it goes, none twice', async () => {
  const { store, hold, spool, shipper, sealed, log } = await slowly('a', { parallel: 3 });
  const recordings = Array.from({ length: 12 }, (_, index) => spool.create(identity(`shop-${index}`)));
  for (const recording of recordings) await append(recording, 1);
  await until('all are known in the store', async () => {
    const seqs = await Promise.all(recordings.map(({ identity: { name } }) => storedSeq(store.storage, name)));
    return seqs.every((seq) => seq === 2);
  });
  const release = hold();
  await until('what was under way has ended', () => store.underway <= 1);
  Object.assign(store, { most: 0, calls: 0 });
  let unshipped = shipper.status.unshippedBytes;
  for (let round = 0; round < 20; round += 1) {
    // Were it to wait for the store, it would wait for ever.
    for (const recording of recordings) await append(recording, 5);
    assert.ok(shipper.status.unshippedBytes > unshipped, 'what the store does not have grows');
    unshipped = shipper.status.unshippedBytes;
  }
  await until('as many are under way as may be', () => store.underway >= 3);
  await delay(300);
  // Three parts and an announcement, however many recordings and rounds there are, and however often it would announce.
  assert.ok(store.most <= 4 && store.calls <= 4, `${store.most} at once, ${store.calls} in all`);
  assert.equal(shipper.status.unshippedBytes, unshipped);
  release();
  await until('the store has all', () => shipper.status.unshippedBytes === 0);
  for (const recording of recordings) await recording.finish('Idle', '2026-01-02T03:04:05.700Z');
  await until('the seals', () => sealed.length === 12);
  for (const { counts, recording } of sealed) {
    assert.equal(counts.requests, 101);
    assert.equal((await verified(store.storage, recording.name)).state, 'Complete');
  }
  assert.deepEqual(
    log.filter((each) => !each.startsWith('sealed ')),
    [],
    'slow is no failure',
  );
});

test('what comes while a part is on its way leaves with the next one, however much and however often', async () => {
  const { store, hold, spool } = await slowly('a', { partInterval: 1 }, { segmentBytes: 1 << 24 });
  const recording = spool.create(identity('shop-1'));
  await append(recording, 1);
  await until('the first', async () => (await storedSeq(store.storage, 'shop-1')) === 2);
  const release = hold();
  for (let round = 0; round < 100; round += 1) await append(recording, 2);
  await until('one is on its way', () => store.underway >= 1);
  store.asked.length = 0;
  release();
  await until('all of it', async () => (await storedSeq(store.storage, 'shop-1')) === recording.seq);
  const parts = store.asked.filter((name) => name === 'appendPart').length;
  assert.ok(parts <= 2, `${parts} parts`);
});

test('announcements that are asked for while a slow store has one are one more, which says what is open then', async () => {
  const { store, hold, shipper, spool, stop } = await slowly('a', { announceInterval: 10 });
  const release = hold();
  await until('one is under way', () => store.underway === 1);
  store.asked.length = 0;
  await delay(500);
  spool.create(identity('shop-1'));
  store.gate = undefined;
  const stopped = stop();
  release();
  await stopped;
  // That of fifty intervals, and that of the end.
  assert.ok(store.asked.length <= 3, `${store.asked.length} announcements`);
  const [said] = await readAnnouncements(store.storage);
  assert.deepEqual(said!.recordings, ['shop-1']);
  assert.equal(shipper.status.failingFor, 0);
});

test('Remote: a line waits for a slow store, and counts when it is there', async () => {
  const { store, hold, spool } = await slowly('a', { partInterval: 60_000 }, { durability: 'Remote' });
  const recording = spool.create(identity('shop-1'));
  await append(recording, 1);
  const release = hold();
  let kept = false;
  const waiting = append(recording, 1).then(() => {
    kept = true;
  });
  await until('it is on its way', () => store.underway >= 1);
  await delay(100);
  assert.equal(kept, false);
  release();
  await waiting;
  assert.equal(await storedSeq(store.storage, 'shop-1'), recording.seq);
});

test('Remote: a store that takes longer than it may refuses, in time; the line is in the spool, and goes when the store is done', async () => {
  const more = { remoteTimeout: 300, partInterval: 60_000 };
  const { store, hold, spool, shipper } = await slowly('a', more, { durability: 'Remote' });
  const recording = spool.create(identity('shop-1'));
  await append(recording, 1);
  const release = hold();
  const begun = performance.now();
  await assert.rejects(append(recording, 1), { name: 'SpoolError', fault: 'Unstored' });
  const took = performance.now() - begun;
  assert.ok(took >= 290 && took < 10_000, `${took} ms`);
  assert.ok(shipper.status.unshippedBytes > 0);
  release();
  await until('it is there all the same', () => shipper.status.unshippedBytes === 0);
  assert.equal(await storedSeq(store.storage, 'shop-1'), recording.seq);
});

test('stop waits for a slow store no longer than it may; what is not there then is in the spool, and goes at the next start', async () => {
  const { store, hold, spool, vanish, shipper } = await slowly('a', { partInterval: 60_000 });
  const recording = spool.create(identity('shop-1'));
  await append(recording, 10);
  const release = hold();
  const begun = performance.now();
  await shipper.stop(400);
  const took = performance.now() - begun;
  assert.ok(took >= 390 && took < 10_000, `${took} ms`);
  await vanish();
  release();
  const again = await replica('a', store.storage);
  await until('the store has it', async () => (await storedSeq(store.storage, 'shop-1')) === 11);
  await again.spool.recording('shop-1')!.finish('Idle', '2026-01-02T03:04:05.700Z');
  await until('the seal', () => again.sealed.length === 1);
  assert.equal((await verified(store.storage, 'shop-1')).state, 'Complete');
});
