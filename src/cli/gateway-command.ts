import { runGateway } from '../main.ts';
import { type CommandIO, readArguments, runCommand, usageError } from './command-io.ts';

const OPTIONS = { config: { type: 'string' }, check: { type: 'boolean' } } as const;

const HELP = {
  name: 'gateway',
  usage:
    'sallyport gateway --config FILE [--check]\n\nRuns the gateway, or only checks its configuration (docs/configuration.md).\n',
};

/** `sallyport gateway`: the process itself. Exit codes: 0 stopped as asked, 1 could not run, 2 wrong configuration. */
export async function runGatewayCommand(args: readonly string[], io: CommandIO): Promise<number> {
  let code = 0;
  const failed = await runCommand('gateway', USAGE, args, io, async () => {
    const { values } = readArguments(args, OPTIONS);
    if (values.config === undefined) throw usageError('--config FILE is missing');
    code = await runGateway(values.config, values.check === true, io);
  });
  return failed || code;
}
