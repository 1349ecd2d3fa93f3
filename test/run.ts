import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { glob } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { findPrograms, helm3 } from './cluster/binaries.ts';
import { startCluster } from './cluster/cluster.ts';
import { resolveVersion, SUPPORTED_MINORS } from './cluster/versions.ts';
import type { RunReport } from './run-report.ts';

/** `make test`: every phase in turn; the first that fails ends the run with its exit code. */

const NODE = process.execPath;
const skipped: string[] = [];
const flaky: string[] = [];

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

/**
 * Runs test files. Those that fail are run once more, one by one: what then passes does not fail the run, and is named at its
 * end, because a test that passes only on a quiet machine is a bug of the test or of the product.
 */
async function nodeTests(
  title: string,
  paths: readonly string[],
  concurrency: number,
  env: Record<string, string> = {},
) {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-tests-'));
  const reported = join(folder, 'report');
  const command = (files: readonly string[], parallel: number): string[] => [
    '--test',
    `--test-concurrency=${parallel}`,
    '--test-timeout=900000',
    '--test-force-exit',
    `--import=${new URL('whole-report.ts', import.meta.url).href}`,
    '--disable-warning=ExperimentalWarning',
    '--test-reporter=spec',
    '--test-reporter-destination=stdout',
    `--test-reporter=${new URL('run-report.ts', import.meta.url).href}`,
    `--test-reporter-destination=${reported}`,
    ...files,
  ];
  try {
    await run(title, NODE, command(paths, concurrency), env);
  } catch (error) {
    const failing = failedIn(reported);
    if (!(error instanceof PhaseFailure) || failing.length === 0 || failing.length > 5) throw error;
    leaveOut(reported);
    await run(`${title}, again: ${failing.join(', ')}`, NODE, command(failing, 1), env);
    flaky.push(...failing);
  } finally {
    leaveOut(reported);
    rmSync(folder, { recursive: true, force: true });
  }
}

function reports(file: string): RunReport[] {
  const lines = existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean) : [];
  return lines.map((line) => JSON.parse(line) as RunReport);
}

function failedIn(file: string): string[] {
  return reports(file).flatMap((report) => ('failed' in report ? [report.failed] : []));
}

/** What skipped itself twice, since its file was run again, is said once. */
function leaveOut(file: string): void {
  for (const report of reports(file)) {
    if ('skipped' in report && !skipped.includes(report.skipped)) skipped.push(report.skipped);
  }
}

const rootOnLinux = process.platform === 'linux' && process.getuid?.() === 0;
/** Tests that need pods: they run one after the other, since a node takes the machine's bridges and iptables. */
const needsNode = (path: string): boolean => path.includes('/node/') || path.endsWith('.node.test.ts');

async function check(): Promise<void> {
  await run('format, lint, walls', 'biome', ['ci', '--colors=off', '.']);
  await run('types', 'tsc', ['--noEmit']);
}

/** The other versions that are promised: built here, where nothing measures time, and left out in words where they cannot be. */
async function otherVersions(): Promise<void> {
  await helm3().catch((error: Error) => skipped.push(`what is tried with Helm 3: ${error.message}`));
  for (const minor of SUPPORTED_MINORS) {
    try {
      await findPrograms(resolveVersion(minor), ['etcd', 'kube-apiserver']);
    } catch (error) {
      skipped.push(`what is tried on Kubernetes ${minor}: ${(error as Error).message}`);
    }
  }
}

async function integration(): Promise<void> {
  await otherVersions();
  const cluster = await startCluster();
  process.stdout.write(`\nA kube-apiserver ${cluster.version} answers at ${cluster.url}.\n`);
  try {
    const paths = await files('test/**/*.test.ts', needsNode);
    // Many of these tests measure time, and each file brings its own gateways: half of the processors is theirs.
    const concurrency = Math.max(1, Math.floor(availableParallelism() / 2));
    await nodeTests('integration on the real API server', paths, concurrency, {
      SALLYPORT_TEST_CLUSTER: cluster.directory,
    });
  } finally {
    await cluster.stop();
  }
}

async function onNode(): Promise<void> {
  const paths = await files('test/**/*.test.ts', (path) => !needsNode(path));
  if (rootOnLinux) await nodeTests('on the real node', paths, 1);
  else {
    const why = 'they need root on Linux (containerd, kubelet, iptables)';
    skipped.push(`${paths.length} test files on a real node: ${why}`);
  }
}

async function unit(): Promise<void> {
  await nodeTests('unit', await files('src/**/*.test.ts'), availableParallelism());
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
  for (const file of flaky) process.stdout.write(`Passed only when run again, alone: ${file}. Find out why.\n`);
  for (const reason of skipped) process.stdout.write(`Left out: ${reason}.\n`);
  process.stdout.write(skipped.length === 0 ? '\nEverything ran; nothing was left out.\n' : '\n');
} catch (error) {
  process.stderr.write(`\n${error instanceof PhaseFailure ? error.message : String(error)}\n`);
  process.exitCode = error instanceof PhaseFailure ? error.code : 1;
}
