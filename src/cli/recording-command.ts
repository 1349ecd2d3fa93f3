import { escapeLine } from '../errors.ts';
import { catalogue } from '../recording/reading/catalogue.ts';
import { harmlessJSON } from '../recording/reading/escaping.ts';
import { describeHit, search } from '../recording/reading/search.ts';
import { timeline } from '../recording/reading/timeline.ts';
import { linesOf } from '../recording/timeline-lines.ts';
import { CommandError, type CommandIO, readArguments, runCommand, usageError } from './command-io.ts';
import { requireRecording, STORE_OPTIONS, STORE_USAGE, timeOption, withStore } from './recording-store.ts';
import { table } from './table.ts';

const USAGE = `sallyport recording list    [--caller NAME] [--agent NAME] [--namespace NS] [--since T] [--until T] [--denied] [-o table|json]
sallyport recording show    NAME [--bodies] [-o text|json]
sallyport recording replay  NAME [--request ID] [--speed N] [--idle SECONDS] [--raw]
sallyport recording export  NAME --format asciicast|asciicast-v3|audit|ocsf [--request ID] [--file FILE] [--input] [--raw]
sallyport recording verify  [NAME... | DIR] [--sealed] [--key FILE]...
sallyport recording search  [NAME...] [--argv A] [--resource R] [--text T] [--since T] [--until T] [-o text|json]
sallyport recording rerun   NAME --kubeconfig FILE [--context C] [--request ID] [--values FILE] [--apply] [--yes]

Reads recordings from their store, without a gateway:
${STORE_USAGE}
Times are 2026-01-31T12:00:00Z, or how long ago: 90m, 2h, 7d. Whatever was recorded is shown escaped. "replay" plays terminal
output through a list of harmless sequences; --raw plays it as it was, and asks first.
`;

const OUTPUT = { output: { type: 'string', short: 'o' } } as const;

/** `sallyport recording …`: reads back what was recorded. */
export async function runRecording(args: readonly string[], io: CommandIO): Promise<number> {
  const [action = '', ...rest] = args;
  const commands: Readonly<Record<string, (args: readonly string[], io: CommandIO) => Promise<number>>> = {
    list: (given) => command(given, io, () => runList(given, io)),
    show: (given) => command(given, io, () => runShow(given, io)),
    search: (given) => command(given, io, () => runSearch(given, io)),
    replay: async (given) => (await import('./recording-replay.ts')).runReplay(given, io),
    verify: async (given) => (await import('./recording-verify.ts')).runVerify(given, io),
    rerun: async (given) => (await import('./recording-rerun.ts')).runRerun(given, io),
    export: async (given) => (await import('./recording-export.ts')).runExport(given, io),
  };
  const run = Object.hasOwn(commands, action) ? commands[action] : undefined;
  if (run !== undefined) return await run(rest, io);
  return await command(args, io, async () => {
    throw usageError(`say one of ${Object.keys(commands).join(', ')}`);
  });
}

function command(args: readonly string[], io: CommandIO, work: () => Promise<void>): Promise<number> {
  return runCommand({ name: 'recording', usage: USAGE }, args, io, work);
}

async function runList(args: readonly string[], io: CommandIO): Promise<void> {
  const options = {
    ...STORE_OPTIONS,
    ...OUTPUT,
    caller: { type: 'string' },
    agent: { type: 'string' },
    namespace: { type: 'string', short: 'n' },
    since: { type: 'string' },
    until: { type: 'string' },
    denied: { type: 'boolean' },
  } as const;
  const { values } = readArguments(args, options);
  const output = oneOf('output', values.output ?? 'table', ['table', 'json']);
  const filter = {
    caller: values.caller,
    agent: values.agent,
    namespace: values.namespace,
    deniedOnly: values.denied,
    since: timeOption('since', values.since),
    until: timeOption('until', values.until),
  };
  await withStore(values, io, async (storage) => {
    const rows: string[][] = [];
    for await (const entry of catalogue(storage, filter)) {
      if (output === 'json') {
        io.stdout(`${harmlessJSON(entry)}\n`);
        continue;
      }
      const { name, state, identity, counts, endTime, problem } = entry;
      rows.push([
        name,
        identity?.user.username ?? '-',
        identity?.caller.agent ?? '-',
        state,
        String(counts?.requests ?? '-'),
        String(counts?.denied ?? '-'),
        String(counts?.masked ?? '-'),
        identity?.startTime ?? '-',
        endTime ?? '-',
      ]);
      if (problem !== undefined) io.stderr(`${escapeLine(name)}: ${escapeLine(problem)}\n`);
    }
    if (output === 'json') return;
    rows.sort((a, b) => (a[7]! < b[7]! ? 1 : -1));
    const header = ['NAME', 'CALLER', 'AGENT', 'STATE', 'REQUESTS', 'DENIED', 'MASKED', 'STARTED', 'ENDED'];
    if (rows.length === 0) io.stderr('no recording matches\n');
    else io.stdout(table(header, rows));
  });
}

async function runShow(args: readonly string[], io: CommandIO): Promise<void> {
  const { values, positionals } = readArguments(args, { ...STORE_OPTIONS, ...OUTPUT, bodies: { type: 'boolean' } }, 1);
  const output = oneOf('output', values.output ?? 'text', ['text', 'json']);
  const name = named(positionals);
  await withStore(values, io, async (storage) => {
    await requireRecording(storage, name);
    if (output === 'json') {
      for await (const { seq, hash, line, chain } of linesOf(storage, name))
        io.stdout(`${harmlessJSON({ ...(chain !== undefined && { chain }), seq, ...line, hash })}\n`);
      return;
    }
    for await (const text of timeline(linesOf(storage, name), { bodies: values.bodies === true })) io.stdout(text);
  });
}

async function runSearch(args: readonly string[], io: CommandIO): Promise<void> {
  const options = {
    ...STORE_OPTIONS,
    ...OUTPUT,
    argv: { type: 'string' },
    resource: { type: 'string' },
    text: { type: 'string' },
    since: { type: 'string' },
    until: { type: 'string' },
  } as const;
  const { values, positionals } = readArguments(args, options, 100);
  const output = oneOf('output', values.output ?? 'text', ['text', 'json']);
  const { argv, resource, text } = values;
  if (argv === undefined && resource === undefined && text === undefined) {
    throw usageError('search for what? --argv, --resource and/or --text');
  }
  const since = timeOption('since', values.since);
  const until = timeOption('until', values.until);
  let hits = 0;
  await withStore(values, io, async (storage) => {
    const names = async function* (): AsyncGenerator<string> {
      if (positionals.length > 0) yield* positionals;
      else
        for await (const { name, state } of catalogue(storage, { since, until }))
          if (state !== 'Unreadable') yield name;
    };
    for await (const name of names()) {
      if (positionals.length > 0) await requireRecording(storage, name);
      for await (const hit of search(linesOf(storage, name), { argv, resource, text, since, until })) {
        hits += 1;
        io.stdout(output === 'json' ? `${harmlessJSON({ recording: name, ...hit })}\n` : describeHit(name, hit));
      }
    }
  });
  if (hits === 0) throw new CommandError('nothing was found');
}

export function named(positionals: readonly string[]): string {
  const [name] = positionals;
  if (name === undefined) throw usageError('which recording? "sallyport recording list" names them');
  return name;
}

export function oneOf<T extends string>(name: string, value: string, choices: readonly T[]): T {
  if ((choices as readonly string[]).includes(value)) return value as T;
  throw usageError(`--${name} is ${choices.join(' or ')}`);
}
