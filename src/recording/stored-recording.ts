import { createHash } from 'node:crypto';
import { free } from '../heap.ts';
import { splitLine } from './chain.ts';
import { parseEnvelope } from './envelope.ts';
import { type JointManifest, parseJointManifest } from './joint-manifest.ts';
import type { Line } from './line.ts';
import { type Manifest, parseManifest } from './manifest.ts';
import { layout, manifestNumber, segmentNumber } from './segment.ts';
import { type Storage, StorageError } from './storage/storage.ts';
import type { RecordingFiles } from './verify.ts';
import { frames, unpackFrame } from './zstd-frames.ts';

const NEWLINE = 0x0a;
const MAX_MANIFEST = 64 << 20;

/** A line of a recording with its place in the chain. */
export interface NumberedLine {
  readonly seq: number;
  readonly hash: string;
  readonly line: Line;
  /** Which chain it is of, where the recording has several. */
  readonly chain?: string;
}

/** A manifest as it lies in the store, its signature not looked at: that is for `verify`. */
export interface StoredManifest<M> {
  readonly manifest: M;
  readonly sha256: string;
  readonly keyID: string;
  readonly signature: string;
}

/**
 * The manifest of a sealed recording that one replica wrote, or of one chain.
 * @returns undefined where there is none: the recording is open, or is not there.
 * @throws StorageError, Error where it cannot be read
 */
export function readManifest(
  storage: Storage,
  name: string,
  signal?: AbortSignal,
): Promise<StoredManifest<Manifest> | undefined> {
  return read(storage, layout.manifest(name), parseManifest, signal);
}

/** One of a recording of several chains, by its number. @throws as readManifest */
export function readJointManifest(
  storage: Storage,
  recording: string,
  number: number,
  signal?: AbortSignal,
): Promise<StoredManifest<JointManifest> | undefined> {
  return read(storage, layout.manifest(recording, number), parseJointManifest, signal);
}

async function read<M>(
  storage: Storage,
  key: string,
  parse: (payload: Buffer) => M,
  signal: AbortSignal | undefined,
): Promise<StoredManifest<M> | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of storage.get(key, undefined, signal)) {
      size += chunk.length;
      if (size > MAX_MANIFEST) throw new Error(`${key} is over ${MAX_MANIFEST} bytes`);
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof StorageError && error.fault === 'NotFound') return undefined;
    throw error;
  }
  const file = Buffer.concat(chunks);
  const { payload, signatures } = parseEnvelope(file);
  const sha256 = createHash('sha256').update(file).digest('hex');
  const manifest = parse(Buffer.from(payload, 'base64'));
  return { manifest, sha256, keyID: signatures[0]?.keyid ?? '', signature: signatures[0]?.sig ?? '' };
}

/** What lies in a recording's folder. */
export interface RecordingContent {
  /** Numbers of the manifests of its chains together; a recording of one replica has the one that `readManifest` reads. */
  readonly manifests: readonly number[];
  /** Names of its chains, with whether each is sealed for itself. */
  readonly chains: ReadonlyMap<string, { readonly sealed: boolean }>;
  /** It has segments of its own: one replica writes it for itself. */
  readonly segments: boolean;
}

/** @throws StorageError */
export async function contentOf(storage: Storage, recording: string, signal?: AbortSignal): Promise<RecordingContent> {
  const folder = layout.recording(recording);
  const manifests: number[] = [];
  const chains = new Map<string, { sealed: boolean }>();
  let segments = false;
  const note = (path: string): void => {
    const [first = '', file] = path.split('/');
    const number = manifestNumber(file ?? first);
    if (file !== undefined) {
      const chain = chains.get(first) ?? { sealed: false };
      chains.set(first, chain);
      if (number === 1) chain.sealed = true;
    } else if (number !== undefined) manifests.push(number);
    else if (segmentNumber(first) !== undefined) segments = true;
  };
  for await (const { key } of storage.list(folder, signal)) note(key.slice(folder.length));
  for await (const key of storage.listOpen(folder, signal)) note(key.slice(folder.length));
  return { manifests: manifests.sort((a, b) => a - b), chains, segments };
}

/** Segments of a recording, sealed or open, by number. @throws StorageError */
export async function segmentsOf(
  storage: Storage,
  recording: string,
  signal?: AbortSignal,
): Promise<{ number: number; key: string; open: boolean }[]> {
  const folder = layout.recording(recording);
  const found = new Map<number, { number: number; key: string; open: boolean }>();
  for await (const key of storage.listOpen(folder, signal)) {
    const number = segmentNumber(key.slice(folder.length));
    if (number !== undefined) found.set(number, { number, key, open: true });
  }
  for await (const { key } of storage.list(folder, signal)) {
    const number = segmentNumber(key.slice(folder.length));
    if (number !== undefined) found.set(number, { number, key, open: false });
  }
  return [...found.values()].sort((a, b) => a.number - b.number);
}

/** A recording in a store as the verifier reads it; its open parts are not among its files. */
export function recordingFiles(storage: Storage, name: string): RecordingFiles {
  const folder = layout.recording(name);
  return {
    name,
    async list() {
      const names: string[] = [];
      for await (const { key } of storage.list(folder)) names.push(key.slice(folder.length));
      return names;
    },
    read: (file) => storage.get(`${folder}${file}`),
  };
}

/**
 * Every line of one replica's recording or of one chain in its order, sealed or still open. Hashes are not checked: `verify` does that.
 * @throws StorageError, BrokenFrame, Error where something is there that is no line
 */
export async function* chainLines(
  storage: Storage,
  recording: string,
  signal?: AbortSignal,
): AsyncGenerator<NumberedLine> {
  for (const { key, open } of await segmentsOf(storage, recording, signal)) {
    const bytes = open ? storage.readParts(key, signal) : storage.get(key, undefined, signal);
    let rest: Buffer = Buffer.alloc(0);
    for await (const { offset, frame } of frames(bytes)) {
      const unpacked = await unpackFrame(frame, offset);
      const lines = rest.length === 0 ? unpacked : Buffer.concat([rest, unpacked]);
      let from = 0;
      for (let end = lines.indexOf(NEWLINE); end !== -1; end = lines.indexOf(NEWLINE, from)) {
        yield parsed(lines.subarray(from, end), key);
        from = end + 1;
      }
      rest = Buffer.from(lines.subarray(from));
      free(unpacked);
    }
    if (rest.length > 0) throw new Error(`${key} does not end with a line`);
  }
}

function parsed(bytes: Buffer, key: string): NumberedLine {
  const split = splitLine(bytes);
  if (split === undefined) throw new Error(`${key} holds something that is no line of a recording`);
  const {
    seq: _seq,
    hash: _hash,
    ...line
  } = JSON.parse(bytes.toString('utf8')) as Line & { seq: number; hash: string };
  return { seq: split.seq, hash: split.hash, line: line as Line };
}
