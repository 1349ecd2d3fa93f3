import { type Channel, openChannel } from './channel.ts';
import type { Endpoint, Protocol } from './endpoint.ts';

/** Watches opened from one process, as many agents would hold them. */
export class WatchCrowd {
  readonly #channels: Channel[] = [];
  readonly #leave: (() => void)[] = [];
  #heard: (() => void) | undefined;
  #sought = Buffer.alloc(0);
  #broken: Error | undefined;
  count = 0;

  /**
   * Opens so many more.
   * @param perConnection watches on one connection; over HTTP/1.1 always one
   * @param path of a watch whose first event tells that it is open
   */
  async open(
    endpoint: Endpoint,
    protocol: Protocol,
    path: string,
    count: number,
    perConnection: number,
  ): Promise<void> {
    const connections = protocol === 'HTTP/1.1' ? count : Math.ceil(count / perConnection);
    const all = this.count + count;
    // A few handshakes at a time: all at once would run into the handshake time-out on a busy machine.
    for (let begun = 0; begun < connections; begun += 20) {
      const batch = Math.min(20, connections - begun);
      await Promise.all(
        Array.from({ length: batch }, async () => {
          const channel = await openChannel(endpoint, protocol, 1);
          this.#channels.push(channel);
          const share = protocol === 'HTTP/1.1' ? 1 : Math.min(perConnection, all - this.count);
          this.count += share;
          await Promise.all(Array.from({ length: share }, () => this.#watch(channel, path)));
        }),
      );
    }
  }

  /**
   * Makes a change and waits until every watch has told of it.
   * @param mark what the event of that change, and no other, contains
   * @returns milliseconds from the moment before the change was asked for, one for each watch
   */
  async hear(mark: string, change: () => Promise<void>, timeout = 30_000): Promise<number[]> {
    if (this.#broken !== undefined) throw this.#broken;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const delays: number[] = [];
    this.#sought = Buffer.from(mark);
    const asked = performance.now();
    this.#heard = () => {
      delays.push(performance.now() - asked);
      if (delays.length === this.count) resolve();
    };
    const timer = setTimeout(
      () => reject(this.#broken ?? new Error(`${delays.length} of ${this.count} watches heard of the change`)),
      timeout,
    );
    try {
      await change();
      await promise;
    } finally {
      clearTimeout(timer);
      this.#heard = undefined;
    }
    return delays;
  }

  async close(): Promise<void> {
    for (const leave of this.#leave) leave();
    await Promise.all(this.#channels.map((channel) => channel.close()));
  }

  #watch(channel: Channel, path: string): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    // Short objects: an event comes in one piece, or in two where a TLS record ends within it.
    let before: Buffer = Buffer.alloc(0);
    const fail = (error: Error): void => {
      this.#broken ??= error;
      reject(error);
    };
    const begin = (again: number): void => {
      let said = '';
      const leave = channel.get(path, {
        data: (chunk) => {
          said ||= chunk.toString('latin1', 0, 300);
          // The words of a refusal are no event.
          if (said.startsWith('{')) resolve();
          if (this.#heard === undefined) return;
          const seen = before.length === 0 ? chunk : Buffer.concat([before, chunk]);
          if (seen.includes(this.#sought)) {
            before = Buffer.alloc(0);
            this.#heard();
          } else before = seen.subarray(-2_048);
        },
        end: (status) => {
          // The API server takes no more watches at this moment; every client asks again.
          if (status === 429 && again > 0) setTimeout(begin, 250, again - 1);
          else fail(new Error(`a watch ended with ${status}: ${said}`));
        },
        fail,
      });
      this.#leave.push(leave);
    };
    begin(20);
    return promise;
  }
}
