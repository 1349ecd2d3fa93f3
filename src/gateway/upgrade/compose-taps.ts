import type { Channel } from '../../streams/remote-command/channel.ts';
import type { ChannelTap, LaterWays } from './context.ts';

type Tap = (channel: Channel) => ChannelTap | undefined;
type Given = ReturnType<ChannelTap['write']>;

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
        const kept = this.#behind(bytes);
        if (kept instanceof Promise) this.#wait(kept, ways);
        else if (kept !== undefined) ways.pass(kept);
      },
      fail: (error) => ways.fail(error),
    });
    this.#second.later?.(ways);
  }

  write(chunk: Buffer): Given {
    if (this.#between !== undefined) return this.#between.then(() => this.#through(chunk));
    return this.#through(chunk);
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

  /** At once where both taps answer at once. */
  #through(chunk: Buffer): Given {
    const bytes = this.#first.write(chunk);
    return bytes instanceof Promise ? bytes.then((given) => this.#behind(given)) : this.#behind(bytes);
  }

  #behind(bytes: Buffer | undefined): Given {
    return bytes === undefined || bytes.length === 0 ? undefined : this.#second.write(bytes);
  }

  #wait(kept: Promise<Buffer | undefined>, ways: LaterWays): void {
    const passed: Promise<void> = kept
      .then((bytes) => {
        if (bytes !== undefined) ways.pass(bytes);
      })
      .catch((error: unknown) => ways.fail(error))
      .then(() => {
        if (this.#between === passed) this.#between = undefined;
      });
    this.#between = passed;
  }
}
