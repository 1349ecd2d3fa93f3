import { open } from 'node:fs/promises';
import { pool } from '../../buffer-pool.ts';

/** A segment as it lies in the spool: its lines, unpacked. */
export interface SpooledSegment {
  readonly recording: string;
  readonly number: number;
  /** The file of its lines. */
  readonly path: string;
  readonly firstSeq: number;
  /** Whole lines that are in the file. */
  readonly bytes: number;
  readonly lastSeq: number;
  readonly hash: string;
  /** No more lines come. */
  readonly closed: boolean;
}

/** Bytes of a segment from `offset`, never more than were whole lines when it was asked; of the pool, to which they may be given back. */
export async function readSegment(segment: SpooledSegment, offset: number, length: number): Promise<Buffer> {
  const wanted = Math.min(length, segment.bytes - offset);
  const buffer = pool.take(Math.max(0, wanted));
  const file = await open(segment.path, 'r');
  try {
    let filled = 0;
    while (filled < buffer.length) {
      const { bytesRead } = await file.read(buffer, filled, buffer.length - filled, offset + filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return buffer.subarray(0, filled);
  } finally {
    await file.close();
  }
}
