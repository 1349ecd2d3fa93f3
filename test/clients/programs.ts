import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { cacheFolder, PLATFORM } from '../cluster/cache-folder.ts';
import { withFileLock } from '../cluster/file-lock.ts';
import { buildFromModules } from '../cluster/go-build.ts';

export const K9S_VERSION = '0.50.18';
export const PYTHON_CLIENT_VERSION = '37.0.2';

const run = promisify(execFile);
const say = (line: string): void => void process.stderr.write(`${line}\n`);

/** k9s as its authors release it, built from its Go module into the cache folder; minutes the first time. */
export async function k9s(): Promise<string> {
  return await buildFromModules(
    {
      product: 'k9s',
      version: K9S_VERSION,
      program: 'k9s',
      module: 'github.com/derailed/k9s',
      moduleVersion: `v${K9S_VERSION}`,
      package: 'github.com/derailed/k9s',
      linkerFlags: [`-X github.com/derailed/k9s/cmd.version=v${K9S_VERSION}`],
    },
    say,
  );
}

/** The client-go program of this folder, built into the cache folder; another one for each state of its sources. */
export async function goClient(): Promise<string> {
  const sources = join(import.meta.dirname, 'go');
  const hash = createHash('sha256');
  for (const file of readdirSync(sources).sort()) hash.update(file).update(readFileSync(join(sources, file)));
  const target = cacheFolder('go-client', hash.digest('hex').slice(0, 16), PLATFORM, 'go-client');
  return await withFileLock(cacheFolder('build', 'lock'), 'building the client-go program', say, async () => {
    if (existsSync(target)) return target;
    say('building the client-go program of the tests');
    await mkdir(dirname(target), { recursive: true });
    const unfinished = `${target}.unfinished`;
    const flags = ['build', '-trimpath', '-mod=readonly', '-ldflags', '-s -w', '-o', unfinished, '.'];
    await run('go', flags, { cwd: sources, env: { ...process.env, CGO_ENABLED: '0', GOWORK: 'off' } });
    renameSync(unfinished, target);
    return target;
  });
}

/** A Python with the `kubernetes` package, in a virtual environment in the cache folder. */
export async function pythonClient(): Promise<string> {
  const folder = cacheFolder('python', `kubernetes-${PYTHON_CLIENT_VERSION}`);
  const python = join(folder, 'bin', 'python3');
  return await withFileLock(cacheFolder('python.lock'), 'making the Python environment', say, async () => {
    if (existsSync(join(folder, 'ready'))) return python;
    say(`installing the Python package kubernetes ${PYTHON_CLIENT_VERSION}`);
    // What a cut-short installation left is no environment, and one cannot be renamed: it holds its own path.
    await rm(folder, { recursive: true, force: true });
    await run('python3', ['-m', 'venv', folder]);
    await run(python, ['-m', 'pip', 'install', '--quiet', `kubernetes==${PYTHON_CLIENT_VERSION}`]);
    await run('touch', [join(folder, 'ready')]);
    return python;
  });
}

/** Words for skipping, when something cannot be had on this machine; undefined when it can. */
export async function whyNot(find: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await find();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message.split('\n').slice(0, 3).join(' ') : String(error);
  }
}
