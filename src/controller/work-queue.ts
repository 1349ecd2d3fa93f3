import { BackOff } from '../kubernetes/back-off.ts';

export interface WorkQueueOptions {
  /** Brings one thing to where it should be. What it throws is tried again, later each time. */
  readonly work: (key: string) => Promise<void>;
  readonly workers?: number;
  /** Milliseconds of the first and of the longest wait after a failure. */
  readonly firstDelay?: number;
  readonly lastDelay?: number;
  readonly onError?: (error: Error, key: string) => void;
}

/** setTimeout takes no more; whoever waits longer is asked again then. */
const LONGEST = 2 ** 31 - 1;

/**
 * Keys to be worked on: a key that waits is not added twice, one that is being worked on is worked on once more
 * afterwards and never by two workers at once, and one whose work failed comes back after a growing wait, so that
 * neither a broken object nor a dead API server is asked without a pause.
 */
export class WorkQueue {
  readonly #options: WorkQueueOptions;
  readonly #workers: number;
  readonly #waiting = new Set<string>();
  readonly #working = new Set<string>();
  readonly #again = new Set<string>();
  readonly #timers = new Map<string, { readonly timer: NodeJS.Timeout; readonly at: number }>();
  readonly #failures = new Map<string, BackOff>();
  #running = new Set<Promise<void>>();
  #stopped = false;

  constructor(options: WorkQueueOptions) {
    this.#options = options;
    this.#workers = options.workers ?? 4;
  }

  /** Keys that wait to be worked on now. */
  get depth(): number {
    return this.#waiting.size;
  }

  add(key: string): void {
    if (this.#stopped) return;
    if (this.#working.has(key)) this.#again.add(key);
    else this.#waiting.add(key);
    this.#next();
  }

  /** The earliest of several times wins. */
  addAfter(key: string, milliseconds: number): void {
    if (this.#stopped) return;
    const at = performance.now() + Math.max(0, milliseconds);
    const known = this.#timers.get(key);
    if (known !== undefined && known.at <= at) return;
    clearTimeout(known?.timer);
    const timer = setTimeout(
      () => {
        this.#timers.delete(key);
        this.add(key);
      },
      Math.min(Math.ceil(milliseconds), LONGEST),
    );
    this.#timers.set(key, { timer, at });
  }

  /** Nothing is known of this key any more. */
  forget(key: string): void {
    this.#waiting.delete(key);
    this.#again.delete(key);
    this.#failures.delete(key);
    clearTimeout(this.#timers.get(key)?.timer);
    this.#timers.delete(key);
  }

  /** Begins nothing more, and waits for what was begun. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const { timer } of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    this.#waiting.clear();
    this.#again.clear();
    await Promise.all(this.#running);
  }

  #next(): void {
    while (!this.#stopped && this.#working.size < this.#workers) {
      const [key] = this.#waiting;
      if (key === undefined) return;
      this.#waiting.delete(key);
      this.#working.add(key);
      const run = this.#work(key).finally(() => {
        this.#running.delete(run);
        this.#working.delete(key);
        if (this.#again.delete(key)) this.add(key);
        else this.#next();
      });
      this.#running.add(run);
    }
  }

  async #work(key: string): Promise<void> {
    try {
      // Not within `add`: an informer tells of an object before it has it.
      await null;
      await this.#options.work(key);
      this.#failures.delete(key);
    } catch (error) {
      if (this.#stopped) return;
      this.#options.onError?.(error as Error, key);
      const backOff = this.#failures.get(key) ?? this.#newBackOff();
      this.#failures.set(key, backOff);
      this.addAfter(key, backOff.next());
    }
  }

  #newBackOff(): BackOff {
    return new BackOff(this.#options.firstDelay ?? 50, this.#options.lastDelay ?? 60_000);
  }
}
