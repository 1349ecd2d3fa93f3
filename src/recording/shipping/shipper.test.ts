import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
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
import { layout } from '../segment.ts';
import { FilesystemStorage } from '../storage/filesystem.ts';
import type { Storage } from '../storage/storage.ts';
import { temporaryName } from '../storage/temporaries.ts';
import { readManifest } from '../stored-recording.ts';

inAHomeOfItsOwn();

test('an open recording is in the store soon after it was written, and is sealed when it ends', async () => {
  const store = new FilesystemStorage(join(home, 'store'));
  const a = await replica('a', store);
  const recording = a.spool.create(identity('shop-1'));
  await append(recording, 10);
  await until('parts', async () => (await storedSeq(store, 'shop-1')) === 11);
  await append(recording, 5);
  await until('more parts', async () => (await storedSeq(store, 'shop-1')) === 16);
  await recording.finish('Idle', '2026-01-02T03:04:05.700Z');
  await until('the seal', () => a.sealed.length === 1);
  const report = await verified(store, 'shop-1');
  assert.equal(report.state, 'Complete');
  assert.equal(report.lines, 17);
  assert.equal(a.sealed[0]!.counts.requests, 15);
  assert.deepEqual(readdirSync(join(home, 'a', 'recordings')), []);
  assert.equal(a.shipper.status.unshippedBytes, 0);
});

test('many segments: each is sealed when it is closed, and let go of in the spool; each manifest names the one before', async () => {
  const store = new FilesystemStorage(join(home, 'store'));
  const a = await replica('a', store);
  for (const name of ['one', 'two', 'three']) {
    const recording = a.spool.create(identity(name));
    for (let round = 0; round < 8; round += 1) await append(recording, 60, 400);
    await until('let go', () => recording.segments.length <= 1);
    await recording.finish('Idle', '2026-01-02T03:04:05.700Z');
    await until('the seal', () => a.log.includes(`sealed ${name}`));
    assert.ok((await verified(store, name)).segments > 2);
  }
  assert.deepEqual(
    a.sealed.map(({ predecessor }) => predecessor?.name),
    [undefined, 'one', 'two'],
  );
  assert.equal(a.sealed[2]!.predecessor!.sha256, (await readManifest(store, 'two'))!.sha256);
});

test('a process that is killed between any two steps goes on: nothing twice, nothing missing', async () => {
  const store = new FilesystemStorage(join(home, 'store'));
  for (let round = 0; round < 12; round += 1) {
    const moody = new Moody(join(home, 'store'));
    moody.losesAnswers = round % 3 === 1;
    const a = await replica('a', moody.storage, { partInterval: round % 2 === 0 ? 1 : 20 });
    const recording = a.spool.recording('shop-1') ?? a.spool.create(identity('shop-1'));
    for (let count = 0; count < 6; count += 1) {
      await append(recording, 20, 400);
      await delay(Math.random() * 10);
    }
    await a.vanish();
  }
  const a = await replica('a', store);
  const recording = a.spool.recording('shop-1')!;
  await recording.finish('Idle', '2026-01-02T03:04:05.700Z');
  await until('the seal', () => a.sealed.length === 1);
  assert.equal((await verified(store, 'shop-1')).state, 'Complete');
  assert.equal(a.sealed[0]!.counts.requests, 12 * 6 * 20);
});

test('the store is down for long: all stays in the spool, which is bounded; then it catches up', async () => {
  const moody = new Moody(join(home, 'store'));
  const a = await replica('a', moody.storage, {}, { maxBytes: 200_000 });
  const recording = a.spool.create(identity('shop-1'));
  await append(recording, 10);
  moody.fault = 'Unavailable';
  let refused: unknown;
  let kept = 10;
  for (let round = 0; round < 100 && refused === undefined; round += 1) {
    await append(recording, 20, 400).then(
      () => (kept += 20),
      (error: unknown) => {
        refused = error;
      },
    );
  }
  assert.equal((refused as { fault?: string }).fault, 'Full');
  await until('it is known', () => a.shipper.status.failingFor > 0);
  assert.ok(a.shipper.status.unshippedBytes > 100_000);
  assert.match(a.shipper.status.lastError!.message, /a fault of the test/);
  const asked = moody.calls;
  await delay(300);
  assert.ok(moody.calls - asked < 20, 'a store that is down is asked with pauses');
  moody.fault = undefined;
  await until('it caught up', () => a.shipper.status.unshippedBytes === 0);
  await append(recording, 1);
  await recording.finish('Idle', '2026-01-02T03:04:05.700Z');
  await until('the seal', () => a.sealed.length === 1);
  await verified(moody.storage, 'shop-1');
  assert.equal(a.sealed[0]!.counts.requests, kept + 1);
});

