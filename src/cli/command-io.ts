import { type ParseArgsOptionsConfig, parseArgs } from 'node:util';
import { escapeLine } from '../errors.ts';

/** What a command may touch of its process; tests give their own. */
export interface CommandIO {
  stdout(text: string): void;
  stderr(text: string): void;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Where a person sits before it; undefined in a pipe or a job. */
  readonly terminal?: Terminal | undefined;
}

export interface Terminal {
  /** Shows a question and gives the line that was typed; '' at the end of input. */
  ask(question: string): Promise<string>;
  readonly colours: boolean;
}

/** A failure that is the user's to mend: shown as one line, without a stack. */
export class CommandError extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode = 1) {
    super(message);
    this.name = 'CommandError';
    this.exitCode = exitCode;
  }
}

/** Wrong arguments: exit code 2. */
export function usageError(message: string): CommandError {
  return new CommandError(message, 2);
}

export interface CommandName {
  readonly name: string;
  readonly usage: string;
  /** As it was called, where that is not `sallyport NAME`. */
  readonly program?: string;
}

/**
 * Runs a command's work, or shows its `usage` when asked for help, and says its failure on standard error, escaped: what a server or a file said goes to a terminal.
 * @returns the exit code
 */
export async function runCommand(
  { name, usage, program = `sallyport ${name}` }: CommandName,
  args: readonly string[],
  io: CommandIO,
  work: () => Promise<void>,
): Promise<number> {
  try {
    if (args.includes('--help') || args.includes('-h')) {
      io.stdout(usage);
      return 0;
    }
    await work();
    return 0;
  } catch (error) {
    if (!(error instanceof CommandError)) {
      io.stderr(`${program}: ${escapeLine(error instanceof Error ? error.message : String(error))}\n`);
      return 1;
    }
    const lines = error.message.split('\n').map(escapeLine).join('\n');
    io.stderr(`${program}: ${lines}\n`);
    if (error.exitCode === 2) io.stderr(`"${program} --help" says more\n`);
    return error.exitCode;
  }
}

/** `parseArgs` whose complaints are usage errors, and in which no option stands twice. */
export function readArguments<const T extends ParseArgsOptionsConfig>(
  args: readonly string[],
  options: T,
  positionals = 0,
) {
  let parsed: ReturnType<typeof parseArgs<{ options: T; allowPositionals: true; strict: true; tokens: true }>>;
  try {
    parsed = parseArgs({ args: [...args], options, allowPositionals: true, strict: true, tokens: true });
  } catch (error) {
    throw usageError((error as Error).message.split('. ')[0]!);
  }
  const seen = new Set<string>();
  for (const token of parsed.tokens) {
    if (token.kind !== 'option') continue;
    if (seen.has(token.name)) throw usageError(`--${token.name} stands twice`);
    seen.add(token.name);
  }
  if (parsed.positionals.length > positionals) {
    throw usageError(`what does "${parsed.positionals[positionals]}" mean here? Nothing is expected there`);
  }
  return { values: parsed.values, positionals: parsed.positionals };
}
