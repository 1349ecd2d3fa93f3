import { createHash } from 'node:crypto';
import type { Query, S3Objects } from './s3-objects.ts';
import { type ByteRange, StorageError } from './storage.ts';

const PIECE = 8 << 20;

/** What an object holds, piece by piece. @throws StorageError `NotFound`; `Corrupt` where less comes than the store says that there is */
export async function* readObject(
  objects: S3Objects,
  key: string,
  query: Query,
  range: ByteRange,
  signal: AbortSignal | undefined,
): AsyncGenerator<Buffer> {
  let end = range.length === undefined ? Number.POSITIVE_INFINITY : range.offset + range.length;
  let etag: string | undefined;
  for (let start = range.offset; start < end; ) {
    const until = Math.min(end, start + PIECE);
    const { status, headers, body } = await objects.client.send(
      {
        operation: 'GetObject',
        method: 'GET',
        key: objects.name(key),
        query,
        // The pieces have to be of one object: a replaced one answers 412.
        headers: { range: `bytes=${start}-${until - 1}`, ...(etag === undefined ? {} : { 'if-match': etag }) },
        expect: [200, 206, 416],
        limit: until - start,
        expected: until - start,
      },
      signal,
    );
    // 416: nothing is behind this offset, an empty object's first byte included.
    if (status === 416) return;
    const total = Number(/\/(\d+)$/.exec(headers['content-range'] ?? '')?.[1] ?? body.length);
    end = Math.min(end, total);
    if (body.length !== Math.min(until, end) - start) {
      throw new StorageError('Corrupt', `${key}: ${body.length} bytes came, not ${Math.min(until, end) - start}`);
    }
    etag = headers['etag'];
    start += body.length;
    yield body;
  }
}

/** What an object should hold. */
export interface ExpectedContent {
  readonly bytes: number;
  /** Hex. */
  readonly sha256: string;
}

/** Reads an object back, never more of it than should be there. @returns whether it is there and holds exactly this. @throws StorageError */
export async function holds(
  objects: S3Objects,
  key: string,
  query: Query,
  { bytes, sha256 }: ExpectedContent,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const digest = createHash('sha256');
  try {
    // A byte more: what is longer must not pass for what it begins with.
    const range = { offset: 0, length: bytes + 1 };
    for await (const piece of readObject(objects, key, query, range, signal)) digest.update(piece);
  } catch (error) {
    if (error instanceof StorageError && (error.fault === 'NotFound' || error.fault === 'Corrupt')) return false;
    throw error;
  }
  return digest.digest('hex') === sha256;
}
