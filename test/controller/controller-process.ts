import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { stringify } from 'yaml';
import type { Cluster } from '../cluster/cluster.ts';

const ROOT = new URL('../..', import.meta.url).pathname;

type Line = Record<string, unknown>;

export interface ControllerOptions {
  readonly controller?: Record<string, unknown>;
  /** Further keys of the configuration. */
  readonly configuration?: Record<string, unknown>;
  readonly upstream?: Record<string, unknown>;
}

/** A real `sallyport controller` with the account of examples/rbac/gateway.yaml. */
export class ControllerProcess {
  /** Lines of its log, parsed. */
  readonly log: Line[] = [];
  readonly directory: string;
  stderr = '';
  probePort = 0;
  #child: ChildProcess | undefined;

  private constructor(directory: string) {
    this.directory = directory;
  }

  /** Applies the account; once for a cluster is enough. */
  static async account(cluster: Cluster): Promise<void> {
    await cluster.apply(readFileSync(join(ROOT, 'examples/rbac/gateway.yaml'), 'utf8'));
  }

  static async start(cluster: Cluster, options: ControllerOptions = {}): Promise<ControllerProcess> {
    const directory = await mkdtemp(join(tmpdir(), 'sallyport-controller-'));
    const token = await cluster.serviceAccountToken('sallyport-system', 'sallyport-gateway');
    const configuration = {
      listen: { tls: { certFile: 'unused', keyFile: 'unused' } },
      probes: { address: '127.0.0.1', port: 0 },
      upstream: { kubeconfig: await cluster.kubeconfig({ token }), ...options.upstream },
      identity: {},
      recording: { enabled: false },
      controller: { leaseDuration: '4s', ...options.controller },
      log: { level: 'debug' },
      ...options.configuration,
    };
    writeFileSync(join(directory, 'gateway.yaml'), stringify(configuration));
    const process = new ControllerProcess(directory);
    try {
      await process.launch();
    } catch (error) {
      await rm(directory, { recursive: true, force: true });
      throw error;
    }
    return process;
  }

  async launch(): Promise<void> {
    const file = join(this.directory, 'gateway.yaml');
    const child = spawn(process.execPath, [join(ROOT, 'src/cli/main.ts'), 'controller', '--config', file], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    child.stderr.on('data', (chunk: Buffer) => {
      this.stderr += chunk.toString();
    });
    createInterface({ input: child.stdout }).on('line', (line) => {
      const entry = JSON.parse(line) as Line;
      this.log.push(entry);
      if (typeof entry['probePort'] === 'number') this.probePort = entry['probePort'];
    });
    const ended = new Promise<never>((_, reject) => {
      child.once('exit', (code) => reject(new Error(`the controller ended with ${code}: ${this.stderr}`)));
    });
    ended.catch(() => {});
    // Compiling it takes its time on a machine that does other things.
    await Promise.race([this.logged('the controller runs', () => true, 60_000), ended]);
  }

  /** Waits for a line of the log. */
  async logged(message: string, fits: (line: Line) => boolean = () => true, timeout = 10_000): Promise<Line> {
    const end = Date.now() + timeout;
    for (;;) {
      const found = this.log.find((line) => line['message'] === message && fits(line));
      if (found !== undefined) return found;
      if (Date.now() > end)
        throw new Error(`no line "${message}" in\n${this.log.map((line) => JSON.stringify(line)).join('\n')}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async metrics(): Promise<string> {
    return await (await fetch(`http://127.0.0.1:${this.probePort}/metrics`)).text();
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await ended;
  }

  async remove(): Promise<void> {
    await this.stop();
    await rm(this.directory, { recursive: true, force: true });
  }
}
