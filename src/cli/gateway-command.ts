import { runGateway } from '../main.ts';
import { type CommandIO, readArguments, runCommand, usageError } from './command-io.ts';

const USAGE = `sallyport gateway --config FILE [--check]

Runs the gateway until SIGTERM or SIGINT; it then drains, and a second signal ends it at once.

  --config FILE   the configuration (docs/configuration.md has every key)
  --check         only say whether it is sound, with every mistake's line and key
`;

const OPTIONS = { config: { type: 'string' }, check: { type: 'boolean' } } as const;

/** `sallyport gateway`: the process itself. Exit codes: 0 stopped as asked, 1 could not run, 2 wrong configuration. */
export async function runGatewayCommand(args: readonly string[], io: CommandIO): Promise<number> {
  let code = 0;
  const failed = await runCommand({ name: 'gateway', usage: USAGE }, args, io, async () => {
    const { values } = readArguments(args, OPTIONS);
    if (values.config === undefined) throw usageError('--config FILE is missing');
    code = await runGateway(values.config, values.check === true, io);
  });
  return failed || code;
}
