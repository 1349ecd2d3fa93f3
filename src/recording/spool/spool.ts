import { mkdir, readdir, readFile, rename, rmdir, statfs, truncate, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { NO_COUNTS } from '../counts.ts';
import type { EndLine, RecordingCounts, RecordingIdentity } from '../line.ts';
import type { ManifestSegment } from '../manifest.ts';
import { RECORDING_NAME } from '../segment.ts';
import { makeFolder } from './durable-folder.ts';
import { CorruptSegment, type ScannedSegment, scanSegment } from './segment-scan.ts';
import { SpoolError } from './spool-error.ts';
import { SpoolLock } from './spool-lock.ts';
import { type Durability, type SealedMark, SpooledRecording, type SpoolRoom } from './spooled-recording.ts';
import type { SpooledSegment } from './spooled-segment.ts';
import { WriteThrough } from './write-through.ts';

export interface SpoolOptions {
  readonly folder: string;
  readonly durability: Durability;
  /** Bytes of lines that may lie in the spool. */
  readonly maxBytes: number;
  /** Bytes of the disk that are left to others. */
  readonly minFreeBytes: number;
  /** Bytes of lines after which a segment is closed. */
  readonly segmentBytes: number;
  /** Milliseconds after which a segment is closed. */
  readonly segmentAge: number;
  readonly events?: SpoolEvents | undefined;
}

export interface SpoolEvents {
  /** A recording that is not as it was written was put aside. */
  corrupt?(name: string, aside: string, reason: string): void;
  /** Bytes of an unfinished last line were cut off: nobody had been told that they were kept. */
  torn?(name: string, bytes: number): void;
  failed?(error: SpoolError): void;
  committed?(lines: number, bytes: number, milliseconds: number): void;
  /** A recording has new lines, or a segment of it is closed: there is something to ship. */
  grown?(recording: SpooledRecording): void;
  /** Another process took the spool: this one must write no more. */
  lockLost?(): void;
}

/** Bytes that wait in memory at most; beyond, the disk is too slow for what comes. */
const MAX_WAITING = 64 << 20;
const LOOK_EVERY = 1_000;
/** A file that nobody has written to for so long is closed. */
const CLOSE_AFTER = 30_000;

/** The local folder in which every line is kept first, until the store has it. One process at a time. */
export class Spool {
  readonly #options: SpoolOptions;
  readonly #lock: SpoolLock;
  readonly #recordings = new Map<string, SpooledRecording>();
  readonly #room: SpoolRoom;
  readonly #timer: NodeJS.Timeout;
  #used = 0;
  #waiting = 0;
  #free = Number.POSITIVE_INFINITY;
  /** Why the last write failed, until one succeeds. */
  #fault: SpoolError | undefined;
  #closed = false;
  #stored: (recording: SpooledRecording) => Promise<void> = () => Promise.resolve();

  private constructor(options: SpoolOptions, lock: SpoolLock, writeThrough: WriteThrough) {
    this.#options = options;
    this.#lock = lock;
    const { events } = options;
    this.#room = {
      durability: options.durability,
      writeThrough,
      segmentBytes: options.segmentBytes,
      reserve: (bytes) => {
        const refusal = this.#refusal(bytes);
        if (refusal !== undefined) throw refusal;
        this.#waiting += bytes;
      },
      settle: (reserved, written) => {
        this.#waiting -= reserved;
        this.#used += written;
        if (written > 0) this.#fault = undefined;
      },
      freed: (bytes) => {
        this.#used -= bytes;
      },
      failed: (error) => {
        this.#fault = error;
        events?.failed?.(error);
      },
      committed: (lines, bytes, milliseconds) => events?.committed?.(lines, bytes, milliseconds),
      grown: (recording) => events?.grown?.(recording),
      stored: (recording) => this.#stored(recording),
    };
    lock.onLost(() => {
      this.#closed = true;
      events?.lockLost?.();
    });
    this.#timer = setInterval(() => void this.#look(), LOOK_EVERY).unref();
  }

  /**
   * Takes the spool, reads what a former process left, and puts aside what is not as it was written.
   * @throws SpoolLocked, or the disk's error
   */
  static async open(options: SpoolOptions): Promise<Spool> {
    if (options.durability !== 'Process') await makeFolder(join(options.folder, 'recordings'));
    const lock = await SpoolLock.take(options.folder);
    const spool = new Spool(options, lock, await WriteThrough.on(options.folder));
    try {
      await spool.#resume();
      await spool.#look();
    } catch (error) {
      await spool.close();
      throw error;
    }
    return spool;
  }

  /** How durability `Remote` knows that the store has what is written. */
  onStored(stored: (recording: SpooledRecording) => Promise<void>): void {
    this.#stored = stored;
  }

  get recordings(): IterableIterator<SpooledRecording> {
    return this.#recordings.values();
  }

  recording(name: string): SpooledRecording | undefined {
    return this.#recordings.get(name);
  }

  /** Begins a recording. Nothing is on disk before its first line. */
  create(identity: RecordingIdentity): SpooledRecording {
    if (!RECORDING_NAME.test(identity.name)) throw new Error(`${JSON.stringify(identity.name)} is no recording's name`);
    if (this.#recordings.has(identity.name)) throw new Error(`there is a recording ${identity.name}`);
    const recording = new SpooledRecording(this.#pathOf(identity.name), identity, this.#room);
    this.#recordings.set(identity.name, recording);
    return recording;
  }

  /** The store has all of it, manifest too. */
  async remove(recording: SpooledRecording): Promise<void> {
    await recording.remove();
    this.#recordings.delete(recording.identity.name);
  }

  /** Bytes of lines in the spool, and those that wait to be written. */
  get usage(): { readonly used: number; readonly waiting: number; readonly max: number } {
    return { used: this.#used, waiting: this.#waiting, max: this.#options.maxBytes };
  }

  /** Why a line could not be kept now; undefined where it could. Costs nothing: asked before every forward. */
  refusal(): SpoolError | undefined {
    return this.#refusal(0);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    for (const recording of this.#recordings.values()) {
      while (!recording.idle) await new Promise((resolve) => setImmediate(resolve));
      await recording.close();
    }
    this.#closed = true;
    await this.#lock.release();
  }

  #refusal(bytes: number): SpoolError | undefined {
    const { maxBytes, minFreeBytes, folder } = this.#options;
    if (this.#closed) return new SpoolError('Failed', 'the spool is closed');
    if (this.#used + this.#waiting + bytes > maxBytes) {
      return new SpoolError('Full', `the spool holds ${this.#used} of ${maxBytes} bytes: the store does not take them`);
    }
    if (this.#free < minFreeBytes) {
      return new SpoolError('Full', `the disk of ${folder} has ${this.#free} bytes left, fewer than ${minFreeBytes}`);
    }
    if (this.#waiting + bytes > MAX_WAITING && this.#waiting > 0) {
      return new SpoolError('Slow', `${this.#waiting} bytes wait for the disk`);
    }
    return this.#fault;
  }

  async #look(): Promise<void> {
    const { folder, segmentAge, maxBytes } = this.#options;
    try {
      const { bavail, bsize } = await statfs(folder);
      this.#free = bavail * bsize;
      // Whether a disk that failed takes bytes again only a write can tell: the next one is let through.
      this.#fault = undefined;
    } catch (error) {
      this.#room.failed(new SpoolError('Failed', (error as Error).message, { cause: error }));
    }
    const now = performance.now();
    const crowded = this.#used > maxBytes / 2;
    for (const recording of this.#recordings.values()) {
      const last = recording.segments.at(-1);
      const large = crowded && (last?.bytes ?? 0) > maxBytes / 64;
      if (last?.closed === false && (large || recording.segmentAge > segmentAge)) recording.rotate();
      if (now - recording.writtenAt > CLOSE_AFTER) await recording.close().catch(() => {});
    }
  }

  #pathOf(name: string): string {
    return join(this.#options.folder, 'recordings', name);
  }

  async #resume(): Promise<void> {
    const root = join(this.#options.folder, 'recordings');
    await mkdir(root, { recursive: true, mode: 0o700 });
    for (const name of await readdir(root)) {
      try {
        await this.#resumeOne(name);
      } catch (error) {
        const aside = join(this.#options.folder, 'corrupt', `${Date.now()}-${name}`);
        await mkdir(join(aside, '..'), { recursive: true, mode: 0o700 });
        await rename(join(root, name), aside);
        this.#options.events?.corrupt?.(name, aside, (error as Error).message);
      }
    }
  }

  async #resumeOne(name: string): Promise<void> {
    if (!RECORDING_NAME.test(name)) throw new CorruptSegment('is no recording');
    const folder = this.#pathOf(name);
    const { marks, files } = await filesOf(folder);
    const sealed: ManifestSegment[] = [];
    let identity: RecordingIdentity | undefined;
    let before: { seq: number; hash: string } | undefined;
    let state: { counts: RecordingCounts; open: ReadonlySet<string>; end: EndLine | undefined } = {
      counts: NO_COUNTS,
      open: new Set(),
      end: undefined,
    };
    for (const path of marks) {
      const mark = JSON.parse(await readFile(path, 'utf8')) as SealedMark;
      sealed.push(mark.segment);
      identity = mark.recording;
      before = { seq: mark.segment.lastSeq, hash: mark.segment.hash };
      state = { counts: mark.counts, open: new Set(mark.open), end: mark.end };
    }
    const segments: SpooledSegment[] = [];
    for (const [index, { number, path }] of files.entries()) {
      // The mark is written before the lines are let go: a file that is older than it is a left-over.
      if (number <= sealed.length) {
        await unlink(path);
        continue;
      }
      const last = index === files.length - 1;
      const scanned = await scanSegment(path);
      if (scanned === undefined) {
        if (!last) throw new CorruptSegment(`segment ${number} is empty`);
        await unlink(path);
        continue;
      }
      if (scanned.head.segment !== number || number !== sealed.length + segments.length + 1) {
        throw new CorruptSegment(`segment ${number} is not where it belongs`);
      }
      if (scanned.torn > 0) {
        if (!last) throw new CorruptSegment(`segment ${number} has bytes behind its last line`);
        await truncate(path, scanned.bytes);
        this.#options.events?.torn?.(name, scanned.torn);
      }
      if (before !== undefined && !follows(scanned, before))
        throw new CorruptSegment(`segment ${number} follows on another one`);
      identity = scanned.head.recording;
      before = { seq: scanned.lastSeq, hash: scanned.hash };
      state = scanned;
      const { firstSeq, bytes, lastSeq, hash } = scanned;
      // None goes on: the former process may have closed it, and the store may have it sealed already.
      segments.push({ recording: name, number, path, firstSeq, bytes, lastSeq, hash, closed: true });
      this.#used += bytes;
    }
    // A process that died before its first line was whole leaves a folder with nothing in it.
    if (identity === undefined || before === undefined) return await rmdir(folder);
    if (identity.name !== name) throw new CorruptSegment(`holds the recording ${JSON.stringify(identity.name)}`);
    this.#recordings.set(
      name,
      new SpooledRecording(folder, identity, this.#room, { ...state, sealed, segments, ...before }),
    );
  }
}

function follows(scanned: ScannedSegment, before: { seq: number; hash: string }): boolean {
  return scanned.head.predecessor?.hash === before.hash && scanned.firstSeq === before.seq + 1;
}

async function filesOf(folder: string): Promise<{ marks: string[]; files: { number: number; path: string }[] }> {
  const marks: string[] = [];
  const files: { number: number; path: string }[] = [];
  const names = (await readdir(folder)).sort((a, b) => (a < b ? -1 : 1));
  for (const name of names) {
    const path = join(folder, name);
    if (/^\d{6,}\.sealed\.json$/.test(name)) marks.push(path);
    else if (/^\d{6,}\.jsonl$/.test(name)) files.push({ number: Number.parseInt(name, 10), path });
    else if (name.endsWith('.tmp')) await unlink(path);
    else throw new CorruptSegment(`${JSON.stringify(name)} does not belong there`);
  }
  return { marks, files };
}
