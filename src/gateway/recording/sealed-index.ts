import type { Logger } from '../../observe/log.ts';
import type { JointManifest } from '../../recording/joint-manifest.ts';
import type { Manifest } from '../../recording/manifest.ts';
import { chainName } from '../../recording/segment.ts';
import type { Storage } from '../../recording/storage/storage.ts';
import type { IndexWriter } from './index-writer.ts';
import { finalStatus, indexed, jointStatus } from './sealed-status.ts';

/** Says in the index what became of recordings that are sealed: by what the store has of them. */
export class SealedIndex {
  readonly #storage: Storage;
  readonly #index: Pick<IndexWriter, 'sealed'>;
  readonly #log: Logger;
  readonly #underWay = new Set<Promise<void>>();

  constructor(storage: Storage, index: Pick<IndexWriter, 'sealed'>, log: Logger) {
    this.#storage = storage;
    this.#index = index;
    this.#log = log;
  }

  /** A recording of one chain; of one of several the index says what became of it as a whole. */
  sealed(manifest: Manifest, sha256: string): void {
    if (chainName(manifest.recording.name) !== undefined) return;
    this.#say(manifest.recording.name, async () => {
      const status = await finalStatus(this.#storage, manifest, sha256);
      this.#index.sealed({ ...manifest, identity: manifest.recording, seq: manifest.lines }, status);
    });
  }

  joined(manifest: JointManifest, sha256: string): void {
    this.#say(manifest.recording.name, async () => {
      const status = await jointStatus(this.#storage, manifest, sha256);
      this.#index.sealed(indexed(manifest), status);
    });
  }

  /** Resolves when nothing is being looked up any more: what the last seal of a process was is in the index writer's hands. */
  async settle(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.all(this.#underWay);
  }

  #say(recording: string, work: () => Promise<void>): void {
    const said = work()
      .catch((error: unknown) => this.#log.warn({ error, recording }, 'a manifest could not be read back'))
      .then(() => void this.#underWay.delete(said));
    this.#underWay.add(said);
  }
}
