import { type ErrorCode, SallyportError } from '../errors.ts';
import type { Informer, InformerHandlers } from '../kubernetes/informer.ts';
import type { Logger } from '../observe/log.ts';

export interface CompiledSetOptions<Source, Compiled> {
  /** As messages name them: "policies". */
  readonly what: string;
  /** Of the refusal while there is none to go by. */
  readonly code: ErrorCode;
  /** Milliseconds after which what a watch holds is not trusted. */
  readonly staleAfter: number;
  readonly log: Logger;
  watch(handlers: InformerHandlers<Source>): Informer<Source>;
  /** Watches on other things, without which the set says nothing. */
  readonly beside?: readonly Informer<unknown>[];
  /** @param before the set in force until now: what has not changed may be taken from it */
  compile(objects: readonly Source[], before: Compiled | undefined): Compiled;
  /** Told of each set, once it is in force. @param milliseconds that compiling took */
  inForce(set: Compiled, objects: readonly Source[], milliseconds: number): void;
}

/** Changes that come in one burst (a list, a `kubectl apply -f dir`) are compiled together; short enough for "within a second". */
const SETTLE = 25;

/** What is compiled of watched objects: always one whole set, exchanged in one assignment; none that may be outdated. */
export class CompiledSet<Source, Compiled> {
  readonly #options: CompiledSetOptions<Source, Compiled>;
  readonly #source: Informer<Source>;
  readonly informers: readonly Informer<unknown>[];
  #set: Compiled | undefined;
  #fault: string | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: CompiledSetOptions<Source, Compiled>) {
    this.#options = options;
    const changed = (): void => this.#schedule();
    this.#source = options.watch({ add: changed, update: changed, delete: changed, settled: () => this.#settled() });
    this.informers = [this.#source as Informer<unknown>, ...(options.beside ?? [])];
  }

  async start(): Promise<void> {
    for (const informer of this.informers) informer.start();
    await Promise.all(this.informers.map((informer) => informer.whenSynced()));
    this.#compile();
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    await Promise.all(this.informers.map((informer) => informer.stop()));
  }

  /**
   * The set in force.
   * @throws SallyportError of the given code before the first, and when it may be outdated
   */
  current(): Compiled {
    const problem = this.check();
    if (problem === true) return this.#set!;
    throw new SallyportError(this.#options.code, `${problem}: nothing passes meanwhile; try again`, { retryAfter: 2 });
  }

  /** For readiness. */
  check(): true | string {
    if (this.#fault !== undefined) return this.#fault;
    if (this.#set === undefined) return `the ${this.#options.what} are not loaded yet`;
    for (const informer of this.informers) {
      if (informer.age() > this.#options.staleAfter) return `the watch on ${informer.name} objects is stale`;
    }
    return true;
  }

  #schedule(): void {
    if (this.#set === undefined && this.#fault === undefined) return;
    this.#timer ??= setTimeout(() => this.#compile(), SETTLE);
  }

  /** What was missed while nothing could be heard is in force before anything passes again. */
  #settled(): void {
    if (this.#timer !== undefined && this.#source.age() > this.#options.staleAfter) this.#compile();
  }

  #compile(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const started = performance.now();
    const objects = [...this.#source.values()];
    try {
      this.#set = this.#options.compile(objects, this.#set);
      this.#fault = undefined;
    } catch (error) {
      // What is in force is not what was written: nothing may pass on it.
      this.#fault = `the ${this.#options.what} could not be compiled`;
      this.#options.log.error({ error }, this.#fault);
      return;
    }
    this.#options.inForce(this.#set, objects, Math.round((performance.now() - started) * 10) / 10);
  }
}
