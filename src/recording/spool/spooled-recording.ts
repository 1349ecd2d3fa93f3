import { rename, rm, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pool } from '../../buffer-pool.ts';
import { Chain, startOf } from '../chain.ts';
import { countLine, NO_COUNTS } from '../counts.ts';
import {
  type EndLine,
  FORMAT,
  type Line,
  type RecordingCounts,
  type RecordingIdentity,
  type SegmentLine,
} from '../line.ts';
import type { ManifestSegment } from '../manifest.ts';
import { segmentName } from '../segment.ts';
import { syncFolder } from './durable-folder.ts';
import { SegmentFile } from './segment-file.ts';
import { asSpoolError, SpoolError } from './spool-error.ts';
import type { SpooledSegment } from './spooled-segment.ts';
import type { WriteThrough } from './write-through.ts';

/** What the spool promises of a line before `append` resolves. */
export type Durability = 'Process' | 'Disk' | 'Remote';

/** What a recording needs of the spool that it is in. */
export interface SpoolRoom {
  readonly durability: Durability;
  readonly writeThrough: WriteThrough;
  /** Bytes of lines after which a segment is closed. */
  readonly segmentBytes: number;
  /** @throws SpoolError `Full`, `Slow` */
  reserve(bytes: number): void;
  /** What was reserved is written, or not (`written` bytes of it are). */
  settle(reserved: number, written: number): void;
  freed(bytes: number): void;
  failed(error: SpoolError): void;
  committed(lines: number, bytes: number, milliseconds: number): void;
  grown(recording: SpooledRecording): void;
  /** Resolves when the store has all that is written of this recording (durability Remote). */
  stored(recording: SpooledRecording): Promise<void>;
}

/** A sealed segment's mark in the spool: what the manifest will say of it, once its lines are let go. */
export interface SealedMark {
  readonly recording: RecordingIdentity;
  readonly segment: ManifestSegment;
  readonly counts: RecordingCounts;
  readonly open: readonly string[];
  readonly end: EndLine | undefined;
}

/** Where a recording goes on, after a restart. */
export interface ResumedState {
  readonly sealed: readonly ManifestSegment[];
  readonly segments: readonly SpooledSegment[];
  readonly seq: number;
  readonly hash: string;
  readonly counts: RecordingCounts;
  readonly open: ReadonlySet<string>;
  readonly end: EndLine | undefined;
}

interface Group {
  readonly lines: Line[];
  bytes: number;
  readonly done: PromiseWithResolvers<void>;
}

interface OpenSegment {
  recording: string;
  number: number;
  path: string;
  firstSeq: number;
  bytes: number;
  lastSeq: number;
  hash: string;
  closed: boolean;
  /** When its first line was written, of a clock that never jumps. */
  since: number;
}

/** What a line takes beside its JSON: number and hash. */
const AROUND = 100;

/**
 * One recording's lines on their way to disk. Where the kernel's cache is all that is waited for, they are written at once; else what
 * is appended while a write is under way leaves with the next one: one write, and one fsync where that is asked for, for all of them.
 */
export class SpooledRecording {
  readonly identity: RecordingIdentity;
  readonly folder: string;
  readonly sealed: ManifestSegment[];
  /** Requests that were received and are not complete. */
  readonly open: Set<string>;
  readonly #room: SpoolRoom;
  #chain: Chain;
  #segments: OpenSegment[];
  readonly #file = new SegmentFile();
  #group: Group | undefined;
  #writing = false;
  #rotate = false;
  #counts: RecordingCounts;
  #end: EndLine | undefined;
  #ending = false;
  /** When a line was last written, of a clock that never jumps. */
  writtenAt = performance.now();

  constructor(folder: string, identity: RecordingIdentity, room: SpoolRoom, resumed?: ResumedState) {
    this.folder = folder;
    this.identity = identity;
    this.#room = room;
    this.sealed = [...(resumed?.sealed ?? [])];
    this.open = new Set(resumed?.open);
    this.#chain = new Chain(resumed?.seq ?? 0, resumed?.hash ?? startOf(identity.name));
    const since = performance.now();
    this.#segments = (resumed?.segments ?? []).map((segment) => ({ ...segment, since }));
    this.#counts = resumed?.counts ?? NO_COUNTS;
    this.#end = resumed?.end;
    this.#ending = this.#end !== undefined;
  }

  /** Segments whose lines are in the spool; the last one may be open. */
  get segments(): readonly SpooledSegment[] {
    return this.#segments;
  }

  get counts(): RecordingCounts {
    return this.#counts;
  }

  /** Number and hash of the last line that is kept. */
  get seq(): number {
    return this.#chain.seq;
  }

