import type { FrameChannel } from '../../recording/line.ts';
import type { ChannelTap, LaterWays } from '../upgrade/context.ts';

/** Bytes of one channel that may wait to be kept before who sends them is made to wait. */
const MOST_WAITING = 512 << 10;

export interface ChannelRecordOptions {
  /** Resolves when a piece is kept. */
  readonly keep: (channel: FrameChannel, chunk: Buffer) => Promise<void>;
  /** What of a chunk is shown in the recording now, where that is not the chunk itself. */
  readonly shown?: ((chunk: Buffer) => Buffer) | undefined;
  /** Keeps what `shown` holds back, when the channel ends. */
  readonly last?: (() => Promise<void>) | undefined;
}

interface Waiting {
  readonly chunk: Buffer;
  kept: boolean;
}

/**
 * A channel of exec and attach on its way through the record: each piece passes when what is recorded up to it is kept, and in
 * its order. The sender goes on meanwhile, within bounds: one write of the spool holds what came during the last one.
 */
export class ChannelRecord implements ChannelTap {
  readonly #channel: FrameChannel;
  readonly #options: ChannelRecordOptions;
  readonly #waiting: Waiting[] = [];
  #bytes = 0;
  #ways: LaterWays | undefined;
  #room: PromiseWithResolvers<undefined> | undefined;
  #failure: { readonly error: unknown } | undefined;
  #cut = false;

  constructor(channel: FrameChannel, options: ChannelRecordOptions) {
    this.#channel = channel;
    this.#options = options;
  }

  later(ways: LaterWays): void {
    this.#ways = ways;
  }

  write(chunk: Buffer): Buffer | undefined | Promise<undefined> {
    const { keep, shown } = this.#options;
    const record = shown === undefined ? chunk : shown(chunk);
    // Nothing of it stands in the recording yet, and nothing before it waits.
    if (record.length === 0 && this.#waiting.length === 0) return chunk;
    const entry = { chunk, kept: record.length === 0 };
    this.#waiting.push(entry);
    this.#bytes += chunk.length;
    if (record.length > 0) {
      keep(this.#channel, record).then(
        () => {
          entry.kept = true;
          this.#pass();
        },
        (error: unknown) => this.#fail(error),
      );
    }
    return this.#bytes <= MOST_WAITING ? undefined : this.#untilRoom();
  }

  async end(): Promise<undefined> {
    await this.#options.last?.();
    while (this.#waiting.length > 0 && !this.#cut) await this.#untilRoom();
  }

  cut(): void {
    this.#cut = true;
    this.#waiting.length = 0;
    this.#bytes = 0;
    this.#room?.resolve(undefined);
  }

  #untilRoom(): Promise<undefined> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure.error);
    this.#room ??= Promise.withResolvers<undefined>();
    return this.#room.promise;
  }

  #pass(): void {
    let passed = 0;
    for (const { chunk, kept } of this.#waiting) {
      if (!kept) break;
      passed += 1;
      this.#bytes -= chunk.length;
      this.#ways?.pass(chunk);
    }
    this.#waiting.splice(0, passed);
    if (this.#room === undefined || (this.#bytes > MOST_WAITING / 2 && this.#waiting.length > 0)) return;
    const room = this.#room;
    this.#room = undefined;
    room.resolve(undefined);
  }

  #fail(error: unknown): void {
    if (this.#cut || this.#failure !== undefined) return;
    this.#failure = { error };
    if (this.#room !== undefined) this.#room.reject(error);
    else this.#ways?.fail(error);
  }
}
