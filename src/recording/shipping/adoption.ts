import { createHash } from 'node:crypto';
import { free } from '../../heap.ts';
import { lineHash, splitLine, startOf } from '../chain.ts';
import { countLine, NO_COUNTS } from '../counts.ts';
import { FORMAT, type Line, type RecordingCounts, type RecordingIdentity, type SegmentLine } from '../line.ts';
import { type Manifest, type ManifestSegment, sealManifest } from '../manifest.ts';
import { layout, RECORDING_NAME, segmentName, segmentNumber } from '../segment.ts';
import type { SigningKey } from '../signing-key.ts';
import { type Storage, StorageError } from '../storage/storage.ts';
import { readManifest } from '../stored-recording.ts';
import { frames, unpackFrame } from '../zstd-frames.ts';
import { sealOptions, sealRecording } from './shipment.ts';

const NEWLINE = 0x0a;

export interface AdoptionOptions {
  readonly storage: Storage;
  readonly key: SigningKey;
  /** Who adopts. */
  readonly replica: string;
  readonly retention: number | undefined;
  /** What the adopting replica sealed last. */
  readonly predecessor: Manifest['predecessor'];
  readonly signal?: AbortSignal | undefined;
}

/** What became of a recording whose replica is gone. */
export type Adoption =
  | { readonly outcome: 'Sealed'; readonly manifest: Manifest; readonly sha256: string }
  | { readonly outcome: 'AlreadySealed' | 'Empty' }
  | { readonly outcome: 'Broken'; readonly reason: string };

/**
 * Seals what the store has of a recording, Incomplete, with the number of the last line that is there. Two who adopt the same
 * one do the same; whoever is second finds it done. Lines that do not chain are not sealed: they are left as they are, for people.
 * @throws StorageError
 */
export async function adopt(recording: string, options: AdoptionOptions): Promise<Adoption> {
  const { storage, key, replica, retention, predecessor, signal } = options;
  if (!RECORDING_NAME.test(recording)) return { outcome: 'Broken', reason: 'is no recording’s name' };
  if ((await readManifest(storage, recording, signal)) !== undefined) return { outcome: 'AlreadySealed' };
  const sealed = new Set<number>();
  const open = new Set<number>();
  const folder = layout.recording(recording);
  for await (const found of storage.list(folder, signal)) {
    const number = segmentNumber(found.key.slice(folder.length));
    if (number !== undefined) sealed.add(number);
  }
  for await (const found of storage.listOpen(folder, signal)) {
    const number = segmentNumber(found.slice(folder.length));
    if (number !== undefined) open.add(number);
  }
  const walk = new ChainWalk(recording);
  const segments: ManifestSegment[] = [];
  try {
    for (let number = 1; sealed.has(number) || open.has(number); number += 1) {
      const name = layout.segment(recording, number);
      const source = sealed.has(number) ? storage.get(name, undefined, signal) : storage.readParts(name, signal);
      const segment = await walk.segment(number, source);
      if (segment === undefined) break;
      if (!sealed.has(number) || open.has(number)) {
        await storage.sealParts(name, sealOptions(segment.sha256, retention), signal);
      }
      segments.push(segment);
    }
  } catch (error) {
    if (error instanceof StorageError) throw error;
    return { outcome: 'Broken', reason: (error as Error).message };
  }
  const { identity } = walk;
  if (identity === undefined) return { outcome: 'Empty' };
  const manifest: Manifest = {
    format: FORMAT,
    recording: identity,
    state: 'Incomplete',
    reason: walk.ended ? 'ReplicaGone after the last line' : 'ReplicaGone',
    endTime: new Date().toISOString(),
    lines: walk.seq,
    hash: walk.hash,
    counts: walk.counts,
    segments,
    sealedBy: replica,
    predecessor,
  };
  const file = sealManifest(manifest, key);
  try {
    await sealRecording(storage, manifest, file, retention, signal);
  } catch (error) {
    if (error instanceof StorageError && error.fault === 'Exists') return { outcome: 'AlreadySealed' };
    throw error;
  }
  return { outcome: 'Sealed', manifest, sha256: createHash('sha256').update(file).digest('hex') };
}

/** Goes through the lines of one segment after another, and takes only what chains. */
class ChainWalk {
  identity: RecordingIdentity | undefined;
  seq = 0;
  hash: string;
  counts: RecordingCounts = NO_COUNTS;
  ended = false;
  readonly #recording: string;

  constructor(recording: string) {
    this.#recording = recording;
    this.hash = startOf(recording);
  }

  /** @returns undefined where nothing is in it. @throws Error where its lines are not what was written */
  async segment(number: number, source: AsyncIterable<Buffer>): Promise<ManifestSegment | undefined> {
    const digest = createHash('sha256');
    const firstSeq = this.seq + 1;
    let bytes = 0;
    let rawBytes = 0;
    for await (const { offset, frame } of frames(source)) {
      digest.update(frame);
      bytes += frame.length;
      const lines = await unpackFrame(frame, offset);
      rawBytes += lines.length;
      let from = 0;
      for (let end = lines.indexOf(NEWLINE); end !== -1; end = lines.indexOf(NEWLINE, from)) {
        this.#line(lines.subarray(from, end), number, firstSeq);
        from = end + 1;
      }
      if (from !== lines.length) throw new Error(`${segmentName(number)}: a part does not end with a line`);
      free(lines);
    }
    if (this.seq < firstSeq) return undefined;
    const sha256 = digest.digest('hex');
    return { name: segmentName(number), firstSeq, lastSeq: this.seq, hash: this.hash, bytes, sha256, rawBytes };
  }

  #line(line: Buffer, number: number, firstSeq: number): void {
    const split = splitLine(line);
    if (split === undefined || split.seq !== this.seq + 1 || lineHash(this.hash, line) !== split.hash) {
      throw new Error(`${segmentName(number)}: line number ${this.seq + 1} does not follow on the one before`);
    }
    const value = JSON.parse(line.toString('utf8')) as Line;
    if (split.seq === firstSeq) this.#head(value as SegmentLine, number);
    this.counts = countLine(this.counts, value);
    if (value.kind === 'End') this.ended = true;
    ({ seq: this.seq, hash: this.hash } = split);
  }

  #head(head: SegmentLine, number: number): void {
    if (head.kind !== 'Segment' || head.segment !== number || head.recording.name !== this.#recording) {
      throw new Error(`${segmentName(number)}: does not begin as segment ${number} of ${this.#recording}`);
    }
    this.identity ??= head.recording;
  }
}
