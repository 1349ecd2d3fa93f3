import { setTimeout as sleep } from 'node:timers/promises';
import type { Transport } from '../kubernetes/transport.ts';
import { CommandError } from './command-io.ts';

/** What every part of `sallyport release` works with. */
export interface ReleaseTask {
  readonly transport: Transport;
  /** The gateway's. */
  readonly namespace: string;
  /** Unix milliseconds. */
  readonly until: number;
  say(line: string): void;
}

const PAUSE = 1_000;

/**
 * Asks until the answer is true; what is said in between, a reason or an error, is told once, and last when time is up.
 * @throws CommandError with the last reason; or the one that was thrown, which time will not mend
 */
export async function eventually(task: ReleaseTask, what: string, look: () => Promise<true | string>): Promise<void> {
  let last: string | undefined;
  for (;;) {
    const answer = await look().catch((error: unknown) => {
      if (error instanceof CommandError) throw error;
      return (error as Error).message;
    });
    if (answer === true) {
      task.say(`ok: ${what}`);
      return;
    }
    if (answer !== last) task.say(`not yet: ${what}: ${answer}`);
    last = answer;
    if (Date.now() + PAUSE > task.until) throw new CommandError(`${what}: ${last}`);
    await sleep(PAUSE);
  }
}
