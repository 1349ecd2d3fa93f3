import { runController } from '../main.ts';
import { type CommandIO, readArguments, runCommand, usageError } from './command-io.ts';

const USAGE = `sallyport controller --config FILE [--check]

Runs the controller on its own: it takes people's decisions in, ends what is over, notifies and cleans up. The gateway runs
it in its own process unless the configuration says controller.enabled: false; of any number of replicas one leads.

  --config FILE   the gateway's configuration (docs/configuration.md has every key)
  --check         only say whether it is sound, with every mistake's line and key
`;

const OPTIONS = { config: { type: 'string' }, check: { type: 'boolean' } } as const;

/** `sallyport controller`. Exit codes: 0 stopped as asked, 1 could not run, 2 wrong configuration. */
export async function runControllerCommand(args: readonly string[], io: CommandIO): Promise<number> {
  let code = 0;
  const failed = await runCommand({ name: 'controller', usage: USAGE }, args, io, async () => {
    const { values } = readArguments(args, OPTIONS);
    if (values.config === undefined) throw usageError('--config FILE is missing');
    code = await runController(values.config, values.check === true, io);
  });
  return failed || code;
}
