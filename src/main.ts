import type { startAdmission } from './admission/admission.ts';
import { ConfigurationError, loadConfiguration } from './config/load.ts';
import type { RunningControllers } from './controller/controllers.ts';
import { allowHeapToDouble, trimHeap } from './heap.ts';
import { createLog, type Logger } from './observe/log.ts';
import { Metrics } from './observe/metrics.ts';
import { Checks, listenForProbes, type Note } from './observe/probes.ts';
import { VERSION } from './version.ts';

export interface Output {
  stdout(text: string): void;
  stderr(text: string): void;
}

// Each process loads what it runs: a controller has nothing of the gateway's in memory, nor a gateway of the controller's.
type Configuration = ReturnType<typeof loadConfiguration>;

interface Running {
  stop(): Promise<unknown>;
}

/**
 * The process: reads the configuration, serves until SIGTERM or SIGINT, and stops gracefully; a second signal ends it at once.
 * @returns the exit code
 */
export async function runGateway(file: string, checkOnly: boolean, output: Output): Promise<number> {
  return await run('gateway', file, checkOnly, output, async (configuration, log) => {
    const metrics = new Metrics(VERSION);
    const readiness = new Checks();
    const running: Running[] = [];
    // All at once: the lead is given back while this one still drains, so that another replica has it.
    const stop = () => Promise.all(running.map((part) => part.stop()));
    try {
      // First: the gateway may wait for a certificate that its own controller makes.
      if (configuration.controller.enabled) {
        const { startControllers } = await import('./controller/controllers.ts');
        const controllers = await startControllers(configuration, log, metrics, VERSION);
        running.push(controllers);
        readiness.register('controller', () => remark(controllers.checks));
      }
      let admission: Awaited<ReturnType<typeof startAdmission>> | undefined;
      if (configuration.admission !== undefined) {
        readiness.register('admission', () => admission?.check() ?? 'the webhook does not serve yet');
      }
      const { startGateway } = await import('./gateway/gateway.ts');
      const gateway = await startGateway(configuration, log, VERSION, metrics, readiness);
      running.push(gateway);
      allowHeapToDouble();
      trimHeap();
      if (configuration.admission !== undefined) {
        const { startAdmission: start } = await import('./admission/admission.ts');
        admission = await start(configuration.admission, gateway, configuration, log, metrics);
        running.push(admission);
      }
    } catch (error) {
      await stop();
      throw error;
    }
    return { stop };
  });
}

/** `sallyport controller`: what the gateway runs in the background, on its own. Same configuration, same exit codes. */
export async function runController(file: string, checkOnly: boolean, output: Output): Promise<number> {
  return await run('controller', file, checkOnly, output, async (configuration, log) => {
    const metrics = new Metrics(VERSION);
    const readiness = new Checks();
    let controllers: RunningControllers | undefined;
    for (const name of ['lease', 'watches'] as const) {
      readiness.register(name, () => controllers?.checks[name]() ?? 'the controller has not begun yet');
    }
    const probes = await listenForProbes({ liveness: new Checks(), readiness, metrics }, configuration.probes);
    try {
      const { startControllers } = await import('./controller/controllers.ts');
      controllers = await startControllers(configuration, log, metrics, VERSION);
      log.info({ probePort: probes.port, version: VERSION }, 'the controller runs');
      return { stop: () => Promise.all([controllers?.stop(), probes.close()]) };
    } catch (error) {
      await probes.close();
      throw error;
    }
  });
}

/**
 * What the controller of a gateway's process has to say of itself. It takes no requests from anybody, so that it is behind is no reason to send the
 * gateway none.
 */
function remark(checks: RunningControllers['checks']): Note {
  const said = Object.values(checks).map((check) => check());
  return {
    note: said
      .map((each) => (each === true ? 'what it watches is fresh' : typeof each === 'string' ? each : each.note))
      .join('; '),
  };
}

async function run(
  what: string,
  file: string,
  checkOnly: boolean,
  output: Output,
  start: (configuration: Configuration, log: Logger) => Promise<Running>,
): Promise<number> {
  let configuration: Configuration;
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
  let running: Running;
  try {
    running = await start(configuration, log);
  } catch (error) {
    output.stderr(`the ${what} cannot start: ${(error as Error).message}\n`);
    return 1;
  }
  return await new Promise<number>((resolve) => {
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
}
