import { createHash } from 'node:crypto';
import { splitLine } from './chain.ts';
import { parseEnvelope } from './envelope.ts';
import type { Line } from './line.ts';
import { type Manifest, parseManifest } from './manifest.ts';
import { layout, segmentNumber } from './segment.ts';
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
}

/**
 * The manifest of a sealed recording, its signature not looked at: that is for `verify`.
 * @returns undefined where there is none: the recording is open, or is not there.
 * @throws StorageError, Error where it cannot be read
 */
export async function readManifest(
  storage: Storage,
  recording: string,
  signal?: AbortSignal,
): Promise<{ manifest: Manifest; sha256: string; keyID: string; signature: string } | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of storage.get(layout.manifest(recording), undefined, signal)) {
      size += chunk.length;
      if (size > MAX_MANIFEST) throw new Error(`the manifest of ${recording} is over ${MAX_MANIFEST} bytes`);
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof StorageError && error.fault === 'NotFound') return undefined;
    throw error;
  }
  const file = Buffer.concat(chunks);
  const { payload, signatures } = parseEnvelope(file);
  const sha256 = createHash('sha256').update(file).digest('hex');
  const manifest = parseManifest(Buffer.from(payload, 'base64'));
  return { manifest, sha256, keyID: signatures[0]?.keyid ?? '', signature: signatures[0]?.sig ?? '' };
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
 * Every line of a recording in its order, sealed or still open. Hashes are not checked: `verify` does that.
 * @throws StorageError, BrokenFrame, Error where something is there that is no line
 */
export async function* linesOf(
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
      rest = lines.subarray(from);
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
