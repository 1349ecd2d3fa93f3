import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import {
  appendFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { SAMPLE_IDENTITY } from '../cases/sample-recording.ts';
import { lineHash, splitLine, startOf } from '../chain.ts';
import type { EventLine, Line } from '../line.ts';
import type { ManifestSegment } from '../manifest.ts';
import { Spool, type SpoolOptions } from './spool.ts';
import { SpoolError } from './spool-error.ts';
import { SpoolLocked } from './spool-lock.ts';
import { readSegment } from './spooled-segment.ts';

let folder: string;
const NAME = SAMPLE_IDENTITY.name;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'spool-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function open(more: Partial<SpoolOptions> = {}): Promise<Spool> {
  return Spool.open({
    folder,
    durability: 'Process',
    maxBytes: 1 << 20,
    minFreeBytes: 0,
    segmentBytes: 1 << 16,
    segmentAge: 3_600_000,
    ...more,
  });
}

function event(id: string, stage: EventLine['stage'], requestURI = '/api/v1/pods'): EventLine {
  return {
    kind: 'Event',
    level: 'Metadata',
    auditID: id,
    stage,
    requestReceivedTimestamp: '2026-01-02T03:04:05.700Z',
    stageTimestamp: '2026-01-02T03:04:05.800Z',
    requestURI,
    verb: 'create',
    user: { username: 'alice', groups: [] },
    caller: SAMPLE_IDENTITY.caller,
    sourceIPs: ['192.0.2.7'],
  };
}

function linesIn(spool: string, name = NAME): Line[] {
  const path = join(spool, 'recordings', name);
  let hash = startOf(name);
  let seq = 0;
  const lines: Line[] = [];
  for (const file of readdirSync(path)
    .filter((one) => one.endsWith('.jsonl'))
    .sort((a, b) => (a < b ? -1 : 1))) {
    for (const line of readFileSync(join(path, file), 'utf8').split('\n').slice(0, -1)) {
      const split = splitLine(Buffer.from(line))!;
      assert.equal(split.seq, seq + 1);
      assert.equal(split.hash, lineHash(hash, Buffer.from(line)));
      ({ seq, hash } = split);
      lines.push(JSON.parse(line) as Line);
    }
  }
  return lines;
}

const kinds = (lines: readonly Line[]): string[] =>
  lines.map((line) => (line.kind === 'Event' ? line.auditID : line.kind));

test('what is appended is in the file when the promise resolves, in order, one write for all that waited', async () => {
  let commits = 0;
  const spool = await open({ events: { committed: () => void (commits += 1) } });
  const recording = spool.create(SAMPLE_IDENTITY);
  const appended = Array.from({ length: 50 }, (_, index) =>
    recording.append([event(`e${index}`, 'RequestReceived')], 300),
  );
  await Promise.all(appended);
  assert.deepEqual(kinds(linesIn(folder)), ['Segment', ...Array.from({ length: 50 }, (_, index) => `e${index}`)]);
  assert.equal(commits, 1);
  await spool.close();
});

test('once a segment is open, what is appended is in the file when the call returns, behind what waits for the disk', async (t) => {
  let commits = 0;
  const spool = await open({ events: { committed: () => void (commits += 1) } });
  const recording = spool.create(SAMPLE_IDENTITY);
  await recording.append([event('a', 'RequestReceived')], 300);
  if (recording.append([event('b', 'RequestReceived')], 300) !== undefined) {
    await spool.close();
    return t.skip('the folder for temporary files is on no disk of this machine');
  }
  assert.deepEqual(kinds(linesIn(folder)), ['Segment', 'a', 'b']);
  // For the pool, which is slower; nothing overtakes it.
  const large = recording.append(
    [{ ...event('large', 'RequestReceived'), requestURI: `/${'x'.repeat(500_000)}` }],
    500_000,
  );
  const behind = recording.append([event('behind', 'RequestReceived')], 300);
  assert.ok(large instanceof Promise && behind instanceof Promise);
  await Promise.all([large, behind]);
  assert.deepEqual(kinds(linesIn(folder)), ['Segment', 'a', 'b', 'large', 'behind']);
  assert.equal(commits, 3);
  assert.equal(spool.usage.waiting, 0);
  await spool.close();
});

test('a spool is resumed: the chain goes on, requests without an end are known, counts too', async () => {
  const spool = await open();
  const recording = spool.create(SAMPLE_IDENTITY);
  await recording.append(
    [event('a', 'RequestReceived'), event('b', 'RequestReceived'), event('a', 'ResponseComplete')],
    900,
  );
  await spool.close();

  const again = await open();
  const resumed = again.recording(NAME)!;
  assert.deepEqual([...resumed.open], ['b']);
  assert.equal(resumed.counts.requests, 1);
  assert.deepEqual(resumed.identity, SAMPLE_IDENTITY);
  await resumed.append([event('b', 'ResponseComplete')], 300);
  // In a segment of its own: the store may have sealed the one before.
  assert.equal(linesIn(folder).length, 6);
  await again.close();
});

