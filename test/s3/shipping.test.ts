import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { SAMPLE_IDENTITY } from '../../src/recording/cases/sample-recording.ts';
import { layout } from '../../src/recording/segment.ts';
import { Shipper } from '../../src/recording/shipping/shipper.ts';
import { newSigningKey, readSigningKey } from '../../src/recording/signing-key.ts';
import { Spool } from '../../src/recording/spool/spool.ts';
import { faultOf } from '../../src/recording/storage/cases.ts';
import { recordingFiles } from '../../src/recording/stored-recording.ts';
import { verifyRecording } from '../../src/recording/verify.ts';
import { eventLine } from '../recording/made-recording.ts';
import { type S3Server, startS3Server } from './s3-server.ts';

let server: S3Server;
const home = mkdtempSync(join(tmpdir(), 'sallyport-shipping-'));
const key = readSigningKey(newSigningKey());
before(async () => {
  server = await startS3Server();
  await server.makeBucket('recordings', true);
});
after(async () => {
  await server.stop();
  rmSync(home, { recursive: true, force: true });
});

async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`in vain: ${what}`);
    await delay(20);
  }
}

test('recordings reach a real S3 server that is killed and comes back, are sealed, locked, and verify; nothing is left in the spool', async () => {
  const storage = server.storage('recordings', { lockMode: 'Compliance' }, { attempts: 2, timeout: 2_000 });
  let shipper: Shipper | undefined;
  const spool = await Spool.open({
    folder: home,
    durability: 'Process',
    maxBytes: 256 << 20,
    minFreeBytes: 0,
    segmentBytes: 1 << 20,
    segmentAge: 3_600_000,
    events: { grown: (recording) => shipper?.grown(recording) },
  });
  const sealed: string[] = [];
  shipper = new Shipper({
    spool,
    storage,
    key,
    replica: 'a',
    retention: 3_600_000,
    partInterval: 50,
    events: { sealed: (manifest) => void sealed.push(manifest.recording.name) },
  });
  await shipper.start();
  const names = ['one', 'two', 'three'];
  const recordings = names.map((name) => spool.create({ ...SAMPLE_IDENTITY, name }));
  const write = async (rounds: number): Promise<void> => {
    for (let round = 0; round < rounds; round += 1) {
      for (const recording of recordings) {
        const lines = Array.from({ length: 50 }, () =>
          eventLine('ResponseComplete', { requestURI: `/x/${randomBytes(300).toString('hex')}` }),
        );
        await recording.append(lines, 80_000);
      }
    }
  };
  await write(20);
  await until('a first part', () => recordings.every(({ sealed: segments }) => segments.length > 0));
  await server.kill();
  await write(20);
  await until('it is noticed', () => shipper.status.failingFor > 0);
  assert.ok(shipper.status.unshippedBytes > 0);
  await server.restart();
  for (const recording of recordings) await recording.finish('Idle', new Date().toISOString());
  await until('the seals', () => sealed.length === names.length);
  for (const name of names) {
    const report = await verifyRecording(recordingFiles(storage, name), (id) =>
      id === key.id ? key.publicKey : undefined,
    );
    assert.deepEqual(report.findings, []);
    assert.equal(report.state, 'Complete');
    assert.ok(report.segments > 1 && report.lines > 2_000);
    assert.equal(await faultOf(storage.remove(layout.segment(name, 1))), 'Locked');
    assert.equal(await faultOf(storage.remove(layout.manifest(name))), 'Locked');
  }
  assert.equal([...spool.recordings].length, 0);
  for await (const open of storage.listOpen('recordings/')) assert.fail(`${open} is left`);
  await shipper.stop(1_000);
  await spool.close();
  await storage.close();
});
