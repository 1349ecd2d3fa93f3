/** Grows from `first` to `last` milliseconds by doubling, with half of each wait drawn at random. */
export class BackOff {
  readonly #first: number;
  readonly #last: number;
  #failures = 0;

  constructor(first = 200, last = 5_000) {
    this.#first = first;
    this.#last = last;
  }

  /** Milliseconds to wait now. `atLeast` (a Retry-After) is honoured, but not above `last`. */
  next(atLeast = 0): number {
    const full = Math.min(this.#last, this.#first * 2 ** Math.min(this.#failures, 30));
    this.#failures += 1;
    // Replicas that lost the same API server must not come back at the same instant.
    return Math.min(this.#last, Math.max(full / 2 + (Math.random() * full) / 2, atLeast));
  }

  reset(): void {
    this.#failures = 0;
  }
}

/** Waits; ends early, without an error, when the signal aborts. */
export function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener('abort', done, { once: true });
  });
}
