import type { Manifest } from '../manifest.ts';

/** One manifest of a replica after another: each names the one before. */
export class SealOrder {
  /** The manifest that was sealed last. */
  last: Manifest['predecessor'];
  #sealing: Promise<unknown> = Promise.resolve();

  /** Begins the work when all that was asked for before has ended, however it did. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    const next = this.#sealing.catch(() => {}).then(work);
    this.#sealing = next;
    return next;
  }

  /** Resolves when nothing is under way. */
  async settled(): Promise<void> {
    await this.#sealing.catch(() => {});
  }
}
