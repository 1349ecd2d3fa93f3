import type { JointManifest } from '../../recording/joint-manifest.ts';
import type { Manifest } from '../../recording/manifest.ts';
import { layout } from '../../recording/segment.ts';
import type { SessionRecordingStatus } from '../../recording/session-recording.generated.ts';
import type { Storage } from '../../recording/storage/storage.ts';
import { readJointManifest, readManifest } from '../../recording/stored-recording.ts';
import { type IndexedRecording, MOST_CHAINS_SHOWN } from './index-writer.ts';

/** A recording of several chains as the index knows one: by its first chain's replica. */
export function indexed(manifest: JointManifest): IndexedRecording {
  const { recording, counts, lines, chains } = manifest;
  return { identity: { ...recording, replica: chains[0]!.replica }, counts, seq: lines, hash: '' };
}

/** What a SessionRecording says at its seal, where several replicas wrote it. @param sha256 of the manifest's file */
export async function jointStatus(
  storage: Storage,
  manifest: JointManifest,
  sha256: string,
): Promise<SessionRecordingStatus> {
  const { recording, state, counts, lines, chains, endTime, reason, number } = manifest;
  const stored = await readJointManifest(storage, recording.name, number);
  return {
    phase: state === 'Complete' ? 'Sealed' : 'Incomplete',
    counts,
    lines,
    // Of more than an object should name none is named: the manifest has them all.
    chains: chains.length > MOST_CHAINS_SHOWN ? NONE : Object.fromEntries(chains.map(shown)),
    seals: number,
    location: locationOf(storage, recording.name),
    endTime,
    reason,
    ...signed(stored, sha256),
  };
}

/** In a merge patch: what is there goes. */
const NONE = null as unknown as NonNullable<SessionRecordingStatus['chains']>;

function shown({ name, replica, lines, hash, counts }: JointManifest['chains'][number]) {
  return [name, { replica, lines, chainHead: hash, counts }] as const;
}

function locationOf(storage: Storage, name: string): string {
  return `${storage.locator.replace(/\?.*$/, '').replace(/\/$/, '')}/${layout.recording(name)}`;
}

/** What a SessionRecording says at its seal. @param sha256 of the manifest's file */
export async function finalStatus(
  storage: Storage,
  manifest: Manifest,
  sha256: string,
): Promise<SessionRecordingStatus> {
  const { name } = manifest.recording;
  const stored = await readManifest(storage, name);
  return {
    phase: manifest.state === 'Complete' ? 'Sealed' : 'Incomplete',
    counts: manifest.counts,
    lines: manifest.lines,
    chainHead: manifest.hash,
    location: locationOf(storage, name),
    endTime: manifest.endTime,
    reason: manifest.reason,
    ...signed(stored, sha256),
  };
}

/** Of what the store gives back, not of what was sent there: a signature that cannot be read is none. */
function signed(
  stored: { readonly keyID: string; readonly signature: string } | undefined,
  manifestSHA256: string,
): Pick<SessionRecordingStatus, 'signature'> {
  if (stored === undefined) return {};
  return { signature: { keyID: stored.keyID, value: stored.signature, manifestSHA256 } };
}
