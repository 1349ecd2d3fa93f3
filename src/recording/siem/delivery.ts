import { BackOff, pause } from '../../kubernetes/back-off.ts';
import type { Outbox } from './outbox.ts';
import { type Sink, SinkError } from './sink.ts';

export interface DeliveryOptions {
  readonly outbox: Outbox;
  readonly sink: Sink;
  /** Events of one batch at most. */
  readonly batch: number;
  /** Milliseconds for one batch. */
  readonly timeout: number;
  readonly onDelivered: (events: number) => void;
  /** The receiver will never take them: they are passed over. */
  readonly onRefused: (events: number) => void;
  readonly onFailed: (error: Error) => void;
  readonly backOff?: BackOff;
}

const BATCH_BYTES = 1 << 20;

/** Carries events from their outbox to a receiver, one batch after another, for as long as it takes. */
export class Delivery {
  readonly #options: DeliveryOptions;
  readonly #abort = new AbortController();
  readonly #backOff: BackOff;
  #running: Promise<void> | undefined;

  constructor(options: DeliveryOptions) {
    this.#options = options;
    this.#backOff = options.backOff ?? new BackOff(500, 60_000);
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** What is not delivered within the time stays on disk. @param deadline milliseconds */
  async stop(deadline: number): Promise<void> {
    const { outbox, sink } = this.#options;
    await outbox.flush();
    const until = performance.now() + deadline;
    while (outbox.bytes > 0 && performance.now() < until) await pause(20, this.#abort.signal);
    this.#abort.abort();
    await this.#running;
    await sink.close();
    await outbox.close();
  }

  async #run(): Promise<void> {
    const { outbox, batch: most } = this.#options;
    const { signal } = this.#abort;
    while (!signal.aborted) {
      try {
        const batch = await outbox.next(most, BATCH_BYTES, signal);
        if (batch === undefined) return;
        await this.#deliver(batch.events);
        if (!signal.aborted) await batch.done();
      } catch (error) {
        this.#options.onFailed(error as Error);
        await pause(this.#backOff.next(), signal);
      }
    }
  }

  async #deliver(events: readonly string[]): Promise<void> {
    const { sink, timeout, onDelivered, onRefused, onFailed } = this.#options;
    const { signal } = this.#abort;
    while (!signal.aborted) {
      try {
        const refused = await sink.send(events, AbortSignal.any([signal, AbortSignal.timeout(timeout)]));
        onDelivered(events.length - refused);
        if (refused > 0) onRefused(refused);
        this.#backOff.reset();
        return;
      } catch (error) {
        if (signal.aborted) return;
        onFailed(error as Error);
        if (error instanceof SinkError && error.fault === 'Unacceptable') {
          if (events.length === 1) return onRefused(1);
          // One of them is too much for it: the others are not to suffer for that.
          const half = events.length >> 1;
          await this.#deliver(events.slice(0, half));
          return await this.#deliver(events.slice(half));
        }
        await pause(this.#backOff.next(error instanceof SinkError ? error.retryAfter : 0), signal);
      }
    }
  }
}