test('segments rotate by size; the new one names what is under way, and its predecessor', async () => {
  const spool = await open({ segmentBytes: 2_000 });
  const recording = spool.create(SAMPLE_IDENTITY);
  for (let number = 0; number < 12; number += 1) await recording.append([event(`e${number}`, 'RequestReceived')], 300);
  assert.ok(recording.segments.length > 2);
  const heads = linesIn(folder).filter((line) => line.kind === 'Segment');
  assert.ok(heads[1]!.open.includes('e0'));
  assert.equal(heads[1]!.predecessor?.hash, recording.segments[0]!.hash);
  await spool.close();
  const again = await open();
  assert.equal(again.recording(NAME)!.segments.length, recording.segments.length);
  assert.equal(again.recording(NAME)!.open.size, 12);
  await again.close();
});

test('a line that was not finished is cut off, and said', async () => {
  const spool = await open();
  await spool.create(SAMPLE_IDENTITY).append([event('a', 'RequestReceived')], 300);
  await spool.close();
  const file = join(folder, 'recordings', NAME, '000001.jsonl');
  const whole = readFileSync(file);
  for (const tail of [whole.subarray(-200, -1), Buffer.alloc(5_000), Buffer.from('{"seq":3,'), Buffer.from('\n\n')]) {
    writeFileSync(file, Buffer.concat([whole, tail]));
    const torn: number[] = [];
    const again = await open({ events: { torn: (_, bytes) => void torn.push(bytes) } });
    assert.deepEqual(torn, [tail.length]);
    assert.equal(statSync(file).size, whole.length);
    await again.close();
  }
});

test('a first line that was not finished leaves nothing', async () => {
  const spool = await open();
  await spool.create(SAMPLE_IDENTITY).append([event('a', 'RequestReceived')], 300);
  await spool.close();
  const file = join(folder, 'recordings', NAME, '000001.jsonl');
  writeFileSync(file, readFileSync(file).subarray(0, 40));
  const again = await open();
  assert.equal(again.recording(NAME), undefined);
  assert.deepEqual(readdirSync(join(folder, 'recordings')), []);
  await again.create(SAMPLE_IDENTITY).append([event('b', 'RequestReceived')], 300);
  assert.deepEqual(kinds(linesIn(folder)), ['Segment', 'b']);
  await again.close();
});

const CORRUPTIONS: Readonly<Record<string, (file: string, lines: string[]) => void>> = {
  'a changed line': (file, lines) => writeFileSync(file, lines.with(2, lines[2]!.replace('alice', 'malle')).join('\n')),
  'a removed line': (file, lines) => writeFileSync(file, lines.toSpliced(2, 1).join('\n')),
  'bytes between lines': (file, lines) => writeFileSync(file, lines.toSpliced(2, 0, 'junk').join('\n')),
  'a changed first line': (file, lines) =>
    writeFileSync(file, lines.with(0, lines[0]!.replace('alice', 'malle')).join('\n')),
  'a file that does not belong': (file) => writeFileSync(join(file, '..', 'notes.txt'), 'x'),
};

for (const [name, corrupt] of Object.entries(CORRUPTIONS)) {
  test(`a corrupt recording is kept aside and reported, the others and the service go on: ${name}`, async () => {
    const spool = await open();
    const recording = spool.create(SAMPLE_IDENTITY);
    for (const id of ['a', 'b', 'c', 'd']) await recording.append([event(id, 'RequestReceived')], 300);
    await spool.create({ ...SAMPLE_IDENTITY, name: 'another' }).append([event('z', 'RequestReceived')], 300);
    await spool.close();
    const file = join(folder, 'recordings', NAME, '000001.jsonl');
    corrupt(file, readFileSync(file, 'utf8').split('\n'));

    const told: string[] = [];
    const again = await open({ events: { corrupt: (what, aside) => void told.push(what, aside) } });
    assert.equal(told[0], NAME);
    assert.ok(readdirSync(told[1]!).includes('000001.jsonl'), 'its files are there still');
    assert.equal(again.recording(NAME), undefined);
    await again.recording('another')!.append([event('y', 'RequestReceived')], 300);
    await again.close();
  });
}

