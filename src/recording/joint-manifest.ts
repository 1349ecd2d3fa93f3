import type { KeyObject } from 'node:crypto';
import { openEnvelope, signEnvelope, writeEnvelope } from './envelope.ts';
import type { RecordingCounts, RecordingIdentity, Timestamp } from './line.ts';
import type { Manifest } from './manifest.ts';
import type { SigningKey } from './signing-key.ts';

export const JOINT_FORMAT = 'recording.sallyport.dev/v2';
export const JOINT_MANIFEST_TYPE = 'application/vnd.sallyport.recording-manifest.v2+json';

/** What a recording of several chains consists of, signed when the last chain that was open has ended. */
export interface JointManifest {
  readonly format: typeof JOINT_FORMAT;
  readonly recording: Omit<RecordingIdentity, 'replica'>;
  /** From 1: a session that goes on has its recording sealed anew, by a further manifest that names all chains again. */
  readonly number: number;
  /** `Incomplete` where one of its chains is. */
  readonly state: Manifest['state'];
  readonly reason: string;
  readonly endTime: Timestamp;
  /** Of all chains. */
  readonly lines: number;
  readonly counts: RecordingCounts;
  readonly chains: readonly JointChain[];
  readonly sealedBy: string;
  /** SHA-256 of the file of the manifest before this one; undefined in the first. */
  readonly previous?: string | undefined;
  /** What the replica that sealed this sealed before, and the SHA-256 of its manifest file. */
  readonly predecessor?: Manifest['predecessor'];
}

/** One replica's part: its own lines, chained and sealed for themselves. */
export interface JointChain {
  /** Its folder in the recording's. */
  readonly name: string;
  readonly replica: string;
  readonly state: Manifest['state'];
  readonly reason: string;
  readonly startTime: Timestamp;
  readonly endTime: Timestamp;
  readonly segments: number;
  /** Number and hash of its last line. */
  readonly lines: number;
  readonly hash: string;
  readonly counts: RecordingCounts;
  /** Of the file of its own manifest. */
  readonly manifestSHA256: string;
}

/** The manifest's file. */
export function sealJointManifest(manifest: JointManifest, key: SigningKey): Buffer {
  return writeEnvelope(signEnvelope(JOINT_MANIFEST_TYPE, Buffer.from(JSON.stringify(manifest)), key));
}

/** @throws EnvelopeError, or Error where a key that is known has signed what is no manifest */
export function openJointManifest(
  file: Buffer,
  keyOf: (id: string) => KeyObject | undefined,
): { manifest: JointManifest; keyID: string } {
  const { payload, keyID } = openEnvelope(file, JOINT_MANIFEST_TYPE, keyOf);
  return { manifest: parseJointManifest(payload), keyID };
}

/** @throws Error */
export function parseJointManifest(payload: Buffer): JointManifest {
  let value: unknown;
  try {
    value = JSON.parse(payload.toString('utf8'));
  } catch {
    throw new Error('the manifest is no JSON');
  }
  const manifest = (value ?? {}) as JointManifest;
  const sound =
    manifest.format === JOINT_FORMAT &&
    typeof manifest.recording?.name === 'string' &&
    typeof manifest.recording.startTime === 'string' &&
    Number.isSafeInteger(manifest.number) &&
    Array.isArray(manifest.chains) &&
    manifest.chains.every(
      (chain) =>
        typeof chain.name === 'string' &&
        typeof chain.replica === 'string' &&
        typeof chain.startTime === 'string' &&
        typeof chain.endTime === 'string' &&
        typeof chain.hash === 'string' &&
        typeof chain.manifestSHA256 === 'string' &&
        Number.isSafeInteger(chain.lines),
    );
  if (!sound) throw new Error(`the manifest is not of the format ${JOINT_FORMAT}`);
  return manifest;
}
