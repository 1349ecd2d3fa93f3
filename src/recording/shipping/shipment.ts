import { createHash, type Hash } from 'node:crypto';
import { pool } from '../../buffer-pool.ts';
import { free } from '../../heap.ts';
import type { Manifest, ManifestSegment } from '../manifest.ts';
import { layout, segmentName } from '../segment.ts';
import type { SpooledRecording } from '../spool/spooled-recording.ts';
import { readSegment, type SpooledSegment } from '../spool/spooled-segment.ts';
import { type SealOptions, type Storage, StorageError } from '../storage/storage.ts';
import { frames, packFrame, unpackFrame } from '../zstd-frames.ts';

/** Bytes of lines that wait for the store from which on a part is sent at once. */
export const PART_BYTES = 1 << 20;
/** Bytes of lines in one part at most, unless a single line is longer: what piled up goes in fewer of them. */
export const MOST_IN_PART = 4 << 20;
/** Of zstd. By level 3 lines of events are no smaller, and take twice the time. */
const LEVEL = 1;
const NEWLINE = 0x0a;

/** How far an open segment is in the store. */
interface Progress {
  readonly number: number;
  parts: number;
  /** Bytes of lines, unpacked. */
  raw: number;
  /** Bytes as stored. */
  packed: number;
  readonly digest: Hash;
  seq: number;
}

/** A part that was cut and may have reached the store: what is sent again is exactly this. */
interface PendingPart {
  readonly content: Buffer;
  readonly raw: number;
  readonly firstSeq: number;
  readonly lastSeq: number;
}

export interface ShipmentOptions {
  readonly storage: Storage;
  /** Milliseconds that a sealed object is kept locked; undefined: no lock. */
  readonly retention: number | undefined;
  readonly signal: AbortSignal;
  /** Told of bytes, as stored. */
  readonly onShipped: (bytes: number) => void;
}

/** The store holds something else under this recording's name: another replica took it for lost, and sealed it. */
export class Superseded extends Error {}

/** Carries one recording from the spool to the store, part by part. Calls never overlap. */
export class Shipment {
  readonly recording: SpooledRecording;
  readonly #options: ShipmentOptions;
  #progress: Progress | undefined;
  #pending: PendingPart | undefined;

  constructor(recording: SpooledRecording, options: ShipmentOptions) {
    this.recording = recording;
    this.#options = options;
  }

