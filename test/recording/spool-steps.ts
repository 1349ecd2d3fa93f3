import { writeSync } from 'node:fs';
import { SAMPLE_IDENTITY } from '../../src/recording/cases/sample-recording.ts';
import { Spool } from '../../src/recording/spool/spool.ts';
import type { Durability } from '../../src/recording/spool/spooled-recording.ts';
import { eventLine } from './made-recording.ts';

/** A process that keeps three lines, the last one in a second segment, lets go of the first segment, and says each step on standard output. */
const [folder, durability] = process.argv.slice(2);
const spool = await Spool.open({
  folder: folder!,
  durability: durability as Durability,
  maxBytes: 1 << 24,
  minFreeBytes: 0,
  segmentBytes: 1 << 20,
  segmentAge: 3_600_000,
});
const say = (step: string): void => void writeSync(1, `${step}\n`);
const recording = spool.create(SAMPLE_IDENTITY);
for (const step of ['first', 'second', 'third']) {
  if (step === 'third') recording.rotate();
  say(`begin ${step}`);
  await recording.append([eventLine('ResponseComplete')], 1_000);
  say(`kept ${step}`);
}
const [{ firstSeq, lastSeq, hash, bytes }] = recording.segments as [(typeof recording.segments)[number]];
say('begin seal');
await recording.markSealed(
  { name: '000001.jsonl.zst', firstSeq, lastSeq, hash, bytes, sha256: hash, rawBytes: bytes },
  1,
);
say('kept seal');
await spool.close();