  get hash(): string {
    return this.#chain.head;
  }

  /** The last line, once it is written: no more come. */
  get end(): EndLine | undefined {
    return this.#end;
  }

  /** Takes no more lines: its last one is on its way, or written. */
  get ending(): boolean {
    return this.#ending;
  }

  get idle(): boolean {
    return this.#group === undefined && !this.#writing;
  }

  /**
   * Adds lines, in this order and behind all that were appended before.
   * @param size bytes, about
   * @returns when they are kept, as durability says; undefined: they are. @throws SpoolError (also at once)
   */
  append(lines: readonly Line[], size: number): Promise<void> | undefined {
    if (this.#ending) throw new SpoolError('Ended', `the recording ${this.identity.name} has ended`);
    return this.#append(lines, size);
  }

  /** Writes the last line and closes the last segment. */
  async finish(reason: EndLine['reason'], time: string): Promise<void> {
    if (this.#ending) return;
    this.#ending = true;
    try {
      await this.#append([{ kind: 'End', time, reason }], AROUND);
    } catch (error) {
      if (this.#end === undefined) this.#ending = false;
      throw error;
    }
  }

  /** Closes the segment that is open before anything else is written; the next line begins another one. */
  rotate(): void {
    this.#rotate = true;
    if (this.idle) this.#closeSegment();
  }

  /** Age of the open segment in milliseconds; 0 without one. */
  get segmentAge(): number {
    const current = this.#current;
    return current === undefined ? 0 : performance.now() - current.since;
  }

  /**
   * A closed segment is sealed in the store: its lines are let go, and what the manifest will say of it is kept.
   * @throws Error where the mark could not be written; then the lines are still there
   */
  async markSealed(segment: ManifestSegment, number: number): Promise<void> {
    const [first] = this.#segments;
    if (first === undefined || first.number !== number || !first.closed)
      throw new Error('not the oldest closed segment');
    const last = this.#segments.length === 1;
    const mark: SealedMark = {
      recording: this.identity,
      segment,
      counts: this.#counts,
      open: last ? [...this.open] : [],
      end: last ? this.#end : undefined,
    };
    const path = join(this.folder, `${segmentName(number).slice(0, 6)}.sealed.json`);
    await writeFile(`${path}.tmp`, JSON.stringify(mark), { mode: 0o600, flush: true });
    await rename(`${path}.tmp`, path);
    // The lines must not be gone from a disk on which the mark is not yet.
    if (this.#room.durability !== 'Process') await syncFolder(this.folder);
    await unlink(first.path);
    this.#segments.shift();
    this.sealed.push(segment);
    this.#room.freed(first.bytes);
  }

  /** The manifest is in the store: nothing of this recording is needed here any more. */
  async remove(): Promise<void> {
    await this.close();
    await rm(this.folder, { recursive: true, force: true });
    for (const { bytes } of this.#segments) this.#room.freed(bytes);
    this.#segments = [];
  }

  /** Lets go of the file until the next line comes. */
  async close(): Promise<void> {
    if (this.idle) await this.#file.close();
  }

  get #current(): OpenSegment | undefined {
    const last = this.#segments[this.#segments.length - 1];
    return last?.closed === false ? last : undefined;
  }

  #append(lines: readonly Line[], size: number): Promise<void> | undefined {
    const bytes = size + lines.length * AROUND;
    this.#room.reserve(bytes);
    if (this.idle && this.#commitAtOnce(lines, bytes)) {
      this.#closeDue();
      return undefined;
    }
    if (this.#group === undefined) {
      this.#group = { lines: [], bytes: 0, done: Promise.withResolvers<void>() };
      // Whoever waits is told; where nobody does, a failure is no uncaught one.
      this.#group.done.promise.catch(() => {});
      if (!this.#writing) {
        this.#writing = true;
        setImmediate(() => void this.#write());
      }
    }
    const group = this.#group;
    for (const line of lines) group.lines.push(line);
    group.bytes += bytes;
    return group.done.promise;
  }

  async #write(): Promise<void> {
    for (let group = this.#group; group !== undefined; group = this.#group) {
      this.#group = undefined;
      try {
        if (!this.#commitAtOnce(group.lines, group.bytes)) await this.#commit(group.lines, group.bytes);
        if (this.#room.durability === 'Remote') this.#room.stored(this).then(group.done.resolve, group.done.reject);
        else group.done.resolve();
      } catch (error) {
        group.done.reject(error);
      }
      this.#closeDue();
    }
    this.#writing = false;
  }

  /**
   * Whoever appends need not wait for what takes microseconds: a turn of the event loop, which on a busy machine takes milliseconds.
   * @returns false where it is for the thread pool to do; then nothing has been done. @throws SpoolError
   */
  #commitAtOnce(lines: readonly Line[], reserved: number): boolean {
    const { durability, writeThrough } = this.#room;
    const segment = this.#current;
    if (durability !== 'Process' || segment === undefined || !this.#file.ready) return false;
    if (!writeThrough.allows(reserved)) return false;
    const began = performance.now();
    const before = { seq: this.#chain.seq, head: this.#chain.head };
    let lent: Buffer | undefined;
    let written: number;
    try {
      const [first] = lines;
      let bytes = lines.length === 1 && first!.kind === 'Event' ? this.#chain.extendBy(first!) : undefined;
      bytes ??= lent = this.#chain.extend(lines, (size) => pool.take(size));
      const asked = performance.now();
      this.#file.writeNow(segment, bytes);
      writeThrough.took(performance.now() - asked);
      written = bytes.length;
    } catch (error) {
      this.#chain = new Chain(before.seq, before.head);
      throw this.#failed(reserved, error);
    } finally {
      if (lent !== undefined) pool.give(lent);
    }
    this.#kept(segment, lines, { reserved, written, began });
    return true;
  }

  /** @param began when it was begun to write them */
  #kept(
    segment: OpenSegment,
    lines: readonly Line[],
    { reserved, written, began }: { reserved: number; written: number; began: number },
  ): void {
    segment.bytes += written;
    segment.lastSeq = this.#chain.seq;
    segment.hash = this.#chain.head;
    for (const line of lines) this.#note(line);
    if (segment.bytes >= this.#room.segmentBytes) this.#rotate = true;
    this.writtenAt = performance.now();
    this.#room.settle(reserved, written);
    this.#room.committed(lines.length, written, this.writtenAt - began);
    this.#room.grown(this);
  }

  #failed(reserved: number, error: unknown): SpoolError {
    const known = asSpoolError(error);
    this.#room.settle(reserved, 0);
    this.#room.failed(known);
    return known;
  }

  /** All of the lines are kept when it resolves, none when it throws. @throws SpoolError */
  async #commit(lines: readonly Line[], reserved: number): Promise<void> {
    const began = performance.now();
    const flush = this.#room.durability !== 'Process';
    const before = { seq: this.#chain.seq, head: this.#chain.head };
    const current = this.#current;
    const fresh = current === undefined ? this.#begin() : undefined;
    const segment = current ?? fresh!.segment;
    let bytes: Buffer | undefined;
    try {
      bytes = this.#chain.extend(fresh === undefined ? lines : [fresh.head, ...lines], (size) => pool.take(size));
      if (fresh === undefined) await this.#file.write(segment, bytes, flush);
      else {
        await this.#file.create(segment.path, bytes, flush);
        this.#segments.push(segment);
      }
    } catch (error) {
      this.#chain = new Chain(before.seq, before.head);
      throw this.#failed(reserved, error);
    } finally {
      if (bytes !== undefined) pool.give(bytes);
    }
    this.#kept(segment, lines, { reserved, written: bytes.length, began });
  }

  #note(line: Line): void {
    this.#counts = countLine(this.#counts, line);
    if (line.kind === 'End') this.#end = line;
    else if (line.kind === 'Event') {
      if (line.stage === 'ResponseComplete') this.open.delete(line.auditID);
      else this.open.add(line.auditID);
    }
  }

  #begin(): { segment: OpenSegment; head: SegmentLine } {
    const number = (this.#segments.at(-1)?.number ?? this.sealed.length) + 1;
    const head: SegmentLine = {
      kind: 'Segment',
      format: FORMAT,
      recording: this.identity,
      segment: number,
      predecessor: number === 1 ? undefined : { name: segmentName(number - 1), hash: this.#chain.head },
      open: [...this.open],
      counts: this.#counts,
      time: new Date().toISOString(),
    };
    const segment: OpenSegment = {
      recording: this.identity.name,
      number,
      path: join(this.folder, segmentName(number).slice(0, -'.zst'.length)),
      firstSeq: this.#chain.seq + 1,
      bytes: 0,
      lastSeq: this.#chain.seq,
      hash: this.#chain.head,
      closed: false,
      since: performance.now(),
    };
    return { segment, head };
  }

  #closeDue(): void {
    if (this.#rotate || this.#end !== undefined) this.#closeSegment();
  }

  #closeSegment(): void {
    this.#rotate = false;
    const current = this.#current;
    if (current === undefined) return;
    current.closed = true;
    this.#file.close().catch(() => {});
    this.#room.grown(this);
  }
}
