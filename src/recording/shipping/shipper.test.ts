import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { SAMPLE_IDENTITY } from '../cases/sample-recording.ts';
import type { EventLine, Line } from '../line.ts';
import type { Manifest } from '../manifest.ts';
import { layout } from '../segment.ts';
import { newSigningKey, readSigningKey } from '../signing-key.ts';
import { Spool, type SpoolOptions } from '../spool/spool.ts';
import type { SpooledRecording } from '../spool/spooled-recording.ts';
import { FilesystemStorage } from '../storage/filesystem.ts';
import { type Storage, StorageError, type StorageFault } from '../storage/storage.ts';
import { temporaryName } from '../storage/temporaries.ts';
import { readManifest, recordingFiles } from '../stored-recording.ts';
import { linesOf } from '../timeline-lines.ts';
import { verifyRecording } from '../verify.ts';
import { readAnnouncements } from './announcement.ts';
import { Shipper, type ShipperEvents, type ShipperOptions } from './shipper.ts';

const key = readSigningKey(newSigningKey());
let home: string;
const running: { stop(): Promise<void> }[] = [];

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'shipping-'));
});
afterEach(async () => {
  for (const each of running.splice(0)) await each.stop();
  rmSync(home, { recursive: true, force: true });
});

/** A store whose answers a test can spoil. */
class Moody {
  fault: StorageFault | undefined;
  /** Does what was asked, and then says that it failed. */
  losesAnswers = false;
  pause = 0;
  calls = 0;
  readonly storage: Storage;

  constructor(folder: string) {
    const real = new FilesystemStorage(folder);
    this.storage = new Proxy(real as Storage, {
      get: (_, name) => {
        const value = (real as unknown as Record<string | symbol, unknown>)[name];
        if (typeof value !== 'function') return value;
        const asynchronous = ['putSealed', 'putMutable', 'appendPart', 'sealParts', 'remove', 'parts'].includes(
          String(name),
        );
        if (!asynchronous) return value.bind(real) as unknown;
        return async (...args: unknown[]) => {
          this.calls += 1;
          if (this.pause > 0) await delay(this.pause);
          if (this.fault !== undefined) throw new StorageError(this.fault, 'a fault of the test');
          const result: unknown = await (value as (...all: unknown[]) => Promise<unknown>).apply(real, args);
          if (this.losesAnswers) throw new StorageError('Unavailable', 'the answer was lost');
          return result;
        };
      },
    });
  }
}

async function replica(
  name: string,
  store: Storage,
  more: Partial<ShipperOptions> = {},
  spooling: Partial<SpoolOptions> = {},
) {
  const log: string[] = [];
  const sealed: Manifest[] = [];
  const shipped = { bytes: 0 };
  let shipper: Shipper | undefined;
  const spool = await Spool.open({
    folder: join(home, name),
    durability: 'Process',
    maxBytes: 64 << 20,
    minFreeBytes: 0,
    segmentBytes: 1 << 16,
    segmentAge: 3_600_000,
    events: { grown: (recording) => shipper?.grown(recording) },
    ...spooling,
  });
  const events: ShipperEvents = {
    shipped: (bytes) => void (shipped.bytes += bytes),
    failed: (error) => void log.push(`failed ${error.message}`),
    sealed: (manifest) => {
      sealed.push(manifest);
      log.push(`sealed ${manifest.recording.name}`);
    },
    adopted: (manifest) => {
      sealed.push(manifest);
      log.push(`adopted ${manifest.recording.name}`);
    },
    superseded: (manifest, rest) => void log.push(`superseded ${manifest.recording.name} ${rest}`),
    broken: (recording, reason) => void log.push(`broken ${recording}: ${reason}`),
  };
  shipper = new Shipper({
    spool,
    storage: store,
    key,
    replica: name,
    partInterval: 30,
    announceInterval: 50,
    adoptAfter: 3_600_000,
    events,
    ...more,
  });
  await shipper.start();
  let stopped = false;
  const stop = async (): Promise<void> => {
    if (stopped) return;
    stopped = true;
    await shipper.stop(2_000);
    await spool.close();
  };
  /** As `kill -9` does: nothing is sent any more. */
  const vanish = async (): Promise<void> => {
    stopped = true;
    await shipper.stop(0);
    await spool.close();
  };
  running.push({ stop });
  return { spool, shipper, log, sealed, shipped, stop, vanish };
}

let events = 0;
function lines(count: number, size = 100): Line[] {
  return Array.from({ length: count }, (): EventLine => {
    events += 1;
    return {
      kind: 'Event',
      level: 'Metadata',
      auditID: `event-${events}`,
      stage: 'ResponseComplete',
      requestReceivedTimestamp: '2026-01-02T03:04:05.700Z',
      stageTimestamp: '2026-01-02T03:04:05.800Z',
      requestURI: `/api/v1/pods?x=${randomBytes(size / 2).toString('hex')}`,
      verb: 'list',
      user: { username: 'alice', groups: [] },
      caller: SAMPLE_IDENTITY.caller,
      sourceIPs: ['192.0.2.7'],
      outcome: 'Complete',
    };
  });
}

const append = async (recording: SpooledRecording, count: number, size = 100): Promise<void> =>
  await recording.append(lines(count, size), count * (300 + size));
const identity = (name: string, by = 'a') => ({ ...SAMPLE_IDENTITY, name, replica: by });

async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`in vain: ${what}`);
    await delay(10);
  }
}

async function verified(storage: Storage, name: string) {
  const report = await verifyRecording(recordingFiles(storage, name), (id) =>
    id === key.id ? key.publicKey : undefined,
  );
  assert.deepEqual(report.findings, []);
  return report;
}

async function storedSeq(storage: Storage, name: string): Promise<number> {
  let last = 0;
  for await (const { seq } of linesOf(storage, name)) last = seq;
  return last;
}

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

test('what a process left half written that was killed is cleared away by a later one', async () => {
  mkdirSync(join(home, 'store', 'recordings', 'shop-1'), { recursive: true });
  const left = join(home, 'store', 'recordings', 'shop-1', temporaryName());
  writeFileSync(left, 'half');
  await replica('a', new FilesystemStorage(join(home, 'store'), { temporaryFor: -60_000 }));
  await until('the file is gone', () => !existsSync(left));
});