test('a store that loses a part: the segment is sealed from the spool', async () => {
  const store = new FilesystemStorage(join(home, 'store'));
  const a = await replica('a', store, { partInterval: 1 });
  const recording = a.spool.create(identity('shop-1'));
  for (let round = 0; round < 5; round += 1) {
    await append(recording, 10);
    await until('a part', async () => (await storedSeq(store, 'shop-1')) === recording.seq);
  }
  const folder = join(home, 'store', `${layout.segment('shop-1', 1)}.open`);
  rmSync(join(folder, readdirSync(folder).sort()[2]!));
  await recording.finish('Idle', '2026-01-02T03:04:05.700Z');
  await until('the seal', () => a.sealed.length === 1);
  assert.equal((await verified(store, 'shop-1')).lines, 52);
});

test('durability Remote: kept means in the store; a store that is down refuses in time', async () => {
  const moody = new Moody(join(home, 'store'));
  const a = await replica('a', moody.storage, { remoteTimeout: 300, partInterval: 60_000 }, { durability: 'Remote' });
  const recording = a.spool.create(identity('shop-1'));
  await append(recording, 3);
  assert.equal(await storedSeq(moody.storage, 'shop-1'), 4);
  moody.fault = 'Unavailable';
  const begun = performance.now();
  await assert.rejects(append(recording, 1), { name: 'SpoolError', fault: 'Unstored' });
  assert.ok(performance.now() - begun < 3_000);
  moody.fault = undefined;
  await until('it is well again', () =>
    append(recording, 1).then(
      () => true,
      () => false,
    ),
  );
  assert.equal(await storedSeq(moody.storage, 'shop-1'), recording.seq);
});

test('stop sends what is left, and waits no longer than it may', async () => {
  const moody = new Moody(join(home, 'store'));
  const a = await replica('a', moody.storage, { partInterval: 60_000 });
  const recording = a.spool.create(identity('shop-1'));
  await append(recording, 10);
  await a.stop();
  assert.equal(await storedSeq(moody.storage, 'shop-1'), 11);
  const b = await replica('b', moody.storage, { partInterval: 60_000 });
  await append(b.spool.create(identity('shop-2')), 10);
  moody.fault = 'Unavailable';
  const begun = performance.now();
  await b.stop();
  assert.ok(performance.now() - begun < 4_000);
});

for (const more of [0, 10]) {
  test(`killed between a segment's seal and its note in the spool, ${more} lines later: the next start finds it sealed`, async () => {
    const store = new FilesystemStorage(join(home, 'store'));
    const sealed = Promise.withResolvers<void>();
    const cutOff: Storage['sealParts'] = async (segment, options, signal) => {
      await store.sealParts(segment, options);
      sealed.resolve();
      return await new Promise((_, reject) => signal!.addEventListener('abort', () => reject(new Error('killed'))));
    };
    const a = await replica(
      'a',
      new Proxy(store as Storage, {
        get: (_, name) => {
          const value: unknown = name === 'sealParts' ? cutOff : Reflect.get(store, name);
          return typeof value === 'function' ? value.bind(store) : value;
        },
      }),
    );
    const recording = a.spool.create(identity('shop-1'));
    // In several parts: sent anew it would be one.
    await append(recording, 40, 400);
    await until('a part', async () => (await storedSeq(store, 'shop-1')) === 41);
    await append(recording, 60, 400);
    await sealed.promise;
    if (more > 0) await append(recording, more);
    await a.vanish();
    const again = await replica('a', store);
    const resumed = again.spool.recording('shop-1')!;
    await append(resumed, 5);
    await resumed.finish('Idle', '2026-01-02T03:04:05.700Z');
    await until('the seal', () => again.sealed.length === 1);
    assert.deepEqual(again.log, ['sealed shop-1']);
    await verified(store, 'shop-1');
    assert.equal(again.sealed[0]!.counts.requests, 105 + more);
  });
}

test('what a process left half written that was killed is cleared away by a later one', async () => {
  mkdirSync(join(home, 'store', 'recordings', 'shop-1'), { recursive: true });
  const left = join(home, 'store', 'recordings', 'shop-1', temporaryName());
  writeFileSync(left, 'half');
  await replica('a', new FilesystemStorage(join(home, 'store'), { temporaryFor: -60_000 }));
  await until('the file is gone', () => !existsSync(left));
});
