import type { Line } from '../recording/line.ts';
import { asciicast } from '../recording/reading/asciicast.ts';
import { play, RESTORED } from '../recording/reading/playback.ts';
import type { NumberedLine } from '../recording/stored-recording.ts';
import { linesOf } from '../recording/timeline-lines.ts';
import { CommandError, type CommandIO, readArguments, runCommand, usageError } from './command-io.ts';
import { requireRecording, STORE_OPTIONS, STORE_USAGE, withStore } from './recording-store.ts';

const USAGE = `sallyport recording replay NAME [--request ID] [--speed N] [--idle SECONDS] [--raw]

Plays a recording in this terminal: exec and attach as they were, every other request as the command that it was. --speed 4 is
four times as fast; a silence lasts --idle seconds at most (2). Titles, links, the clipboard and whatever else reaches beyond the
screen is left out, unless --raw is given, which asks first.
${STORE_USAGE}`;

/** `sallyport recording replay`. */
export async function runReplay(args: readonly string[], io: CommandIO): Promise<number> {
  return await runCommand({ name: 'recording replay', usage: USAGE }, args, io, async () => {
    const options = {
      ...STORE_OPTIONS,
      request: { type: 'string' },
      speed: { type: 'string' },
      idle: { type: 'string' },
      raw: { type: 'boolean' },
    } as const;
    const { values, positionals } = readArguments(args, options, 1);
    const [name] = positionals;
    if (name === undefined) throw usageError('which recording? "sallyport recording list" names them');
    const speed = number('speed', values.speed ?? '1', 0.1, 1_000);
    const idle = number('idle', values.idle ?? '2', 0, 3_600);
    const raw = values.raw === true;
    if (raw) await confirmRaw(io);
    const abort = new AbortController();
    const stop = (): void => abort.abort();
    process.once('SIGINT', stop);
    try {
      await withStore(values, io, async (storage) => {
        await requireRecording(storage, name);
        const lines = asciicast(name, plain(linesOf(storage, name)), { version: 2, request: values.request, raw });
        await play(lines, io.stdout, { speed, idle, signal: abort.signal });
      });
    } finally {
      process.removeListener('SIGINT', stop);
      if (io.terminal !== undefined) io.stdout(RESTORED);
    }
  });
}

/** What a recording holds was written by someone who may have meant it for this very terminal. */
async function confirmRaw(io: CommandIO): Promise<void> {
  if (io.terminal === undefined) throw new CommandError('--raw asks first, and there is no terminal to ask at');
  const answer = await io.terminal.ask(
    'Everything that was printed then is sent to this terminal as it was. It can change titles, write the clipboard and type answers. Play it? [y/N] ',
  );
  if (!/^y(es)?$/i.test(answer.trim())) throw new CommandError('not played');
}

export async function* plain(lines: AsyncIterable<NumberedLine>): AsyncGenerator<Line> {
  for await (const { line } of lines) yield line;
}

function number(name: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (text.trim() === '' || !(value >= least && value <= most)) {
    throw usageError(`--${name} is a number from ${least} to ${most}`);
  }
  return value;
}
