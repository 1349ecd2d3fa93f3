import { createReadStream } from 'node:fs';
import { lineHash, splitLine, startOf } from '../chain.ts';
import { countLine, NO_COUNTS } from '../counts.ts';
import type { EndLine, Line, RecordingCounts, SegmentLine } from '../line.ts';

/** What a segment's file in the spool holds. */
export interface ScannedSegment {
  readonly head: SegmentLine;
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly hash: string;
  /** Of whole, chained lines. */
  readonly bytes: number;
  /** Behind them: a line that was not finished. */
  readonly torn: number;
  readonly counts: RecordingCounts;
  /** Received and not complete, at its end. */
  readonly open: ReadonlySet<string>;
  readonly end: EndLine | undefined;
}

/** A spool's file that is not as it was written, and not merely unfinished. */
export class CorruptSegment extends Error {}

/**
 * Reads a segment's file after a restart. What follows the last good line is torn if it holds no line at all: a write
 * that was cut off, or blocks that never reached the disk. If lines follow it, something has changed the file.
 * @returns undefined where nothing whole is in it
 * @throws CorruptSegment
 */
export async function scanSegment(path: string): Promise<ScannedSegment | undefined> {
  let head: SegmentLine | undefined;
  let firstSeq = 0;
  let seq = 0;
  let hash = '';
  let bytes = 0;
  let number = 0;
  let counts: RecordingCounts = NO_COUNTS;
  let end: EndLine | undefined;
  let bad = false;
  const open = new Set<string>();

  const take = (line: Buffer): void => {
    number += 1;
    const split = splitLine(line);
    if (bad) {
      if (split !== undefined) throw new CorruptSegment(`line ${number}: follows on bytes that are no line`);
      return;
    }
    if (split === undefined) {
      bad = true;
      return;
    }
    if (head === undefined) {
      head = JSON.parse(line.toString('utf8')) as SegmentLine;
      if (head.kind !== 'Segment') throw new CorruptSegment('does not begin with the line of a segment');
      const before = head.predecessor?.hash ?? startOf(head.recording.name);
      if (lineHash(before, line) !== split.hash) throw new CorruptSegment('line 1: its hash does not hold');
      firstSeq = split.seq;
      counts = head.counts;
      for (const id of head.open) open.add(id);
    } else {
      if (split.seq !== seq + 1) throw new CorruptSegment(`line ${number}: number ${split.seq} follows ${seq}`);
      if (lineHash(hash, line) !== split.hash) throw new CorruptSegment(`line ${number}: its hash does not hold`);
      const value = JSON.parse(line.toString('utf8')) as Line;
      counts = countLine(counts, value);
      if (value.kind === 'End') end = value;
      else if (value.kind === 'Event') {
        if (value.stage === 'ResponseComplete') open.delete(value.auditID);
        else open.add(value.auditID);
      }
    }
    ({ seq, hash } = split);
    bytes += line.length + 1;
  };

  const rest = await eachLine(path, take);
  if (head === undefined) return undefined;
  return { head, firstSeq, lastSeq: seq, hash, bytes, torn: rest.size - bytes, counts, open, end };
}

/** Calls back with every line that a newline ends. */
async function eachLine(path: string, take: (line: Buffer) => void): Promise<{ size: number }> {
  let size = 0;
  let held: Buffer[] = [];
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 }) as AsyncIterable<Buffer>) {
    size += chunk.length;
    let from = 0;
    for (let end = chunk.indexOf(0x0a); end !== -1; end = chunk.indexOf(0x0a, from)) {
      const piece = chunk.subarray(from, end);
      take(held.length === 0 ? piece : Buffer.concat([...held, piece]));
      held = [];
      from = end + 1;
    }
    if (from < chunk.length) held.push(chunk.subarray(from));
  }
  return { size };
}
