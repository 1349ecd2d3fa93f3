import { createHash } from 'node:crypto';
import { NO_COUNTS, sumCounts } from '../counts.ts';
import { JOINT_FORMAT, type JointChain, type JointManifest, sealJointManifest } from '../joint-manifest.ts';
import type { Manifest } from '../manifest.ts';
import { layout } from '../segment.ts';
import type { SigningKey } from '../signing-key.ts';
import { type Storage, StorageError } from '../storage/storage.ts';
import { contentOf, readJointManifest, readManifest, type StoredManifest } from '../stored-recording.ts';
import { sealOptions } from './shipment.ts';

export interface JoiningOptions {
  readonly storage: Storage;
  readonly key: SigningKey;
  /** Who seals. */
  readonly replica: string;
  readonly retention: number | undefined;
  /** What this replica sealed last. */
  readonly predecessor: Manifest['predecessor'];
  readonly signal?: AbortSignal | undefined;
}

/** Whoever reads that one was first reads again: as often as replicas may end at once. */
const TRIES = 8;

/**
 * Seals a recording whose chains have all ended, by a manifest that names each. Whoever calls has seen that no replica has a chain of it
 * open. Two who come to that at once name the same chains, and the second finds it done; a chain that was begun meanwhile is named
 * by the next manifest. Nothing sealed is touched.
 * @returns undefined where every chain is named already
 * @throws StorageError
 */
export async function sealJoint(
  recording: string,
  options: JoiningOptions,
): Promise<{ manifest: JointManifest; sha256: string } | undefined> {
  const { storage, key, replica, retention, predecessor, signal } = options;
  for (let tries = 1; ; tries += 1) {
    const content = await contentOf(storage, recording, signal);
    const last = await lastManifest(storage, recording, signal);
    const named = new Map(last?.manifest.chains.map((chain) => [chain.name, chain]));
    const added: ChainToJoin[] = [];
    for (const [name, { sealed }] of content.chains) {
      if (named.has(name) || !sealed) continue;
      const found = await readManifest(storage, `${recording}.${name}`, signal);
      if (found !== undefined) added.push({ name, ...found });
    }
    if (added.length === 0) return undefined;
    const manifest = joined(recording, last, added, { replica, predecessor });
    const file = sealJointManifest(manifest, key);
    const sha256 = createHash('sha256').update(file).digest('hex');
    try {
      const at = layout.manifest(recording, manifest.number);
      await storage.putSealed(at, file, sealOptions(sha256, retention), signal);
      return { manifest, sha256 };
    } catch (error) {
      if (!(error instanceof StorageError && error.fault === 'Exists') || tries >= TRIES) throw error;
    }
  }
}

type ChainToJoin = { readonly name: string } & StoredManifest<Manifest>;

/** The manifest that holds now. @throws StorageError, Error where one cannot be read */
export async function lastManifest(
  storage: Storage,
  recording: string,
  signal?: AbortSignal,
): Promise<StoredManifest<JointManifest> | undefined> {
  let last: StoredManifest<JointManifest> | undefined;
  for (let number = 1; ; number += 1) {
    const found = await readJointManifest(storage, recording, number, signal);
    if (found === undefined) return last;
    last = found;
  }
}

function joined(
  recording: string,
  last: StoredManifest<JointManifest> | undefined,
  added: readonly ChainToJoin[],
  { replica, predecessor }: Pick<JoiningOptions, 'replica' | 'predecessor'>,
): JointManifest {
  const chains = [...(last?.manifest.chains ?? []), ...added.map(chainOf)].sort((a, b) =>
    a.startTime === b.startTime ? (a.name < b.name ? -1 : 1) : a.startTime < b.startTime ? -1 : 1,
  );
  const [first] = added.map(({ manifest }) => manifest.recording).sort((a, b) => (a.startTime < b.startTime ? -1 : 1));
  const { user, caller } = last?.manifest.recording ?? first!;
  const ended = chains.reduce((latest, chain) => (chain.endTime >= latest.endTime ? chain : latest));
  const incomplete = chains.find(({ state }) => state === 'Incomplete');
  return {
    format: JOINT_FORMAT,
    recording: { name: recording, user, caller, startTime: chains[0]!.startTime },
    number: (last?.manifest.number ?? 0) + 1,
    state: incomplete === undefined ? 'Complete' : 'Incomplete',
    reason: (incomplete ?? ended).reason,
    endTime: ended.endTime,
    lines: chains.reduce((sum, { lines }) => sum + lines, 0),
    counts: chains.map(({ counts }) => counts).reduce(sumCounts, NO_COUNTS),
    chains,
    sealedBy: replica,
    previous: last?.sha256,
    predecessor,
  };
}

function chainOf({ name, manifest, sha256 }: ChainToJoin): JointChain {
  const { recording, state, reason, endTime, segments, lines, hash, counts } = manifest;
  return {
    name,
    replica: recording.replica,
    state,
    reason,
    startTime: recording.startTime,
    endTime,
    segments: segments.length,
    lines,
    hash,
    counts,
    manifestSHA256: sha256,
  };
}
