import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { SAMPLE_IDENTITY } from '../../src/recording/cases/sample-recording.ts';
import type { JointManifest } from '../../src/recording/joint-manifest.ts';
import { layout } from '../../src/recording/segment.ts';
import { Shipper } from '../../src/recording/shipping/shipper.ts';
import { newSigningKey, readSigningKey } from '../../src/recording/signing-key.ts';
import { Spool } from '../../src/recording/spool/spool.ts';
import { faultOf } from '../../src/recording/storage/cases.ts';
import { storeIdentity } from '../../src/recording/store-identity.ts';
import { recordingFiles } from '../../src/recording/stored-recording.ts';
import { verifySuccession } from '../../src/recording/succession.ts';
import { verifyStored } from '../../src/recording/verify-joint.ts';
import { eventLine } from '../recording/made-recording.ts';
import { type S3Server, startS3Server } from './s3-server.ts';

const SESSION = 'cursor-shared';
let server: S3Server;
const home = mkdtempSync(join(tmpdir(), 'sallyport-joint-'));
const key = readSigningKey(newSigningKey());
before(async () => {
  server = await startS3Server();
  await server.makeBucket('shared', true);
});
after(async () => {
  await server.stop();
  rmSync(home, { recursive: true, force: true });
});

async function until(what: string, holds: () => boolean): Promise<void> {
  for (const end = Date.now() + 60_000; !holds(); await delay(20)) assert.ok(Date.now() < end, `in vain: ${what}`);
}

test('a session of two replicas in a bucket with object lock: one recording, everything locked, and sealed anew beside what is', async () => {
  const open = () => server.storage('shared', { lockMode: 'Compliance' }, { attempts: 2, timeout: 5_000 });
  const joined: JointManifest[] = [];
  const replicas = await Promise.all(
    ['one', 'two'].map(async (name) => {
      const storage = open();
      let shipper: Shipper | undefined;
      const spool = await Spool.open({
        folder: join(home, name),
        durability: 'Process',
        maxBytes: 64 << 20,
        minFreeBytes: 0,
        segmentBytes: 1 << 20,
        segmentAge: 3_600_000,
        events: { grown: (recording) => shipper?.grown(recording) },
      });
      shipper = new Shipper({
        spool,
        storage,
        key,
        replica: name,
        retention: 3_600_000,
        partInterval: 50,
        announceInterval: 200,
        events: { joined: (manifest) => void joined.push(manifest) },
      });
      await shipper.start();
      return { name, storage, spool, shipper };
    }),
  );
  // All who come first ask at once, and are told the same.
  const identities = await Promise.all(
    Array.from({ length: 6 }, (_, index) => storeIdentity(replicas[index % 2]!.storage)),
  );
  assert.equal(new Set(identities).size, 1);

  const write = async (chain: (name: string) => string): Promise<void> => {
    const recordings = replicas.map(({ name, spool }) =>
      spool.create({
        ...SAMPLE_IDENTITY,
        name: `${SESSION}.${chain(name)}`,
        replica: name,
        startTime: new Date().toISOString(),
      }),
    );
    for (const recording of recordings)
      await recording.append([eventLine('ResponseComplete'), eventLine('ResponseComplete')], 2_000);
    for (const [index, recording] of recordings.entries()) await replicas[index]!.shipper.flush(recording);
    await Promise.all(recordings.map((recording) => recording.finish('Idle', new Date().toISOString())));
  };
  await write((name) => name);
  await until('the first seal', () => joined.some(({ chains }) => chains.length === 2));
  const sealed = Math.max(...joined.map(({ number }) => number));
  await write((name) => `${name}-again`);
  await until('the next seal', () => joined.some(({ chains }) => chains.length === 4));

  const { storage } = replicas[0]!;
  const report = await verifyStored(recordingFiles(storage, SESSION), (id) =>
    id === key.id ? key.publicKey : undefined,
  );
  assert.deepEqual(report.findings, []);
  assert.equal(report.state, 'Complete');
  assert.equal(report.chains!.length, 4);
  assert.deepEqual(verifySuccession([report]), []);
  const last = Math.max(...joined.map(({ number }) => number));
  assert.ok(last > sealed);
  for (let number = 1; number <= last; number += 1) {
    assert.equal(await faultOf(storage.remove(layout.manifest(SESSION, number))), 'Locked', String(number));
  }
  assert.equal(await faultOf(storage.remove(layout.manifest(`${SESSION}.one`))), 'Locked');
  assert.equal(await faultOf(storage.remove(layout.segment(`${SESSION}.two-again`, 1))), 'Locked');
  for await (const left of storage.listOpen('recordings/')) assert.fail(`${left} is left`);
  for (const each of replicas) {
    await each.shipper.stop(1_000);
    await each.spool.close();
    await each.storage.close();
  }
});
