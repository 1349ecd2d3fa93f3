import type { Channel } from '../../streams/remote-command/channel.ts';
import type { ChannelTap, LaterWays } from './context.ts';

type Tap = (channel: Channel) => ChannelTap | undefined;

/** One tap out of two: what the first one gives is what the second one gets. */
export function composeTaps(first: Tap | undefined, second: Tap): Tap {
  return (channel) => {
    const before = first?.(channel);
    const behind = second(channel);
    if (before === undefined || behind === undefined) return before ?? behind;
    return new ComposedTap(before, behind);
  };
}

class ComposedTap implements ChannelTap {
  readonly #first: ChannelTap;
  readonly #second: ChannelTap;
  /** What the first tap passed on between two writes, on its way through the second: what comes next waits for it. */
  #between: Promise<void> | undefined;

  constructor(first: ChannelTap, second: ChannelTap) {
    this.#first = first;
    this.#second = second;
  }

  later(ways: LaterWays): void {
    this.#first.later?.({
      pass: (bytes) => {
        const passed = Promise.all([this.#between, this.#second.write(bytes)]).then(([, kept]) => {
          if (kept !== undefined) ways.pass(kept);
        });
        this.#between = passed.catch((error: unknown) => ways.fail(error));
      },
      fail: (error) => ways.fail(error),
    });
    this.#second.later?.(ways);
  }

  async write(chunk: Buffer): Promise<Buffer | undefined> {
    if (this.#between !== undefined) await this.#between;
    return await this.#behind(await this.#first.write(chunk));
  }

  async end(): Promise<Buffer | undefined> {
    if (this.#between !== undefined) await this.#between;
    const last = await this.#behind(await this.#first.end());
    const rest = await this.#second.end();
    if (last === undefined || rest === undefined) return last ?? rest;
    return Buffer.concat([last, rest]);
  }

  cut(): void {
    this.#first.cut?.();
    this.#second.cut?.();
  }

  async #behind(bytes: Buffer | undefined): Promise<Buffer | undefined> {
    return bytes === undefined || bytes.length === 0 ? undefined : await this.#second.write(bytes);
  }
}
