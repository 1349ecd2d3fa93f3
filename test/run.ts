import { spawn } from 'node:child_process';
import { glob } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { startCluster } from './cluster/cluster.ts';

/** `make test`: every phase in turn; the first that fails ends the run with its exit code. */

const NODE = process.execPath;
const skipped: string[] = [];

async function run(title: string, program: string, args: string[], env: Record<string, string> = {}): Promise<void> {
  const started = performance.now();
  process.stdout.write(`\n── ${title}\n`);
  const code = await new Promise<number>((resolve, reject) => {
    const child = spawn(program, args, { stdio: 'inherit', env: { ...process.env, ...env } });
    child.once('error', reject);
    child.once('exit', (status, signal) => resolve(status ?? (signal === null ? 1 : 130)));
  });
  process.stdout.write(`── ${title}: ${((performance.now() - started) / 1_000).toFixed(1)} s\n`);
  if (code !== 0) throw new PhaseFailure(title, code);
}

class PhaseFailure extends Error {
  readonly code: number;
  constructor(title: string, code: number) {
    super(`${title} failed (exit code ${code})`);
    this.code = code;
  }
}

async function files(pattern: string, without: (path: string) => boolean = () => false): Promise<string[]> {
  const found: string[] = [];
  for await (const path of glob(pattern)) if (!without(path)) found.push(path);
  return found.sort((a, b) => a.localeCompare(b));
}

function nodeTests(paths: string[], concurrency: number): string[] {
  return [
    '--test',
    `--test-concurrency=${concurrency}`,
    '--test-timeout=600000',
    '--test-force-exit',
    '--disable-warning=ExperimentalWarning',
    ...paths,
  ];
}

const rootOnLinux = process.platform === 'linux' && process.getuid?.() === 0;
/** Tests that need pods: they run one after the other, since a node takes the machine's bridges and iptables. */
const needsNode = (path: string): boolean => path.includes('/node/') || path.endsWith('.node.test.ts');

async function check(): Promise<void> {
  await run('format, lint, walls', 'biome', ['ci', '--colors=off', '.']);
  await run('types', 'tsc', ['--noEmit']);
}

async function integration(): Promise<void> {
  const cluster = await startCluster();
  process.stdout.write(`\nA kube-apiserver ${cluster.version} answers at ${cluster.url}.\n`);
  try {
    const paths = await files('test/**/*.test.ts', needsNode);
    await run('integration on the real API server', NODE, nodeTests(paths, 2), {
      SALLYPORT_TEST_CLUSTER: cluster.directory,
    });
  } finally {
    await cluster.stop();
  }
}

async function onNode(): Promise<void> {
  const paths = await files('test/**/*.test.ts', (path) => !needsNode(path));
  if (rootOnLinux) await run('on the real node', NODE, nodeTests(paths, 1));
  else {
    const why = 'they need root on Linux (containerd, kubelet, iptables)';
    skipped.push(`${paths.length} test files on a real node: ${why}`);
  }
}

async function unit(): Promise<void> {
  await run('unit', NODE, nodeTests(await files('src/**/*.test.ts'), availableParallelism()));
}

const PHASES: Readonly<Record<string, readonly (() => Promise<void>)[]>> = {
  all: [check, unit, integration, onNode],
  unit: [unit],
  integration: [integration],
  node: [onNode],
};

try {
  const phases = PHASES[process.argv[2] ?? 'all'];
  if (phases === undefined) throw new Error(`which phases? one of: ${Object.keys(PHASES).join(', ')}`);
  for (const phase of phases) await phase();
  for (const reason of skipped) process.stdout.write(`Left out: ${reason}.\n`);
  process.stdout.write(skipped.length === 0 ? '\nEverything ran; nothing was left out.\n' : '\n');
} catch (error) {
  process.stderr.write(`\n${error instanceof PhaseFailure ? error.message : String(error)}\n`);
  process.exitCode = error instanceof PhaseFailure ? error.code : 1;
}
