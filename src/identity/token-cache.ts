import { hash } from 'node:crypto';
import type { SallyportError } from '../errors.ts';

/** What stands for a token in memory: its SHA-256, so that a heap dump gives nobody a token. */
export function tokenDigest(token: string): string {
  return hash('sha256', token, 'base64');
}

/** A map of bounded size; the entry unused for longest goes first. */
export class LRU<Value> {
  readonly #entries = new Map<string, Value>();
  readonly #capacity: number;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string): Value | undefined {
    const value = this.#entries.get(key);
    if (value === undefined) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, value);
    return value;
  }

  set(key: string, value: Value): void {
    this.#entries.delete(key);
    if (this.#entries.size >= this.#capacity) this.#entries.delete(this.#entries.keys().next().value!);
    this.#entries.set(key, value);
  }

  delete(key: string): void {
    this.#entries.delete(key);
  }

  clear(): void {
    this.#entries.clear();
  }
}

interface Refusal {
  readonly error: SallyportError;
  readonly until: number;
}

/**
 * Verified tokens and refused ones, by digest. They are two maps, so that a flood of distinct bad tokens neither grows
 * memory nor drives out a good one. Of many parallel requests with one unknown token, one verifies for all.
 */
export class TokenCache<Verified> {
  readonly #verified: LRU<Verified>;
  readonly #refused: LRU<Refusal>;
  readonly #underWay = new Map<string, Promise<Verified>>();
  readonly #isUsable: (entry: Verified) => boolean;
  readonly #refusalTTL: number;
  readonly #now: () => number;

  /**
   * @param options `isUsable` is asked on every hit: expiry, and whether the key that signed it still stands;
   * `refusalTTL` in milliseconds.
   */
  constructor(options: {
    capacity: number;
    refusals: number;
    refusalTTL: number;
    isUsable: (entry: Verified) => boolean;
    now: () => number;
  }) {
    this.#verified = new LRU(options.capacity);
    this.#refused = new LRU(options.refusals);
    this.#refusalTTL = options.refusalTTL;
    this.#isUsable = options.isUsable;
    this.#now = options.now;
  }

  get size(): { readonly verified: number; readonly refused: number; readonly underWay: number } {
    return { verified: this.#verified.size, refused: this.#refused.size, underWay: this.#underWay.size };
  }

  /** A verified entry that still stands, without a promise: the hot path. */
  peek(digest: string): Verified | undefined {
    const entry = this.#verified.get(digest);
    if (entry === undefined) return undefined;
    if (this.#isUsable(entry)) return entry;
    this.#verified.delete(digest);
    return undefined;
  }

  /**
   * The entry of a digest, from memory or by `verify`. A refusal is remembered only where `rememberRefusal` says that
   * it is final: not when a key or a server was merely out of reach.
   */
  async verified(
    digest: string,
    verify: () => Promise<Verified>,
    rememberRefusal: (error: unknown) => error is SallyportError,
  ): Promise<Verified> {
    const known = this.peek(digest);
    if (known !== undefined) return known;
    const refusal = this.#refused.get(digest);
    if (refusal !== undefined) {
      if (refusal.until > this.#now()) throw refusal.error;
      this.#refused.delete(digest);
    }
    const running = this.#underWay.get(digest);
    if (running !== undefined) return running;
    const started = verify().then(
      (entry) => {
        this.#verified.set(digest, entry);
        return entry;
      },
      (error: unknown) => {
        if (this.#refusalTTL > 0 && rememberRefusal(error)) {
          this.#refused.set(digest, { error, until: this.#now() + this.#refusalTTL });
        }
        throw error;
      },
    );
    this.#underWay.set(digest, started);
    try {
      return await started;
    } finally {
      this.#underWay.delete(digest);
    }
  }

  clear(): void {
    this.#verified.clear();
    this.#refused.clear();
  }
}
