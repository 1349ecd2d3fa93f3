import type { Exchange } from '../exchange.ts';

/** Counts the connections that wait for a person, per caller: one caller's waiting is its own. */
export class Holds {
  readonly #most: number;
  readonly #byCaller = new Map<string, number>();
  #size = 0;

  /** @param most of one caller at once */
  constructor(most: number) {
    this.#most = most;
  }

  /** @returns gives the place back; undefined where the caller has none left */
  take({ caller }: Exchange): (() => void) | undefined {
    const { issuer, username, agent } = caller!;
    const key = JSON.stringify([issuer, username, agent ?? null]);
    const held = this.#byCaller.get(key) ?? 0;
    if (held >= this.#most) return undefined;
    this.#byCaller.set(key, held + 1);
    this.#size += 1;
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      this.#size -= 1;
      const left = (this.#byCaller.get(key) ?? 1) - 1;
      if (left === 0) this.#byCaller.delete(key);
      else this.#byCaller.set(key, left);
    };
  }

  get size(): number {
    return this.#size;
  }
}
