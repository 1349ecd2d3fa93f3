import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { SAMPLE_IDENTITY } from '../cases/sample-recording.ts';
import type { FrameLine } from '../line.ts';
import { newSigningKey, readSigningKey } from '../signing-key.ts';
import { Spool } from '../spool/spool.ts';
import type { SpooledRecording } from '../spool/spooled-recording.ts';
import { FilesystemStorage } from '../storage/filesystem.ts';
import type { StoredPart } from '../storage/storage.ts';
import { Shipper } from './shipper.ts';

let home = '';
before(async () => {
  home = await mkdtemp(join(tmpdir(), 'part-pace-'));
});
after(() => rm(home, { recursive: true }));

class Noted extends FilesystemStorage {
  readonly noted: { readonly at: number; readonly lines: number }[] = [];

  override async appendPart(key: string, part: StoredPart, content: Buffer): Promise<void> {
    this.noted.push({ at: performance.now(), lines: part.lastSeq - part.firstSeq + 1 });
    await super.appendPart(key, part, content);
  }
}

const LINE_BYTES = 64 << 10;

async function append(recording: SpooledRecording, bytes: number): Promise<void> {
  const data = randomBytes((LINE_BYTES / 4) * 3).toString('base64');
  const line: FrameLine = {
    kind: 'Frame',
    auditID: 'i',
    time: new Date().toISOString(),
    elapsed: 1,
    channel: 'stdout',
    encoding: 'base64',
    data,
  };
  for (let sent = 0; sent < bytes; sent += LINE_BYTES) await recording.append([line], LINE_BYTES);
}

async function shipping(name: string) {
  const storage = new Noted(join(home, name, 'store'));
  let shipper: Shipper | undefined;
  const spool = await Spool.open({
    folder: join(home, name, 'spool'),
    durability: 'Process',
    maxBytes: 256 << 20,
    minFreeBytes: 0,
    segmentBytes: 64 << 20,
    segmentAge: 3_600_000,
    events: { grown: (recording) => shipper?.grown(recording) },
  });
  const key = readSigningKey(newSigningKey());
  shipper = new Shipper({ spool, storage, key, replica: name, partInterval: 60_000 });
  await shipper.start();
  const recording = spool.create({ ...SAMPLE_IDENTITY, name });
  const stop = async (): Promise<void> => {
    await shipper.stop(5_000);
    await spool.close();
  };
  return { storage, recording, stop };
}

async function until(met: () => boolean): Promise<void> {
  for (const late = performance.now() + 10_000; !met(); await sleep(5)) assert.ok(performance.now() < late, 'in time');
}

test('a mebibyte goes at once, and the next one when some time has passed', async () => {
  const { storage, recording, stop } = await shipping('paced');
  await append(recording, 1.1 * 2 ** 20);
  await until(() => storage.noted.length === 1);
  await append(recording, 1.1 * 2 ** 20);
  await until(() => storage.noted.length === 2);
  const [first, second] = storage.noted;
  assert.ok(second!.at - first!.at > 100, `${second!.at - first!.at} ms`);
  await stop();
});

test('of a flood four mebibytes go at once', async () => {
  const { storage, recording, stop } = await shipping('flood');
  await append(recording, 32 << 20);
  await until(() => storage.noted.reduce((sum, { lines }) => sum + lines, 0) > 400);
  await stop();
  // The first one is a mebibyte; behind it parts are as large as they may be.
  assert.ok(storage.noted.length <= 16, `${storage.noted.length} parts`);
});
