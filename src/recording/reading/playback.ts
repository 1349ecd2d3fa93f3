import { setTimeout as delay } from 'node:timers/promises';

export interface PlaybackOptions {
  /** 2: twice as fast. */
  readonly speed: number;
  /** Seconds that a silence lasts at most, at speed 1. */
  readonly idle: number;
  readonly signal: AbortSignal;
  /** Waits so many milliseconds; tests give their own. */
  readonly wait?: (milliseconds: number) => Promise<void>;
}

/** Leaves the terminal as one wants to find it: colours, cursor, screen, modes. */
export const RESTORED = '\u001b[0m\u001b[?25h\u001b[?7h\u001b[?1049l\u001b[r';

/** Plays lines of an asciicast v2 file at their own time. Resolves at the end, or when the signal aborts. */
export async function play(
  lines: AsyncIterable<string>,
  write: (text: string) => void,
  options: PlaybackOptions,
): Promise<void> {
  const { speed, idle, signal } = options;
  const wait =
    options.wait ??
    (async (milliseconds: number) => {
      await delay(milliseconds, undefined, { signal }).catch(() => {});
    });
  let last = 0;
  let first = true;
  for await (const line of lines) {
    if (signal.aborted) break;
    if (first) {
      first = false;
      continue;
    }
    const [at, code, data] = JSON.parse(line) as [number, string, string];
    if (code !== 'o') continue;
    const pause = Math.min(Math.max(at - last, 0), idle);
    last = at;
    if (pause > 0) await wait((pause * 1_000) / speed);
    if (!signal.aborted) write(data);
  }
}
