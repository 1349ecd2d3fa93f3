import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { SAMPLE_IDENTITY } from '../../src/recording/cases/sample-recording.ts';
import type { EventLine } from '../../src/recording/line.ts';
import { Shipper } from '../../src/recording/shipping/shipper.ts';
import { newSigningKey, readSigningKey } from '../../src/recording/signing-key.ts';
import { Spool } from '../../src/recording/spool/spool.ts';
import { FilesystemStorage } from '../../src/recording/storage/filesystem.ts';
import { readManifest, recordingFiles } from '../../src/recording/stored-recording.ts';
import { verifyRecording } from '../../src/recording/verify.ts';

const EVENTS = 1_000_000;
const BATCH = 1_000;
const home = mkdtempSync(join(tmpdir(), 'million-'));
after(() => rmSync(home, { recursive: true, force: true }));

function event(number: number, stage: EventLine['stage']): EventLine {
  const now = '2026-01-02T03:04:05.678Z';
  return {
    kind: 'Event',
    level: 'Metadata',
    auditID: `request-${number}`,
    stage,
    requestReceivedTimestamp: now,
    stageTimestamp: now,
    requestURI: '/api/v1/namespaces/shop/configmaps',
    verb: 'create',
    user: { username: 'alice', groups: [] },
    caller: SAMPLE_IDENTITY.caller,
    sourceIPs: ['192.0.2.7'],
    ...(stage === 'ResponseComplete' && { outcome: number % 10 === 0 ? 'Refused' : 'Complete' }),
  };
}

test('a session of a million events: spooled within its bound, shipped, sealed, verified, and memory does not grow with it', {
  timeout: 900_000,
}, async (context) => {
  const key = readSigningKey(newSigningKey());
  const storage = new FilesystemStorage(join(home, 'store'));
  let shipper: Shipper | undefined;
  const maxBytes = 96 << 20;
  const spool = await Spool.open({
    folder: join(home, 'spool'),
    durability: 'Process',
    maxBytes,
    minFreeBytes: 0,
    segmentBytes: 8 << 20,
    segmentAge: 900_000,
    events: { grown: (recording) => shipper?.grown(recording) },
  });
  shipper = new Shipper({ spool, storage, key, replica: 'r' });
  await shipper.start();
  const recording = spool.create(SAMPLE_IDENTITY);
  const begun = performance.now();
  let early = 0;
  let most = 0;
  for (let number = 0; number < EVENTS / 2; number += BATCH / 2) {
    const lines: EventLine[] = [];
    for (let one = number; one < number + BATCH / 2; one += 1) {
      lines.push(event(one, 'RequestReceived'), event(one, 'ResponseComplete'));
    }
    // Faster than the store takes it, as a stream would be slowed.
    while (spool.usage.used > maxBytes - (16 << 20)) await sleep(5);
    await recording.append(lines, BATCH * 600);
    most = Math.max(most, process.memoryUsage.rss());
    if (number === EVENTS / 20) early = process.memoryUsage.rss();
    assert.ok(spool.usage.used <= maxBytes);
  }
  await recording.finish('Stopped', new Date().toISOString());
  shipper.grown(recording);
  while ([...spool.recordings].length > 0) await sleep(20);
  await shipper.stop(10_000);
  await spool.close();
  const written = performance.now() - begun;
  const { manifest } = (await readManifest(storage, SAMPLE_IDENTITY.name))!;
  assert.deepEqual(manifest.counts, { requests: EVENTS / 2, denied: EVENTS / 20, masked: 0, dropped: 0 });
  assert.equal(manifest.lines, EVENTS + manifest.segments.length + 1);
  const report = await verifyRecording(recordingFiles(storage, SAMPLE_IDENTITY.name), () => key.publicKey);
  assert.deepEqual([report.findings, report.lines, report.unknownOutcomes], [[], manifest.lines, 0]);
  const grown = (Math.max(most, process.memoryUsage.rss()) - early) >> 20;
  context.diagnostic(
    `${manifest.segments.length} segments, ${report.bytes >> 20} MiB; written in ${Math.round(written)} ms, verified in ${Math.round(performance.now() - begun - written)} ms; ${grown} MiB more resident than after a tenth`,
  );
  assert.ok(grown < 256, `${grown} MiB`);
});
