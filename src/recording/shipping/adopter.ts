import type { Manifest } from '../manifest.ts';
import { chainName, layout } from '../segment.ts';
import type { SigningKey } from '../signing-key.ts';
import { type Storage, StorageError } from '../storage/storage.ts';
import { adopt } from './adoption.ts';
import { type FoundAnnouncement, readAnnouncements, writeAnnouncement } from './announcement.ts';
import type { Joiner } from './joiner.ts';
import type { SealOrder } from './seal-order.ts';

export interface AdopterOptions {
  readonly storage: Storage;
  readonly replica: string;
  readonly retention: number | undefined;
  readonly key: () => SigningKey;
  readonly order: SealOrder;
  readonly joiner: Joiner;
  readonly signal: AbortSignal;
  /** Milliseconds without an announcement after which another replica is taken for gone. */
  readonly after: number;
  /** Says in the store what is open here. */
  readonly announce: () => Promise<void>;
  readonly onAdopted: (manifest: Manifest, manifestSHA256: string, key: string) => void;
  readonly onBroken: (recording: string, reason: string) => void;
}

/** Seals what replicas left that have not been heard of for long, by the store's clock. */
export class Adopter {
  readonly #options: AdopterOptions;
  /** What cannot be sealed, as the store has it: left as it is. */
  readonly #broken = new Set<string>();
  #run: Promise<void> | undefined;

  constructor(options: AdopterOptions) {
    this.#options = options;
  }

  /** Those who ask while it is under way wait for its end. @throws StorageError */
  async adoptLost(): Promise<void> {
    this.#run ??= this.#all().finally(() => {
      this.#run = undefined;
    });
    await this.#run;
  }

  /** Resolves when nothing is under way. */
  async settled(): Promise<void> {
    await this.#run?.catch(() => {});
  }

  async #all(): Promise<void> {
    const { storage, replica, signal, after, announce, joiner } = this.#options;
    await announce();
    const all = await readAnnouncements(storage, signal);
    const own = all.find((each) => each.replica === replica);
    if (own === undefined) return;
    for (const lost of all) {
      if (lost === own || own.modifiedAt - lost.modifiedAt < after) continue;
      let left = false;
      for (const name of lost.recordings) left = !(await this.#adopt(name)) || left;
      await this.#letGo(lost, left);
    }
    await joiner.join();
  }

  /** @returns false where what the store has of it does not chain */
  async #adopt(name: string): Promise<boolean> {
    if (this.#broken.has(name)) return false;
    const { storage, replica, retention, key, order, signal, onAdopted, onBroken } = this.#options;
    const adoption = await order.inTurn(async () => {
      const done = await adopt(name, { storage, key: key(), replica, retention, predecessor: order.last, signal });
      if (done.outcome === 'Sealed') order.last = { name, sha256: done.sha256 };
      return done;
    });
    if (adoption.outcome === 'Sealed') onAdopted(adoption.manifest, adoption.sha256, layout.manifest(name));
    if (adoption.outcome !== 'Broken') return true;
    this.#broken.add(name);
    onBroken(name, adoption.reason);
    return false;
  }

  /**
   * What a replica that is gone had open is sealed: its word that it has it open goes, and whether it was the last of its recording is
   * for this replica to see. What could not be sealed stays said.
   */
  async #letGo(lost: FoundAnnouncement, left: boolean): Promise<void> {
    const { storage, signal, joiner, announce } = this.#options;
    const stays = lost.recordings.filter((name) => this.#broken.has(name));
    if (left && stays.length === lost.recordings.length && (lost.joining ?? []).length === 0) return;
    for (const name of lost.recordings) {
      const chain = chainName(name);
      if (chain !== undefined && !this.#broken.has(name)) joiner.add(chain.recording);
    }
    for (const name of lost.joining ?? []) if (chainName(`${name}.x`)?.recording === name) joiner.add(name);
    await announce();
    // It may have come back meanwhile.
    const [again] = (await readAnnouncements(storage, signal)).filter((each) => each.key === lost.key);
    if (again?.modifiedAt !== lost.modifiedAt) return;
    if (left) {
      if (layout.announcement(lost.replica) !== lost.key) return;
      const said = { replica: lost.replica, recordings: stays, lastSealed: lost.lastSealed };
      await writeAnnouncement(storage, said, signal);
      return;
    }
    await storage.remove(lost.key, signal).catch((error: unknown) => {
      // Another one, who adopted the same, was first.
      if (!(error instanceof StorageError && error.fault === 'NotFound')) throw error;
    });
  }
}
