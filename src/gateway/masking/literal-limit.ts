import { SallyportError } from '../../errors.ts';

const HOUR = 3_600_000;

export interface LiteralLimitOptions {
  /** New values over masked ones of one object, by one caller, in an hour. */
  readonly perHour: number;
  /** Among how many replicas these are divided: together they never allow more. */
  readonly replicas?: number;
  /** Pairs of caller and object that are remembered. */
  readonly remembered: number;
  readonly now?: () => number;
}

/**
 * How often one caller may write new values over masked ones of one object: what comes back (generation, resourceVersion, times in
 * managedFields) tells whether the value was the same, so every write is a guess that can be right. Each replica counts for itself,
 * up to its share.
 */
export class LiteralLimit {
  readonly #options: LiteralLimitOptions;
  readonly #share: number;
  /** Times of the writes of the last hour; the pair that wrote last stands last. */
  readonly #writes = new Map<string, readonly number[]>();

  constructor(options: LiteralLimitOptions) {
    this.#options = options;
    this.#share = Math.floor(options.perHour / (options.replicas ?? 1));
  }

  get size(): number {
    return this.#writes.size;
  }

  /** @throws SallyportError SP_MASKING_LITERAL_LIMIT where no more may be */
  check(key: string): void {
    const recent = this.#recent(key);
    const { remembered } = this.#options;
    const isKnown = this.#writes.has(key);
    if (recent.length < this.#share && (isKnown || this.#writes.size < remembered || this.#forgetOld())) return;
    const first = recent[0] ?? this.#now();
    const minutes = Math.max(1, Math.ceil((first + HOUR - this.#now()) / 60_000));
    const message = `new values were written over masked ones of this object ${this.#share} times within an hour; the next may be in ${minutes} min. Leave placeholders where they were read, or ask someone who sees the values`;
    throw new SallyportError('SP_MASKING_LITERAL_LIMIT', message);
  }

  /** One is on its way upstream. @throws SallyportError SP_MASKING_LITERAL_LIMIT */
  take(key: string): void {
    this.check(key);
    const recent = this.#recent(key);
    this.#writes.delete(key);
    this.#writes.set(key, [...recent, this.#now()]);
  }

  #recent(key: string): readonly number[] {
    const since = this.#now() - HOUR;
    return (this.#writes.get(key) ?? []).filter((time) => time > since);
  }

  /** Nothing that still counts is forgotten, else a flood of objects would give guesses back. */
  #forgetOld(): boolean {
    const since = this.#now() - HOUR;
    for (const [key, times] of this.#writes) {
      if (times[times.length - 1]! > since) break;
      this.#writes.delete(key);
    }
    return this.#writes.size < this.#options.remembered;
  }

  #now(): number {
    return this.#options.now?.() ?? Date.now();
  }
}
