import { readFileSync } from 'node:fs';
import { ConfigurationError, loadConfiguration } from './config/load.ts';
import { startGateway } from './gateway/gateway.ts';
import { createLog } from './observe/log.ts';

/** The version of this build. */
export const VERSION = (
  JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }
).version;

export interface Output {
  stdout(text: string): void;
  stderr(text: string): void;
}

/**
 * The process: reads the configuration, serves until SIGTERM or SIGINT, and stops gracefully; a second signal ends it at once.
 * @returns the exit code
 */
export async function runGateway(file: string, checkOnly: boolean, output: Output): Promise<number> {
  let configuration: ReturnType<typeof loadConfiguration>;
  try {
    configuration = loadConfiguration(file);
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    output.stderr(`${error.message}\n`);
    return 2;
  }
  if (checkOnly) {
    output.stdout(`${file}: this configuration is sound\n`);
    return 0;
  }
  const log = createLog(configuration.log.level);
  let running: Awaited<ReturnType<typeof startGateway>>;
  try {
    running = await startGateway(configuration, log, VERSION);
  } catch (error) {
    output.stderr(`the gateway cannot start: ${(error as Error).message}\n`);
    return 1;
  }
  const code = await new Promise<number>((resolve) => {
    let stopping = false;
    const stop = (signal: NodeJS.Signals): void => {
      if (stopping) {
        resolve(signal === 'SIGINT' ? 130 : 143);
        return;
      }
      stopping = true;
      running.stop().then(
        () => resolve(0),
        (error: unknown) => {
          log.error({ error }, 'the stop did not go as it should');
          resolve(1);
        },
      );
    };
    process.on('SIGTERM', stop);
    process.on('SIGINT', stop);
  });
  return code;
}
