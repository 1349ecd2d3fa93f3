import { createHash, type KeyObject } from 'node:crypto';
import { startOf } from './chain.ts';
import { EnvelopeError } from './envelope.ts';
import { Findings, type VerifyReport } from './finding.ts';
import { type Manifest, type ManifestSegment, openManifest } from './manifest.ts';
import { segmentName, segmentNumber } from './segment.ts';
import { SegmentCheck } from './segment-check.ts';

/** A recording's files, from a store or a folder. */
export interface RecordingFiles {
  readonly name: string;
  /** Names of all files; parts of open segments are none. */
  list(): Promise<readonly string[]>;
  /** Names of segments that are in parts still; what is in them is not looked at. */
  listOpen?(): Promise<readonly string[]>;
  read(file: string): AsyncIterable<Buffer>;
}

const MANIFEST = 'manifest.json';
const MAX_MANIFEST = 64 << 20;

/**
 * Checks a recording: every hash, every segment, the manifest and its signature. Streams; needs no server. What it cannot
 * see: that a whole recording was taken away (the next manifest of its replica names it), or that the key was stolen.
 * @param keyOf the public keys that are trusted, by id
 */
export async function verifyRecording(
  files: RecordingFiles,
  keyOf: (id: string) => KeyObject | undefined,
): Promise<VerifyReport> {
  const findings = new Findings();
  const names = new Set(await files.list());
  const opened = names.has(MANIFEST) ? await readManifest(files, keyOf, findings) : undefined;
  const manifest = opened?.manifest;
  if (manifest !== undefined && manifest.recording.name !== files.name) {
    findings.add({ file: MANIFEST, what: `is the manifest of another recording, ${quote(manifest.recording.name)}` });
  }
  const state = new Walk(files, manifest, findings);
  await state.run(names);
  return {
    recording: files.name,
    state: names.has(MANIFEST) ? (manifest?.state ?? 'Complete') : 'Open',
    ended: names.has(MANIFEST) ? undefined : state.check.ended,
    sound: findings.count === 0,
    findings: findings.list,
    findingCount: findings.count,
    segments: state.segments,
    lines: state.check.seq,
    bytes: state.check.bytes,
    hash: state.check.hash,
    keyID: opened?.keyID,
    unknownOutcomes: state.check.open.size,
    startTime: manifest?.recording.startTime ?? state.check.identity?.startTime,
    endTime: manifest?.endTime,
    manifestSHA256: opened?.sha256,
    predecessor: manifest?.predecessor,
  };
}

/** Goes through the segments in their order. */
class Walk {
  readonly check: SegmentCheck;
  segments = 0;
  readonly #files: RecordingFiles;
  readonly #manifest: Manifest | undefined;
  readonly #findings: Findings;

  constructor(files: RecordingFiles, manifest: Manifest | undefined, findings: Findings) {
    this.#files = files;
    this.#manifest = manifest;
    this.#findings = findings;
    this.check = new SegmentCheck(files.name, startOf(files.name), findings);
  }

  async run(names: ReadonlySet<string>): Promise<void> {
    const findings = this.#findings;
    const numbers: number[] = [];
    for (const name of names) {
      const number = segmentNumber(name);
      if (number !== undefined) numbers.push(number);
      else if (name !== MANIFEST) findings.add({ file: name, what: 'does not belong to a recording' });
    }
    numbers.sort((a, b) => a - b);
    const listed = new Map(this.#manifest?.segments.map((segment) => [segment.name, segment]));
    const last = Math.max(numbers.at(-1) ?? 0, this.#manifest?.segments.length ?? 0);
    for (let number = 1, next = 0; number <= last; number += 1) {
      const name = segmentName(number);
      if (numbers[next] !== number) {
        const until = Math.min(numbers[next] ?? last + 1, last + 1) - 1;
        const more = until > number ? ` (and all up to ${segmentName(until)})` : '';
        findings.add({ file: name, what: `is missing${more}` });
        this.check.skipTo(listed.get(segmentName(until)));
        number = until;
        continue;
      }
      next += 1;
      if (this.#manifest !== undefined && !listed.has(name)) {
        findings.add({ file: name, what: 'is not in the manifest: it was put there later' });
      }
      await this.#segment(name, number, listed.get(name));
    }
    this.#end();
  }

  async #segment(name: string, number: number, listed: ManifestSegment | undefined): Promise<void> {
    const findings = this.#findings;
    const before = findings.count;
    const digest = createHash('sha256');
    let bytes = 0;
    const counted = async function* (source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
      for await (const chunk of source) {
        digest.update(chunk);
        bytes += chunk.length;
        yield chunk;
      }
    };
    this.segments += 1;
    const source = counted(this.#files.read(name));
    await this.check.read(name, number, source);
    // Behind a fault that ended the reading there may be more.
    for await (const _ of source);
    if (listed === undefined) return;
    if (this.check.seq !== listed.lastSeq || this.check.hash !== listed.hash) {
      findings.add({
        file: name,
        line: Math.max(1, this.check.lines),
        what: `ends with line number ${this.check.seq} and hash ${this.check.hash}; the manifest says ${listed.lastSeq} and ${listed.hash}`,
      });
    } else if (findings.count === before && digest.digest('hex') !== listed.sha256) {
      const what = `the file is not the one that the manifest names (${bytes} bytes, ${listed.bytes} expected), though its lines are`;
      findings.add({ file: name, what });
    }
    this.check.skipTo(listed);
  }

  #end(): void {
    const manifest = this.#manifest;
    if (manifest === undefined) return;
    const { seq, hash } = this.check;
    if (manifest.segments.length > 0 && (seq !== manifest.lines || hash !== manifest.hash)) {
      const what = `says that the recording has ${manifest.lines} lines and ends with ${manifest.hash}; its segments say ${seq} and ${hash}`;
      this.#findings.add({ file: MANIFEST, what });
    }
  }
}

async function readManifest(
  files: RecordingFiles,
  keyOf: (id: string) => KeyObject | undefined,
  findings: Findings,
): Promise<{ manifest: Manifest; keyID: string; sha256: string } | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of files.read(MANIFEST)) {
    size += chunk.length;
    if (size > MAX_MANIFEST) {
      findings.add({ file: MANIFEST, what: `is larger than ${MAX_MANIFEST} bytes` });
      return undefined;
    }
    chunks.push(chunk);
  }
  try {
    const file = Buffer.concat(chunks);
    return { ...openManifest(file, keyOf), sha256: createHash('sha256').update(file).digest('hex') };
  } catch (error) {
    const what = error instanceof EnvelopeError ? error.message : `is not as it should be: ${(error as Error).message}`;
    findings.add({ file: MANIFEST, what });
    return undefined;
  }
}

function quote(text: string): string {
  return JSON.stringify(text.slice(0, 200));
}
