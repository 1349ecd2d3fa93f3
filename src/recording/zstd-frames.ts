import { constants, createZstdDecompress, zstdCompress, zstdDecompress } from 'node:zlib';

/** No frame of a recording is larger, packed or not; a larger one was not written by Sallyport. */
export const MAX_FRAME = 64 << 20;

/** Bytes at `offset` of a segment that are no zstd frame. */
export class BrokenFrame extends Error {
  readonly offset: number;
  /** What could still be unpacked before the fault. */
  readonly salvaged: Buffer;
  /** Offset behind the frame, where its length could be told. */
  readonly next: number | undefined;

  constructor(message: string, offset: number, next?: number, salvaged: Buffer = Buffer.alloc(0)) {
    super(message);
    this.offset = offset;
    this.next = next;
    this.salvaged = salvaged;
  }
}

/** Packs whole lines into one frame with a checksum, in the thread pool. */
export function packFrame(lines: Buffer, level: number): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const params = { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_checksumFlag]: 1 };
  // Node asks the pool once for each chunk of what comes out, and takes new memory for each: mostly the first one holds it all.
  const chunkSize = Math.max(1 << 14, lines.length >> 3);
  zstdCompress(lines, { params, pledgedSrcSize: lines.length, chunkSize }, (error, packed) => {
    if (error === null) resolve(packed);
    else reject(error);
  });
  return promise;
}

/** Unpacks one frame in the thread pool. @throws BrokenFrame with what came out before the fault. */
export async function unpackFrame(frame: Buffer, offset: number): Promise<Buffer> {
  const { promise, resolve } = Promise.withResolvers<Buffer | undefined>();
  // Unpacked in one go where the frame says how long it becomes; what it says wrongly costs no memory beyond the bound.
  const chunkSize = Math.min(contentSize(frame) ?? 1 << 16, 4 << 20) + 64;
  const options = { maxOutputLength: MAX_FRAME, chunkSize };
  zstdDecompress(frame, options, (error, lines) => resolve(error === null ? lines : undefined));
  const lines = await promise;
  if (lines !== undefined) return lines;
  const unchecked = await unpackUnchecked(frame);
  if (unchecked !== undefined) {
    throw new BrokenFrame('its checksum does not hold', offset, offset + frame.length, unchecked);
  }
  const { salvaged, message } = await salvage(frame);
  throw new BrokenFrame(message, offset, offset + frame.length, salvaged);
}

/**
 * The unpacked bytes of a segment, frame by frame. (Node's own zstd stops behind the first frame and says nothing.)
 * @throws BrokenFrame
 */
export async function* unpackSegment(bytes: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  for await (const { offset, frame } of frames(bytes)) yield await unpackFrame(frame, offset);
}

/** A changed byte mostly shows at the frame's checksum only: without it everything comes out, and the lines say which it was. */
function unpackUnchecked(frame: Buffer): Promise<Buffer | undefined> {
  const { promise, resolve } = Promise.withResolvers<Buffer | undefined>();
  const descriptor = frame[4]!;
  if ((descriptor & CHECKSUM) === 0) return Promise.resolve(undefined);
  const bare = Buffer.from(frame.subarray(0, -4));
  bare[4] = descriptor & ~CHECKSUM;
  zstdDecompress(bare, { maxOutputLength: MAX_FRAME }, (error, lines) => resolve(error === null ? lines : undefined));
  return promise;
}

/** Unpacked in a stream, what stands before a fault comes out. */
async function salvage(frame: Buffer): Promise<{ salvaged: Buffer; message: string }> {
  const { promise, resolve } = Promise.withResolvers<{ salvaged: Buffer; message: string }>();
  const pieces: Buffer[] = [];
  let size = 0;
  const stream = createZstdDecompress({ chunkSize: 1 << 10 });
  const done = (message: string): void => resolve({ salvaged: Buffer.concat(pieces), message });
  stream.on('data', (piece: Buffer) => {
    size += piece.length;
    pieces.push(piece);
    if (size > MAX_FRAME) stream.destroy(new Error(`unpacks to more than ${MAX_FRAME} bytes`));
  });
  stream.once('error', (error) => done(error.message));
  stream.once('end', () => done('cannot be unpacked whole'));
  stream.end(frame);
  return promise;
}

