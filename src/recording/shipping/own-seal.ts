import { createHash } from 'node:crypto';
import { FORMAT } from '../line.ts';
import { type Manifest, sealManifest } from '../manifest.ts';
import type { SigningKey } from '../signing-key.ts';
import type { SpooledRecording } from '../spool/spooled-recording.ts';
import { type Storage, StorageError } from '../storage/storage.ts';
import { readManifest } from '../stored-recording.ts';
import type { SealOrder } from './seal-order.ts';
import { Superseded, sealRecording } from './shipment.ts';

export interface OwnSealOptions {
  readonly storage: Storage;
  readonly order: SealOrder;
  readonly key: SigningKey;
  /** Who seals. */
  readonly replica: string;
  readonly retention: number | undefined;
  readonly signal: AbortSignal;
}

/** A manifest that is in the store. */
export interface Sealed {
  readonly manifest: Manifest;
  /** Hex, of its file. */
  readonly sha256: string;
}

/**
 * Seals a recording of this replica that has ended and whose segments are all in the store; behind all others, since each
 * manifest names the one before. @throws Superseded where another replica has; StorageError
 */
export function sealOwn(recording: SpooledRecording, options: OwnSealOptions): Promise<Sealed> {
  const { storage, order, key, replica, retention, signal } = options;
  const { identity, sealed, seq, hash, counts, end } = recording;
  return order.inTurn(async () => {
    const manifest: Manifest = {
      format: FORMAT,
      recording: identity,
      state: 'Complete',
      reason: end!.reason,
      endTime: end!.time,
      lines: seq,
      hash,
      counts,
      segments: sealed,
      sealedBy: replica,
      predecessor: order.last,
    };
    const file = sealManifest(manifest, key);
    try {
      await sealRecording(storage, manifest, file, retention, signal);
    } catch (error) {
      if (!(error instanceof StorageError && error.fault === 'Exists')) throw error;
      // Sealed by this replica before it was restarted: its answer, or what the announcement said since, was lost.
      const there = await readManifest(storage, identity.name, signal);
      if (there === undefined || there.manifest.sealedBy !== replica || there.manifest.hash !== hash) {
        throw new Superseded(error.message, { cause: error });
      }
      order.last = { name: identity.name, sha256: there.sha256 };
      return there;
    }
    const sha256 = createHash('sha256').update(file).digest('hex');
    order.last = { name: identity.name, sha256 };
    return { manifest, sha256 };
  });
}
