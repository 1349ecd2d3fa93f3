import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import {
  append,
  home,
  identity,
  inAHomeOfItsOwn,
  key,
  Moody,
  replica,
  storedSeq,
  until,
  verified,
} from '../cases/shipping-replicas.ts';
import { layout } from '../segment.ts';
import { FilesystemStorage } from '../storage/filesystem.ts';
import { readManifest } from '../stored-recording.ts';
import { readAnnouncements } from './announcement.ts';
import { Shipper } from './shipper.ts';

inAHomeOfItsOwn();

test('a replica that is gone: another seals what the store has, Incomplete, with the last number', async () => {
  const store = new FilesystemStorage(join(home, 'store'));
  const a = await replica('a', store);
  const recording = a.spool.create(identity('shop-1'));
  for (let round = 0; round < 4; round += 1) await append(recording, 60, 400);
  await until('the parts', async () => (await storedSeq(store, 'shop-1')) === recording.seq);
  const { seq } = recording;
  await a.vanish();
  const b = await replica('b', store, { adoptAfter: 200 });
  await until('the adoption', () => b.log.includes('adopted shop-1'));
  const report = await verified(store, 'shop-1');
  assert.equal(report.state, 'Incomplete');
  assert.equal(report.lines, seq);
  const [manifest] = b.sealed;
  assert.equal(manifest!.sealedBy, 'b');
  assert.equal(manifest!.recording.replica, 'a');
  assert.equal(manifest!.counts.requests, 240);
  await until('its announcement is gone', async () =>
    (await readAnnouncements(store)).every((each) => each.replica === 'b'),
  );
});

test('two who adopt the same: it is sealed once, and both go on', async () => {
  const store = new FilesystemStorage(join(home, 'store'));
  const a = await replica('a', store);
  const recording = a.spool.create(identity('shop-1'));
  await append(recording, 10);
  await until('the parts', async () => (await storedSeq(store, 'shop-1')) === 11);
  await a.vanish();
  await delay(250);
  const b = await replica('b', store);
  const c = await replica('c', store);
  const [first, second] = [b, c].map(
    ({ spool, log }, index) =>
      new Shipper({
        spool,
        storage: store,
        key,
        replica: ['b', 'c'][index]!,
        adoptAfter: 200,
        events: { adopted: () => void log.push('adopted'), failed: (error) => void log.push(error.message) },
      }),
  );
  await Promise.all([first!.adoptLost(), second!.adoptLost()]);
  assert.equal([...b.log, ...c.log].filter((each) => each === 'adopted').length, 1);
  assert.equal((await verified(store, 'shop-1')).state, 'Incomplete');
});

test('a replica that was only cut off comes back: what the store does not have becomes a recording of its own', async () => {
  const moody = new Moody(join(home, 'store'));
  const a = await replica('a', moody.storage, { adoptAfter: 200 });
  const recording = a.spool.create(identity('shop-1'));
  await append(recording, 10);
  await until('the parts', async () => (await storedSeq(moody.storage, 'shop-1')) === 11);
  moody.fault = 'Unavailable';
  await append(recording, 7);
  const store = new FilesystemStorage(join(home, 'store'));
  const b = await replica('b', store, { adoptAfter: 200 });
  await until('the adoption', () => b.log.includes('adopted shop-1'));
  moody.fault = undefined;
  await append(recording, 1).catch(() => {});
  await until('it is noticed', () => a.log.includes('superseded shop-1 shop-1-rest'));
  assert.equal(recording.ending, true, 'whoever writes into it begins another one');
  await until('the rest is sealed', () => a.log.includes('sealed shop-1-rest'));
  const first = await verified(store, 'shop-1');
  assert.equal(first.lines, 11);
  const rest = await verified(store, 'shop-1-rest');
  assert.equal(rest.state, 'Complete');
  assert.equal(a.sealed[0]!.counts.requests, 8);
  assert.deepEqual(readdirSync(join(home, 'a', 'recordings')), []);
});

test('a recording whose lines do not chain is not sealed by anyone', async () => {
  const store = new FilesystemStorage(join(home, 'store'));
  const a = await replica('a', store);
  const recording = a.spool.create(identity('shop-1'));
  await append(recording, 10);
  await until('the parts', async () => (await storedSeq(store, 'shop-1')) === 11);
  await a.vanish();
  const segment = layout.segment('shop-1', 1);
  const [part] = await store.parts(segment);
  await store.appendPart(
    segment,
    { ...part!, number: 2, firstSeq: 12, lastSeq: 22 },
    await collect(store.readParts(segment)),
  );
  const b = await replica('b', store, { adoptAfter: 200 });
  await until('it is told', () => b.log.some((each) => /^broken shop-1: 000001.* line number 12 /.test(each)));
  assert.equal(await readManifest(store, 'shop-1'), undefined);
  assert.ok((await readAnnouncements(store)).some((each) => each.replica === 'a'));
});

async function collect(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  const all: Buffer[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all);
}
