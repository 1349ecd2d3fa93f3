import type { Channel } from '../../streams/remote-command/channel.ts';
import type { ChannelTap } from './context.ts';
import type { Peer } from './peer.ts';

const END = Symbol('end');

export interface ChannelPathEnds {
  /** The side that is held while a tap thinks. */
  readonly from: Peer;
  write(chunk: Buffer): void;
  end(): void;
  fail(error: unknown): void;
}

/**
 * One channel's way through the bridge, through its tap if it has one. Order is kept; while the tap thinks, the sender is not
 * read, so what waits here is what one read of the socket brought.
 */
export class ChannelPath {
  readonly #channel: Channel;
  readonly #tap: ChannelTap | undefined;
  readonly #ends: ChannelPathEnds;
  readonly #waiting: (Buffer | typeof END)[] = [];
  readonly #idle: (() => void)[] = [];
  #busy = false;
  #ended = false;
  #cut = false;
  /** Bytes that arrived, before the tap. */
  bytes = 0;

  constructor(channel: Channel, tap: ChannelTap | undefined, ends: ChannelPathEnds) {
    this.#channel = channel;
    this.#tap = tap;
    this.#ends = ends;
    tap?.later?.({ pass: (bytes) => this.#pass(bytes, false), fail: (error) => this.#stop(error) });
  }

  push(chunk: Buffer): void {
    if (this.#ended) return;
    this.bytes += chunk.length;
    if (this.#tap === undefined) this.#ends.write(chunk);
    else this.#enqueue(chunk);
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    if (this.#tap === undefined) this.#ends.end();
    else this.#enqueue(END);
  }

  /** Nothing passes any more: what a tap still holds may not have been masked. */
  cut(): void {
    this.#ended = true;
    this.#cut = true;
    this.#waiting.length = 0;
    this.#tap?.cut?.();
  }

  /** Resolves when nothing is under way. */
  settled(): Promise<void> {
    if (!this.#busy) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  #enqueue(item: Buffer | typeof END): void {
    this.#waiting.push(item);
    if (!this.#busy) this.#work();
  }

  /** Goes on without waiting as long as the tap answers at once. */
  #work(): void {
    this.#busy = true;
    try {
      for (let item = this.#waiting.shift(); item !== undefined; item = this.#waiting.shift()) {
        const result = item === END ? this.#tap!.end() : this.#tap!.write(item);
        if (result instanceof Promise) {
          this.#ends.from.hold(`tap ${this.#channel}`);
          const last = item === END;
          result.then(
            (bytes) => {
              this.#pass(bytes, last);
              this.#work();
            },
            (error: unknown) => this.#stop(error),
          );
          return;
        }
        this.#pass(result, item === END);
      }
    } catch (error) {
      this.#stop(error);
      return;
    }
    this.#rest();
  }

  #pass(bytes: Buffer | undefined, last: boolean): void {
    if (this.#cut) return;
    if (bytes !== undefined) this.#ends.write(bytes);
    if (last) this.#ends.end();
  }

  #stop(error: unknown): void {
    this.cut();
    this.#rest();
    this.#ends.fail(error);
  }

  #rest(): void {
    this.#busy = false;
    this.#ends.from.release(`tap ${this.#channel}`);
    for (const resolve of this.#idle.splice(0)) resolve();
  }
}
