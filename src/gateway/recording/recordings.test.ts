import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Caller } from '../../identity/caller.ts';
import type { EventLine } from '../../recording/line.ts';
import { Shipper } from '../../recording/shipping/shipper.ts';
import { newSigningKey, readSigningKey } from '../../recording/signing-key.ts';
import { Spool } from '../../recording/spool/spool.ts';
import { FilesystemStorage } from '../../recording/storage/filesystem.ts';
import { readManifest, recordingFiles } from '../../recording/stored-recording.ts';
import { linesOf } from '../../recording/timeline-lines.ts';
import { verifyRecording } from '../../recording/verify.ts';
import { Recordings, type RecordingsOptions } from './recordings.ts';
import type { SessionWriter } from './session-writer.ts';

let folder: string;
let stop: () => Promise<void>;
const key = readSigningKey(newSigningKey());

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'recordings-'));
});
afterEach(async () => {
  await stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Recordings as a gateway has them, on a spool and a store of their own. */
async function gateway(more: Partial<RecordingsOptions>) {
  const storage = new FilesystemStorage(join(folder, 'store'));
  let shipper: Shipper | undefined;
  const spool = await Spool.open({
    folder: join(folder, 'spool'),
    durability: 'Process',
    maxBytes: 1 << 24,
    minFreeBytes: 0,
    segmentBytes: 1 << 20,
    segmentAge: 3_600_000,
    events: { grown: (recording) => shipper?.grown(recording) },
  });
  shipper = new Shipper({ spool, storage, key, replica: 'r', partInterval: 50 });
  await shipper.start();
  const recordings = new Recordings({
    spool,
    replica: 'r',
    idleTimeout: 3_600_000,
    maxDuration: 3_600_000,
    maxOpen: 2_000,
    onDropped: () => assert.fail('a line was dropped'),
    onLines: () => {},
    onOpened: () => {},
    onEnded: (recording) => shipper?.grown(recording),
    ...more,
  });
  stop = async () => {
    await recordings.stop();
    await shipper.stop(5_000);
    await spool.close();
  };
  /** Why a recording ended, once it is sealed and verified. */
  const sealed = async (writer: SessionWriter): Promise<string> => {
    const { name } = writer.recording.identity;
    for (const end = performance.now() + 60_000; performance.now() < end; await sleep(20)) {
      const there = await readManifest(storage, name);
      if (there === undefined) continue;
      const report = await verifyRecording(recordingFiles(storage, name), (id) =>
        id === key.id ? key.publicKey : undefined,
      );
      assert.deepEqual([report.sound, report.state], [true, 'Complete']);
      return there.manifest.reason;
    }
    throw new Error(`${name} is not sealed`);
  };
  return { recordings, storage, spool, sealed };
}

function caller(username: string, more: Partial<Caller> = {}): Caller {
  return {
    method: 'OIDC',
    issuer: 'https://ci.shop.example',
    username,
    uid: username,
    groups: [],
    serviceAccount: undefined,
    agent: undefined,
    onBehalfOf: undefined,
    session: undefined,
    expiresAt: Number.POSITIVE_INFINITY,
    authTime: undefined,
    ...more,
  };
}

let requests = 0;
async function request(writer: SessionWriter): Promise<void> {
  const now = new Date().toISOString();
  const event: EventLine = {
    kind: 'Event',
    level: 'Metadata',
    auditID: `request-${(requests += 1)}`,
    stage: 'ResponseComplete',
    requestReceivedTimestamp: now,
    stageTimestamp: now,
    requestURI: '/api/v1/pods',
    verb: 'list',
    user: { username: 'a', groups: [] },
    caller: { method: 'OIDC', issuer: 'i' },
    sourceIPs: [],
    outcome: 'Complete',
  };
  writer.active += 1;
  await writer.append([event], 500);
  writer.active -= 1;
  writer.usedAt = performance.now();
}

test('CI: one recording for each subject and run, whichever token it comes with; none of them is another’s', async () => {
  const { recordings } = await gateway({});
  // Each job of a run has a token of its own, and so is a caller of its own.
  const first = recordings.of(caller('repo:shop/web', { run: '17' }));
  assert.equal(recordings.of(caller('repo:shop/web', { run: '17', expiresAt: 5 })), first);
  const second = recordings.of(caller('repo:shop/web', { run: '18' }));
  const other = recordings.of(caller('repo:shop/api', { run: '17' }));
  assert.equal(new Set([first, second, other]).size, 3);
  for (const writer of [first, second, other]) await request(writer);
  assert.deepEqual(
    [first, second, other].map(({ recording }) => recording.identity.caller.run),
    ['17', '18', '17'],
  );
  assert.notEqual(recordings.of(caller('repo:shop/web', { run: '17', issuer: 'https://other.example' })), first);
});

test('agent sessions: one each; it ends with the session, not before its last request', async () => {
  const { recordings, sealed } = await gateway({});
  const alice = caller('alice', { session: 'cursor-1', agent: 'cursor' });
  const writer = recordings.of(alice);
  assert.equal(recordings.of({ ...alice }), writer);
  assert.notEqual(recordings.of({ ...alice, session: 'cursor-2' }), writer);
  await request(writer);
  writer.active += 1;
  recordings.endSession('cursor-1');
  await sleep(1_500);
  assert.equal(writer.recording.ending, false, 'a request of it is under way');
  writer.active -= 1;
  assert.equal(await sealed(writer), 'SessionEnded');
});

test('idle: sealed when nothing was asked for so long, and not while something is under way; then the next one begins', async () => {
  const { recordings, sealed } = await gateway({ idleTimeout: 200 });
  const alice = caller('alice');
  const writer = recordings.of(alice);
  const busy = recordings.of(caller('bob'));
  busy.active += 1;
  await request(writer);
  assert.equal(await sealed(writer), 'Idle');
  assert.equal(busy.recording.ending, false);
  busy.active -= 1;
  const next = recordings.of(alice);
  assert.notEqual(next, writer);
  await request(next);
  assert.equal(await sealed(next), 'Idle');
});

test('age: a recording that is too old is sealed, and the session goes on in another one', async () => {
  const { recordings, sealed } = await gateway({ maxDuration: 200 });
  const alice = caller('alice', { session: 'cursor-1' });
  const writer = recordings.of(alice);
  await request(writer);
  assert.equal(await sealed(writer), 'Full');
  await request(recordings.of(alice));
  assert.notEqual(recordings.of(alice), writer);
});

test('too old with a stream under way: the session goes on in another one, and the old one is sealed when the stream ends', async () => {
  const { recordings, sealed } = await gateway({ maxDuration: 200 });
  const alice = caller('alice', { session: 'cursor-1' });
  const old = recordings.of(alice);
  await request(old);
  old.active += 1;
  for (const end = performance.now() + 30_000; recordings.of(alice) === old && performance.now() < end; )
    await sleep(20);
  const next = recordings.of(alice);
  assert.notEqual(next, old);
  await request(next);
  assert.deepEqual([recordings.open, old.recording.ending], [2, false]);
  await request(old);
  assert.equal(await sealed(next), 'Full');
  old.active -= 1;
  assert.equal(await sealed(old), 'Full');
});

test('the cap: two thousand are open at most; one more seals the one that was unused for longest, and nobody waits', async () => {
  const { recordings, sealed } = await gateway({});
  const writers = Array.from({ length: 2_000 }, (_, index) => recordings.of(caller(`agent-${index}`)));
  await Promise.all(writers.map((writer) => request(writer)));
  // The first is under way, the third has just been used: the second is the one.
  writers[0]!.active += 1;
  for (const writer of writers) writer.usedAt = performance.now();
  writers[0]!.usedAt = 0;
  writers[1]!.usedAt = 1;
  const one = recordings.of(caller('one-more'));
  await request(one);
  assert.equal(recordings.open, 2_000);
  assert.equal(await sealed(writers[1]!), 'Cap');
  assert.deepEqual([writers[0]!.recording.ending, writers[2]!.recording.ending], [false, false]);
  writers[0]!.active -= 1;
});

test('the clock jumps back by a day: lines keep their order, nothing ends or hangs, and the recording verifies', async (context) => {
  const { recordings, storage, sealed } = await gateway({ idleTimeout: 2_000 });
  const writer = recordings.of(caller('alice'));
  await request(writer);
  const real = Date.now();
  context.mock.timers.enable({ apis: ['Date'], now: real - 86_400_000 });
  await request(writer);
  assert.equal(writer.recording.ending, false);
  context.mock.timers.setTime(real + 3_600_000);
  await request(writer);
  assert.equal(writer.recording.ending, false, 'an hour ahead is not an hour without requests');
  context.mock.timers.reset();
  assert.equal(await sealed(writer), 'Idle');
  const times: string[] = [];
  let last = 0;
  for await (const { seq, line } of linesOf(storage, writer.recording.identity.name)) {
    assert.equal(seq, last + 1);
    last = seq;
    if (line.kind === 'Event') times.push(line.stageTimestamp);
  }
  assert.equal(times.length, 3);
  assert.ok(times[1]! < times[0]! && times[2]! > times[0]!, 'timestamps are what the clock said');
});
