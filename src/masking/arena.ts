import { pool } from '../buffer-pool.ts';

/**
 * Memory of one piece of work, which is given back all at once when what came of it has been passed on. Whoever keeps a part of it
 * longer reads what another answer holds by then: so only an engine draws on one whose output is copied at once.
 */
export class Arena {
  readonly #taken: Buffer[] = [];

  /** @returns so many bytes, with whatever is in them */
  take(size: number): Buffer {
    const buffer = pool.take(size);
    this.#taken.push(buffer);
    return buffer;
  }

  /** What the other has taken is from now on given back with this. */
  adopt(other: Arena): void {
    for (const buffer of other.#taken) this.#taken.push(buffer);
    other.#taken.length = 0;
  }

  /** Nobody reads any of it any more. */
  release(): void {
    for (const buffer of this.#taken) pool.give(buffer);
    this.#taken.length = 0;
  }
}