test('a full spool refuses, at once and with the reason; what was let go makes room', async () => {
  const spool = await open({ maxBytes: 20_000, segmentBytes: 4_000 });
  const recording = spool.create(SAMPLE_IDENTITY);
  await assert.rejects(
    async () => {
      for (;;) await recording.append([event('e', 'RequestReceived')], 300);
    },
    (error: SpoolError) => error.fault === 'Full' && /the store does not take them/.test(error.message),
  );
  assert.ok(spool.usage.used <= 20_000);
  const [first] = recording.segments;
  const mark: ManifestSegment = {
    name: '000001.jsonl.zst',
    firstSeq: first!.firstSeq,
    lastSeq: first!.lastSeq,
    hash: first!.hash,
    bytes: 1,
    sha256: '00',
    rawBytes: first!.bytes,
  };
  await recording.markSealed(mark, 1);
  assert.equal(spool.refusal(), undefined);
  await recording.append([event('f', 'RequestReceived')], 300);
  await spool.close();
  const again = await open({ maxBytes: 20_000, segmentBytes: 4_000 });
  assert.deepEqual(again.recording(NAME)!.sealed, [mark]);
  assert.equal(again.recording(NAME)!.seq, recording.seq);
  assert.equal(again.usage.used, spool.usage.used);
  await again.close();
});

test('what waits in memory is bounded', async () => {
  const spool = await open({ maxBytes: 1 << 30 });
  const recording = spool.create(SAMPLE_IDENTITY);
  const refused = (): void => {
    for (let round = 0; round < 100; round += 1)
      recording.append([event('e', 'RequestReceived')], 1 << 20)?.catch(() => {});
  };
  assert.throws(refused, (error: SpoolError) => error.fault === 'Slow');
  await spool.close();
});

test('a second process is refused with the name of the first, and takes over from one that is dead', async () => {
  const spool = await open();
  const impatient = Spool.open({
    folder,
    durability: 'Process',
    maxBytes: 1,
    minFreeBytes: 0,
    segmentBytes: 1,
    segmentAge: 1,
  });
  await assert.rejects(
    impatient,
    (error: Error) => error instanceof SpoolLocked && error.message.includes(`process ${process.pid}`),
  );
  await spool.close();

  const dead = spawn(process.execPath, ['-e', '']);
  await new Promise((resolve) => dead.once('exit', resolve));
  const lock = join(folder, 'lock');
  const namespace = readlinkSync('/proc/self/ns/pid');
  writeFileSync(lock, JSON.stringify({ id: 'x', host: hostname(), pid: dead.pid, namespace, started: '1' }));
  const began = performance.now();
  const second = await open();
  assert.ok(performance.now() - began < 3_000, 'a process of this machine that is gone is seen at once');
  await second.close();

  writeFileSync(lock, JSON.stringify({ id: 'x', host: 'elsewhere', pid: 1, namespace: '', started: '' }));
  utimesSync(lock, new Date(Date.now() - 60_000), new Date(Date.now() - 60_000));
  const third = await open();
  await third.close();
});

test('whoever lost the lock writes no more', async () => {
  let lost = false;
  const spool = await open({ events: { lockLost: () => void (lost = true) } });
  const recording = spool.create(SAMPLE_IDENTITY);
  await recording.append([event('a', 'RequestReceived')], 300);
  writeFileSync(join(folder, 'lock'), JSON.stringify({ id: 'another', host: 'elsewhere', pid: 1 }));
  while (!lost) await new Promise((resolve) => setTimeout(resolve, 100));
  assert.throws(() => recording.append([event('b', 'RequestReceived')], 300), SpoolError);
  await spool.close();
  assert.ok(readFileSync(join(folder, 'lock'), 'utf8').includes('another'), 'the lock of another stays');
});

test('the last line ends a recording, and is the last', async () => {
  const spool = await open();
  const recording = spool.create(SAMPLE_IDENTITY);
  await recording.append([event('a', 'RequestReceived')], 300);
  await recording.finish('Idle', '2026-01-02T03:04:05.700Z');
  assert.throws(
    () => recording.append([event('b', 'RequestReceived')], 300),
    (error: SpoolError) => error.fault === 'Ended',
  );
  assert.equal(recording.segments.at(-1)!.closed, true);
  assert.equal(linesIn(folder).at(-1)?.kind, 'End');
  await spool.close();
  const again = await open();
  assert.equal(again.recording(NAME)!.end?.reason, 'Idle');
  assert.equal(again.recording(NAME)!.ending, true);
  await again.close();
});

test('a reader of an open segment sees whole lines only', async () => {
  const spool = await open();
  const recording = spool.create(SAMPLE_IDENTITY);
  await recording.append([event('a', 'RequestReceived')], 300);
  const [segment] = recording.segments;
  appendFileSync(segment!.path, '{"seq":3,"half');
  const bytes = await readSegment(segment!, 0, 1 << 20);
  assert.equal(bytes.at(-1), 0x0a);
  assert.equal(bytes.length, segment!.bytes);
  await spool.close();
});
