import { execFile } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { cachedProgram, cacheFolder } from './cache-folder.ts';
import { fetchEnvtest } from './envtest-archive.ts';
import { withFileLock } from './file-lock.ts';
import { buildFromModules } from './go-build.ts';
import { type Program, type Recipe, recipeFor } from './recipes.ts';
import { resolveVersion } from './versions.ts';

export type Programs<P extends Program> = Record<P, string>;

const READY_MADE: readonly Program[] = ['etcd', 'kube-apiserver', 'kubectl'];
const attempts = new Map<string, Promise<void>>();

/**
 * Paths of the given programs of one Kubernetes version, each from the first place that has it: `KUBEBUILDER_ASSETS`,
 * `PATH` (only in exactly this version), the cache folder, the ready-made archive, a build from Go modules.
 */
export async function findPrograms<P extends Program>(
  version: string,
  names: readonly P[],
  say: (line: string) => void = sayOnStderr,
): Promise<Programs<P>> {
  const found: Partial<Programs<P>> = {};
  for (const name of names) found[name] = await findProgram(name, version, say);
  return found as Programs<P>;
}

/** A kubectl of some version ("1.30", "1.37.2"); the cluster's own when none is named. */
export async function kubectl(version?: string): Promise<string> {
  return await findProgram('kubectl', resolveVersion(version), sayOnStderr);
}

export async function helm(): Promise<string> {
  return await findProgram('helm', resolveVersion(), sayOnStderr);
}

export async function helm3(): Promise<string> {
  return await findProgram('helm3', resolveVersion(), sayOnStderr);
}

/** What "no version asked for" means: that of the kube-apiserver in `KUBEBUILDER_ASSETS`, else the project's default. */
export async function chosenVersion(asked?: string): Promise<string> {
  const assets = process.env['KUBEBUILDER_ASSETS'];
  if (asked !== undefined || process.env['KUBERNETES_VERSION'] || !assets) return resolveVersion(asked);
  return (await reportedVersion(join(assets, 'kube-apiserver'), 'kube-apiserver')) ?? resolveVersion();
}

/** Where a program lies already, without fetching or building anything. */
export async function lookFor(name: Program, version: string): Promise<string | undefined> {
  const recipe = recipeFor(name, version);
  const assets = process.env['KUBEBUILDER_ASSETS'];
  const folders = [...(assets ? [assets] : []), ...(process.env['PATH'] ?? '').split(delimiter)];
  for (const folder of folders.filter((each) => each !== '')) {
    const path = join(folder, name);
    if (!isExecutable(path)) continue;
    // Ready-made assets bring the etcd that belongs to them.
    if (name === 'etcd' && folder === assets) return path;
    if ((await reportedVersion(path, name)) === recipe.version) return path;
  }
  const places = [cachedProgram(recipe.product, recipe.version, name), cachedProgram('kubernetes', version, name)];
  return places.find((path) => existsSync(path));
}

async function findProgram(name: Program, version: string, say: (line: string) => void): Promise<string> {
  const there = await lookFor(name, version);
  if (there !== undefined) return there;
  const refused: string[] = [];
  if (READY_MADE.includes(name)) {
    try {
      await fetchOnce(version, say);
      const fetched = await lookFor(name, version);
      if (fetched !== undefined) return fetched;
    } catch (error) {
      refused.push(`ready-made: ${reason(error)}`);
      say(`no ready-made ${name} ${version} (${reason(error)}); building it from Go modules`);
    }
  }
  return await build(recipeFor(name, version), refused, say);
}

async function build(recipe: Recipe, refused: string[], say: (line: string) => void): Promise<string> {
  try {
    return await buildFromModules(recipe, say);
  } catch (error) {
    refused.push(`from Go modules: ${reason(error)}`);
    throw new Error(
      `${recipe.program} ${recipe.version} is not to be had here.\n  ${refused.join('\n  ')}\n` +
        'Set KUBEBUILDER_ASSETS to a folder that holds it, or KUBERNETES_VERSION to another version (docs/cluster.md).',
      { cause: error },
    );
  }
}

/** One try per version and process: three programs come in one archive, and a machine without internet says no once. */
function fetchOnce(version: string, say: (line: string) => void): Promise<void> {
  const begun =
    attempts.get(version) ??
    withFileLock(cacheFolder('build', 'lock'), `fetching Kubernetes ${version}`, say, async () => {
      const there = await Promise.all(READY_MADE.map((name) => lookFor(name, version)));
      if (there.includes(undefined)) await fetchEnvtest(version, say);
    });
  attempts.set(version, begun);
  return begun;
}

/** A program of another version in PATH would test something else than what was asked for. */
async function reportedVersion(path: string, name: Program): Promise<string | undefined> {
  const question =
    name === 'kubectl'
      ? ['version', '--client', '-o', 'json']
      : name === 'helm' || name === 'helm3'
        ? ['version', '--short']
        : ['--version'];
  try {
    const { stdout } = await promisify(execFile)(path, question, { timeout: 10_000 });
    return /(?:gitVersion": ?"v|Kubernetes v|etcd Version: |^v)(\d+\.\d+\.\d+)/m.exec(stdout)?.[1];
  } catch {
    return undefined;
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function reason(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? `: ${error.cause.message}` : '';
  return (error instanceof Error ? error.message : String(error)) + cause;
}

function sayOnStderr(line: string): void {
  process.stderr.write(`${line}\n`);
}
