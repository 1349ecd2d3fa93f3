import type { KeyObject } from 'node:crypto';
import { openEnvelope, signEnvelope, writeEnvelope } from './envelope.ts';
import { FORMAT, type RecordingCounts, type RecordingIdentity, type Timestamp } from './line.ts';
import type { SigningKey } from './signing-key.ts';

export const MANIFEST_TYPE = 'application/vnd.sallyport.recording-manifest.v1+json';

/** What a recording consists of, signed when it is sealed. */
export interface Manifest {
  readonly format: typeof FORMAT;
  readonly recording: RecordingIdentity;
  /** `Incomplete`: its replica was gone, and another one sealed what the store had. */
  readonly state: 'Complete' | 'Incomplete';
  readonly reason: string;
  readonly endTime: Timestamp;
  /** `seq` and hash of the last line. */
  readonly lines: number;
  readonly hash: string;
  readonly counts: RecordingCounts;
  readonly segments: readonly ManifestSegment[];
  /** Who sealed it; another replica than the recording's where it is Incomplete. */
  readonly sealedBy: string;
  /** The recording that the same replica sealed before this one, and the SHA-256 of its manifest file. */
  readonly predecessor?: { readonly name: string; readonly sha256: string } | undefined;
}

export interface ManifestSegment {
  readonly name: string;
  readonly firstSeq: number;
  readonly lastSeq: number;
  /** Of its last line. */
  readonly hash: string;
  /** Of the file as stored. */
  readonly bytes: number;
  readonly sha256: string;
  /** Of its lines, unpacked. */
  readonly rawBytes: number;
}

/** The manifest's file. */
export function sealManifest(manifest: Manifest, key: SigningKey): Buffer {
  const payload = Buffer.from(JSON.stringify(manifest));
  return writeEnvelope(signEnvelope(MANIFEST_TYPE, payload, key));
}

/** @throws EnvelopeError, or Error where a key that is known has signed what is no manifest */
export function openManifest(
  file: Buffer,
  keyOf: (id: string) => KeyObject | undefined,
): { manifest: Manifest; keyID: string } {
  const { payload, keyID } = openEnvelope(file, MANIFEST_TYPE, keyOf);
  return { manifest: parseManifest(payload), keyID };
}

/** @throws Error */
export function parseManifest(payload: Buffer): Manifest {
  let value: unknown;
  try {
    value = JSON.parse(payload.toString('utf8'));
  } catch {
    throw new Error('the manifest is no JSON');
  }
  const manifest = (value ?? {}) as Manifest;
  const sound =
    manifest.format === FORMAT &&
    typeof manifest.recording?.name === 'string' &&
    isCount(manifest.lines) &&
    typeof manifest.hash === 'string' &&
    Array.isArray(manifest.segments) &&
    manifest.segments.every(
      (segment) =>
        typeof segment.name === 'string' &&
        typeof segment.hash === 'string' &&
        typeof segment.sha256 === 'string' &&
        [segment.firstSeq, segment.lastSeq, segment.bytes, segment.rawBytes].every(isCount),
    );
  if (!sound) throw new Error(`the manifest is not of the format ${FORMAT}`);
  return manifest;
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
