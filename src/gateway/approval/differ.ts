import { Worker } from 'node:worker_threads';
import { noDiff, type ObjectDiff } from '../../approval/object-diff.ts';
import type { DiffQuestion } from './diff-thread.ts';

export interface DifferLimits {
  /** Milliseconds for one diff. */
  readonly timeout: number;
  /** Characters of one object in JSON. */
  readonly maxLength: number;
  /** Diffs that wait for the one under way, and milliseconds for which one does: an agent waits for a person, not for others. */
  readonly maxWaiting: number;
  readonly maxWait: number;
}

/** Far more than any object that etcd keeps needs; what needs more is made to cost. */
const LIMITS: DifferLimits = { timeout: 3_000, maxLength: 4 << 20, maxWaiting: 64, maxWait: 2_000 };
const MEGABYTES = 256;
const TOO_MANY = 'too many are being compared';
/** In the image everything is bundled, this thread's module beside the others (image/bundle.ts). */
const KIND = import.meta.url.endsWith('.ts') ? '.ts' : '.mjs';

/**
 * Makes diffs in a thread of its own, one after the other, each with a time limit: an agent can write manifests that take
 * long to compare, and everyone else's requests must not wait for that. What is not compared is shown as cut.
 */
export class Differ {
  readonly #limits: DifferLimits;
  #worker: Worker | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  constructor(limits: Partial<DifferLimits> = {}) {
    this.#limits = { ...LIMITS, ...limits };
  }

  /** Never rejects. */
  async diff(question: DiffQuestion): Promise<ObjectDiff> {
    const { maxLength, maxWaiting, maxWait } = this.#limits;
    const texts = [question.before, question.after, question.masked?.before, question.masked?.after];
    if (texts.some((text) => (text?.length ?? 0) > maxLength)) return noDiff('an object is too large');
    if (this.#waiting >= maxWaiting) return noDiff(TOO_MANY);
    this.#waiting += 1;
    const { promise, resolve } = Promise.withResolvers<ObjectDiff>();
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      resolve(noDiff(TOO_MANY));
    }, maxWait);
    this.#last = this.#last.then(async () => {
      clearTimeout(timer);
      if (!isLate) resolve(await this.#make(question));
    });
    try {
      return await promise;
    } finally {
      this.#waiting -= 1;
    }
  }

  async stop(): Promise<void> {
    await this.#worker?.terminate();
  }

  async #make(question: DiffQuestion): Promise<ObjectDiff> {
    const worker = (this.#worker ??= this.#start());
    worker.ref();
    const { promise, resolve } = Promise.withResolvers<ObjectDiff>();
    const failed = (why: string): void => {
      this.#worker = undefined;
      void worker.terminate();
      resolve(noDiff(why));
    };
    const timer = setTimeout(() => failed('it takes too long'), this.#limits.timeout);
    // Out of memory, among others; then the thread is gone.
    worker.on('error', () => failed('it takes too much'));
    worker.on('exit', () => failed('it was broken off'));
    worker.on('message', resolve);
    worker.postMessage(question);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      for (const event of ['error', 'exit', 'message']) worker.removeAllListeners(event);
      // A late error of a thread that was given up is nobody's.
      worker.on('error', () => {});
      worker.unref();
    }
  }

  #start(): Worker {
    return new Worker(new URL(`./diff-thread${KIND}`, import.meta.url), {
      resourceLimits: { maxOldGenerationSizeMb: MEGABYTES },
      name: 'diffs',
    });
  }
}
