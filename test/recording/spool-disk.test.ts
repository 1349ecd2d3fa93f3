import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { SAMPLE_IDENTITY } from '../../src/recording/cases/sample-recording.ts';
import { scanSegment } from '../../src/recording/spool/segment-scan.ts';
import { Spool } from '../../src/recording/spool/spool.ts';
import { SpoolError } from '../../src/recording/spool/spool-error.ts';
import { eventLine } from './made-recording.ts';
import { smallDisk } from './small-disk.ts';

test('a disk that has room for half a line: whoever appends is told at once, nothing of it stays, the chain goes on', async (t) => {
  const disk = smallDisk('4m');
  if (typeof disk === 'string') return t.skip(disk);
  const spool = await Spool.open({
    ...{ folder: disk.path, durability: 'Process', maxBytes: 64 << 20, minFreeBytes: 0 },
    ...{ segmentBytes: 32 << 20, segmentAge: 60_000 },
  });
  try {
    const recording = spool.create(SAMPLE_IDENTITY);
    const event = (path: string) => eventLine('ResponseComplete', { requestURI: path });
    await recording.append([event('/first')], 1_000);
    const ballast = join(disk.path, 'ballast');
    spawnSync('dd', ['if=/dev/zero', `of=${ballast}`, 'bs=4096']);
    const { seq } = recording;
    const large = event(`/${'x'.repeat(100_000)}`);
    assert.throws(
      () => recording.append([large], 100_000),
      (error: SpoolError) => error instanceof SpoolError && error.fault === 'Full',
    );
    assert.equal(recording.seq, seq);
    assert.equal(spool.usage.waiting, 0);
    unlinkSync(ballast);
    // The next look at the disk lets a line through.
    while (spool.refusal() !== undefined) await sleep(20);
    await recording.append([event('/second')], 1_000);
    assert.equal(recording.append([event('/third')], 1_000), undefined);
    const scanned = await scanSegment(recording.segments[0]!.path);
    assert.equal(scanned?.lastSeq, seq + 2);
    assert.equal(scanned?.hash, recording.hash);
    assert.equal(scanned?.torn, 0);
  } finally {
    await spool.close();
    disk.remove();
  }
});
