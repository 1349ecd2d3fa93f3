import { runCelCases } from './cel.ts';
import { type CommandIO, readArguments, runCommand, usageError } from './command-io.ts';

const USAGE = `sallyport cel FILE.jsonl

Runs CEL cases, one a line (test/cel/README.md tells the format); objects that they share are read from objects.json beside
the file. Prints the ids that fail, a count for each group, and "N passed, N failed" last. Exit code 1 when any failed.
`;

/** `sallyport cel FILE.jsonl`: runs CEL cases; prints failing ids, a count by group, and `N passed, N failed` last. */
export async function runCel(args: readonly string[], io: CommandIO): Promise<number> {
  let code = 0;
  const failed = await runCommand({ name: 'cel', usage: USAGE }, args, io, async () => {
    const { positionals } = readArguments(args, {}, 1);
    const [file] = positionals;
    if (file === undefined) throw usageError('which file? sallyport cel FILE.jsonl (objects.json lies beside it)');
    code = await runCelCases(file, (line) => io.stdout(`${line}\n`));
  });
  return failed || code;
}
