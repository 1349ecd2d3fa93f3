import { SpoolError } from '../../recording/spool/spool-error.ts';

interface Wait {
  /** Of a clock that never jumps, in milliseconds. */
  readonly until: number;
  readonly fail: (error: SpoolError) => void;
}

/**
 * How long a line may take to be kept. All wait equally long, so the one that began first is late first: one timer is enough for
 * all of them, where mostly none is late. It keeps no process from ending: whoever waits has a connection, which does.
 */
export class CommitDeadline {
  readonly milliseconds: number;
  /** In the order in which they began. */
  readonly #waits = new Set<Wait>();
  #timer: NodeJS.Timeout | undefined;

  constructor(milliseconds: number) {
    this.milliseconds = milliseconds;
  }

  /** Resolves with `kept`. @throws SpoolError `Slow`, where it takes too long; what `kept` fails with */
  within(kept: Promise<void>): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const wait: Wait = { until: performance.now() + this.milliseconds, fail: reject };
    this.#waits.add(wait);
    this.#timer ??= setTimeout(this.#look, this.milliseconds).unref();
    kept.then(
      () => {
        this.#waits.delete(wait);
        resolve();
      },
      (error: unknown) => {
        this.#waits.delete(wait);
        reject(error);
      },
    );
    return promise;
  }

  readonly #look = (): void => {
    const now = performance.now();
    this.#timer = undefined;
    for (const wait of this.#waits) {
      const left = wait.until - now;
      if (left > 0) {
        this.#timer = setTimeout(this.#look, Math.ceil(left)).unref();
        return;
      }
      this.#waits.delete(wait);
      wait.fail(new SpoolError('Slow', `not kept within ${this.milliseconds} ms`));
    }
  };
}