/**
 * Finds the frames of a segment in its bytes as they come (RFC 8878 3.1), without unpacking them. Each comes with its
 * offset. @throws BrokenFrame where no frame begins, one is over the limit, or the last is cut.
 */
export async function* frames(bytes: AsyncIterable<Buffer>): AsyncGenerator<{ offset: number; frame: Buffer }> {
  let held: Buffer = Buffer.alloc(0);
  let size = 0;
  let offset = 0;
  let walk = new FrameWalk(offset);
  for await (const chunk of bytes) {
    if (size + chunk.length > held.length) {
      // Doubled, so that a frame which comes in many pieces is not copied once for each.
      const grown = Buffer.allocUnsafe(Math.max(size + chunk.length, 2 * held.length));
      held.copy(grown, 0, 0, size);
      held = grown;
    }
    chunk.copy(held, size);
    size += chunk.length;
    let from = 0;
    for (let length = walk.length(held.subarray(from, size)); length !== undefined; ) {
      yield { offset, frame: Buffer.from(held.subarray(from, from + length)) };
      from += length;
      offset += length;
      walk = new FrameWalk(offset);
      length = walk.length(held.subarray(from, size));
    }
    if (from > 0) held.copyWithin(0, from, size);
    size -= from;
    if (size > MAX_FRAME) throw new BrokenFrame(`a frame of more than ${MAX_FRAME} bytes`, offset);
  }
  if (size === 0) return;
  const { salvaged } = await salvage(held.subarray(0, size));
  throw new BrokenFrame('the last frame is cut', offset, undefined, salvaged);
}

/** Goes through the blocks of one frame as its bytes come. */
class FrameWalk {
  readonly #offset: number;
  /** Where the next block begins; 0: the header was not there yet. */
  #at = 0;
  #ended = false;
  #checksum = false;

  constructor(offset: number) {
    this.#offset = offset;
  }

  /** Length of the frame that `bytes` begin with; undefined while not all of it is there. */
  length(bytes: Buffer): number | undefined {
    if (this.#at === 0 && !this.#header(bytes)) return undefined;
    while (!this.#ended) {
      if (bytes.length < this.#at + 3) return undefined;
      const block = bytes.readUIntLE(this.#at, 3);
      const type = (block >> 1) & 3;
      if (type === 3) throw new BrokenFrame('a block of a reserved type', this.#offset);
      this.#at += 3 + (type === 1 ? 1 : block >> 3);
      this.#ended = (block & 1) === 1;
    }
    const end = this.#at + (this.#checksum ? 4 : 0);
    return bytes.length < end ? undefined : end;
  }

  #header(bytes: Buffer): boolean {
    const magic = bytes.subarray(0, 4);
    if (!magic.equals(MAGIC.subarray(0, magic.length)))
      throw new BrokenFrame('no zstd frame begins here', this.#offset);
    if (bytes.length < 5) return false;
    const descriptor = bytes[4]!;
    const single = (descriptor & 0x20) !== 0;
    const contentSize = [single ? 1 : 0, 2, 4, 8][descriptor >> 6]!;
    this.#checksum = (descriptor & CHECKSUM) !== 0;
    this.#at = 5 + (single ? 0 : 1) + [0, 1, 2, 4][descriptor & 3]! + contentSize;
    return true;
  }
}

/** What a frame's header says of its unpacked length, where it does. */
function contentSize(frame: Buffer): number | undefined {
  if (frame.length < 18) return undefined;
  const descriptor = frame[4]!;
  const single = (descriptor & 0x20) !== 0;
  const at = 5 + (single ? 0 : 1) + [0, 1, 2, 4][descriptor & 3]!;
  switch (descriptor >> 6) {
    case 0:
      return single ? frame[at] : undefined;
    case 1:
      return frame.readUInt16LE(at) + 256;
    case 2:
      return frame.readUInt32LE(at);
    default:
      return Number(frame.readBigUInt64LE(at));
  }
}

/** Of the frame header's descriptor: a checksum follows the last block. */
const CHECKSUM = 4;
const MAGIC = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);