  /** `seq` of the last line that the store has. */
  get shippedSeq(): number {
    return Math.max(this.#progress?.seq ?? 0, this.recording.sealed.at(-1)?.lastSeq ?? 0);
  }

  /** Bytes of lines that the store does not have yet. */
  get unshipped(): number {
    let bytes = 0;
    for (const segment of this.recording.segments) bytes += segment.bytes;
    return bytes - (this.#progress?.raw ?? 0);
  }

  /**
   * Sends all that was written when it was called, and seals the segments that were closed.
   * @throws StorageError, Superseded
   */
  async ship(): Promise<void> {
    for (;;) {
      const [segment] = this.recording.segments;
      if (segment === undefined) return;
      const { closed } = segment;
      await this.#send(segment);
      if (!closed || segment.bytes !== this.#progress!.raw) return;
      await this.#seal(segment);
    }
  }

  async #send(segment: SpooledSegment): Promise<void> {
    const { storage, signal, onShipped } = this.#options;
    const key = layout.segment(segment.recording, segment.number);
    if (this.#progress?.number !== segment.number) {
      this.#pending = undefined;
      this.#progress = await this.#resume(segment, key);
    }
    const progress = this.#progress;
    const until = segment.bytes;
    while (progress.raw < until || this.#pending !== undefined) {
      this.#pending ??= await cut(segment, progress, until);
      const { content, raw, firstSeq, lastSeq } = this.#pending;
      const part = { number: progress.parts + 1, firstSeq, lastSeq, bytes: content.length };
      await storage.appendPart(key, part, content, signal);
      progress.parts += 1;
      progress.raw += raw;
      progress.packed += content.length;
      progress.seq = lastSeq;
      progress.digest.update(content);
      this.#pending = undefined;
      onShipped(content.length);
    }
  }

  /** What the store has of a segment, after a restart: held against the lines that are here. */
  async #resume(segment: SpooledSegment, key: string): Promise<Progress> {
    const { storage, signal } = this.#options;
    const fresh = (): Progress => ({
      number: segment.number,
      parts: 0,
      raw: 0,
      packed: 0,
      digest: createHash('sha256'),
      seq: segment.firstSeq - 1,
    });
    const progress = fresh();
    // Sealed by a process that died before it could note it: what it was made of is gone, and cut anew it would be another file.
    if (segment.closed && (await this.#isSealed(key))) {
      await this.#compare(segment, key, storage.get(key, undefined, signal), progress);
      if (progress.raw !== segment.bytes)
        throw new Superseded(`${key}: it is sealed with fewer lines than the spool has`);
      progress.seq = segment.lastSeq;
      return progress;
    }
    const parts = await storage.parts(key, signal);
    if (parts.length === 0) return progress;
    await this.#compare(segment, key, storage.readParts(key, signal), progress);
    progress.parts = parts.length;
    progress.seq = parts.at(-1)!.lastSeq;
    return progress;
  }

  async #isSealed(key: string): Promise<boolean> {
    for await (const object of this.#options.storage.list(key, this.#options.signal))
      if (object.key === key) return true;
    return false;
  }

  async #compare(
    segment: SpooledSegment,
    key: string,
    stored: AsyncIterable<Buffer>,
    progress: Progress,
  ): Promise<void> {
    for await (const { frame } of frames(stored)) {
      const lines = await unpackFrame(frame, progress.packed);
      const here = await readSegment(segment, progress.raw, lines.length);
      if (!here.equals(lines)) throw new Superseded(`${key}: what is in the store is not of the lines in the spool`);
      progress.digest.update(frame);
      progress.packed += frame.length;
      progress.raw += lines.length;
      pool.give(here);
      free(lines);
    }
  }

  async #seal(segment: SpooledSegment): Promise<void> {
    const { storage, signal } = this.#options;
    const progress = this.#progress!;
    const key = layout.segment(segment.recording, segment.number);
    let sha256 = progress.digest.copy().digest('hex');
    let bytes = progress.packed;
    try {
      await storage.sealParts(key, this.#sealOptions(sha256), signal);
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      if (error.fault === 'Exists') throw new Superseded(error.message, { cause: error });
      if (error.fault !== 'Corrupt' && error.fault !== 'NotFound') throw error;
      // The store lost or changed parts. All of the lines are still here, so the segment is made from them.
      const whole = await packed(segment);
      sha256 = createHash('sha256').update(whole).digest('hex');
      bytes = whole.length;
      await this.#putWhole(key, whole, sha256);
      await storage.sealParts(key, this.#sealOptions(sha256), signal);
    }
    const mark: ManifestSegment = {
      name: segmentName(segment.number),
      firstSeq: segment.firstSeq,
      lastSeq: segment.lastSeq,
      hash: segment.hash,
      bytes,
      sha256,
      rawBytes: segment.bytes,
    };
    await this.recording.markSealed(mark, segment.number);
    this.#progress = undefined;
  }

  async #putWhole(key: string, content: Buffer, sha256: string): Promise<void> {
    const { storage, signal } = this.#options;
    try {
      await storage.putSealed(key, content, this.#sealOptions(sha256), signal);
    } catch (error) {
      if (error instanceof StorageError && error.fault === 'Exists')
        throw new Superseded(error.message, { cause: error });
      throw error;
    }
  }

  #sealOptions(sha256: string): SealOptions {
    return sealOptions(sha256, this.#options.retention);
  }
}

export function sealOptions(sha256: string, retention: number | undefined): SealOptions {
  return retention === undefined ? { sha256 } : { sha256, retainUntil: Date.now() + retention };
}

/** The next part: whole lines from where the store is, never more than were written when it was asked. */
async function cut(segment: SpooledSegment, { raw, seq }: Progress, until: number): Promise<PendingPart> {
  let length = Math.min(MOST_IN_PART, until - raw);
  let lines = await readSegment(segment, raw, length);
  let end = lines.lastIndexOf(NEWLINE) + 1;
  // A line longer than a part goes whole.
  while (end === 0 && length < until - raw) {
    length = Math.min(length * 4, until - raw);
    pool.give(lines);
    lines = await readSegment(segment, raw, length);
    end = lines.lastIndexOf(NEWLINE) + 1;
  }
  if (end === 0) throw new Error(`${segment.path}: no line ends where one should`);
  const whole = lines.subarray(0, end);
  let count = 0;
  for (let at = whole.indexOf(NEWLINE); at !== -1; at = whole.indexOf(NEWLINE, at + 1)) count += 1;
  const content = await packFrame(whole, LEVEL);
  pool.give(lines);
  return { content, raw: end, firstSeq: seq + 1, lastSeq: seq + count };
}

async function packed(segment: SpooledSegment): Promise<Buffer> {
  const all: Buffer[] = [];
  const progress = { raw: 0, seq: segment.firstSeq - 1 } as Progress;
  while (progress.raw < segment.bytes) {
    const part = await cut(segment, progress, segment.bytes);
    all.push(part.content);
    progress.raw += part.raw;
    progress.seq = part.lastSeq;
  }
  return Buffer.concat(all);
}

/** @throws StorageError; `Exists` where another manifest was first */
export async function sealRecording(
  storage: Storage,
  manifest: Manifest,
  file: Buffer,
  retention: number | undefined,
  signal?: AbortSignal,
): Promise<void> {
  const sha256 = createHash('sha256').update(file).digest('hex');
  await storage.putSealed(layout.manifest(manifest.recording.name), file, sealOptions(sha256, retention), signal);
}
