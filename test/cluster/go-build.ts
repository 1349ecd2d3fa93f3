import { execFile, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { cachedProgram, cacheFolder } from './cache-folder.ts';
import { withFileLock } from './file-lock.ts';
import type { Recipe } from './recipes.ts';
import { versionParts } from './versions.ts';

const run = promisify(execFile);

/**
 * Builds one program from Go modules into the cache folder and gives its path. A build that was cut short goes on
 * where Go's own build cache left it; the program appears under its name only when it is whole.
 */
export async function buildFromModules(recipe: Recipe, say: (line: string) => void): Promise<string> {
  const target = cachedProgram(recipe.product, recipe.version, recipe.program);
  // One lock for all builds: two at once on one machine would only take turns, and use twice the memory.
  return await withFileLock(
    cacheFolder('build', 'lock'),
    `building ${recipe.program} ${recipe.version}`,
    say,
    async () => {
      if (existsSync(target)) return target;
      const folder = cacheFolder('build', `${recipe.product}-${recipe.program}-${recipe.version}`);
      await writeModule(folder, recipe, say);
      mkdirSync(dirname(target), { recursive: true });
      const unfinished = `${target}.unfinished`;
      await goBuild(folder, recipe, unfinished, say);
      renameSync(unfinished, target);
      rmSync(folder, { recursive: true, force: true });
      return target;
    },
  );
}

/** A module of our own around the recipe's one, with the same pinned dependencies and checksums as its authors used. */
async function writeModule(folder: string, recipe: Recipe, say: (line: string) => void): Promise<void> {
  const upstream = await download(recipe, say);
  const source = readFileSync(upstream.goMod, 'utf8');
  const directive = /^go \S+$/m.exec(source)?.[0] ?? 'go 1.24';
  const godebug = /^godebug default=\S+$/m.exec(source)?.[0] ?? '';
  const lines = [
    'module sallyport.test/build',
    '',
    directive,
    godebug,
    '',
    `require ${recipe.module} ${recipe.moduleVersion}`,
    '',
  ];
  for (const [, from = '', to = ''] of source.matchAll(/^\s*(?:replace )?(\S+)(?: \S+)? => (\S.*)$/gm)) {
    if (!to.startsWith('.')) lines.push(`replace ${from} => ${to}`);
    else if (from.startsWith('k8s.io/')) lines.push(`replace ${from} => ${stagingModule(from, recipe)}`);
  }
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'go.mod'), `${lines.join('\n')}\n`);
  const sums = join(upstream.directory, 'go.sum');
  if (existsSync(sums)) writeFileSync(join(folder, 'go.sum'), readFileSync(sums));
  if (recipe.main !== undefined) {
    writeFileSync(join(folder, 'main.go'), recipe.main);
    await go(folder, ['get', `${recipe.module}@${recipe.moduleVersion}`]);
  }
}

/** Inside Kubernetes' repository its libraries are folders; published, v1.36.3 of the server goes with v0.36.3 of each. */
function stagingModule(path: string, recipe: Recipe): string {
  const [, minor, patch] = versionParts(recipe.version);
  return `${path} v0.${minor}.${patch}`;
}

async function download(recipe: Recipe, say: (line: string) => void): Promise<{ goMod: string; directory: string }> {
  const name = `${recipe.module}@${recipe.moduleVersion}`;
  say(`fetching the Go module ${name}`);
  mkdirSync(cacheFolder('build'), { recursive: true });
  const stdout = await go(cacheFolder('build'), ['mod', 'download', '-json', name]);
  const found = JSON.parse(stdout) as { GoMod?: string; Dir?: string };
  if (found.GoMod === undefined || found.Dir === undefined) throw new Error(`go mod download ${name} named no folder`);
  return { goMod: found.GoMod, directory: found.Dir };
}

async function go(folder: string, args: string[]): Promise<string> {
  try {
    return (await run('go', args, { cwd: folder, env: goEnvironment(), maxBuffer: 1 << 26 })).stdout;
  } catch (error) {
    const failed = error as Error & { code?: unknown; stderr?: string; stdout?: string };
    if (failed.code === 'ENOENT') throw new Error('Go is not installed (no "go" in PATH)');
    const reason = /"Error": "((?:[^"\\]|\\.)*)"/.exec(failed.stdout ?? '')?.[1]?.replaceAll(/\\[nt]/g, ' ');
    throw new Error(
      `go ${args.join(' ')}: ${reason ?? failed.stderr?.trim().split('\n').slice(-3).join(' ') ?? failed.message}`,
    );
  }
}

function goEnvironment(): NodeJS.ProcessEnv {
  return { ...process.env, CGO_ENABLED: '0', GOWORK: 'off' };
}

async function goBuild(folder: string, recipe: Recipe, output: string, say: (line: string) => void): Promise<void> {
  const flags = ['-s', '-w', ...recipe.linkerFlags].join(' ');
  const child = spawn('go', ['build', '-v', '-mod=mod', '-trimpath', '-ldflags', flags, '-o', output, recipe.package], {
    cwd: folder,
    env: goEnvironment(),
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const started = Date.now();
  const progress = { compiled: 0, last: [] as string[] };
  const tell = () =>
    say(`building ${recipe.program} ${recipe.version}: ${progress.compiled} packages compiled, ${elapsed(started)}`);
  const timer = setInterval(tell, 10_000);
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    for (const line of text.split('\n').filter((each) => each !== '')) {
      if (/^[\w.-]+(\/[\w.@~-]+)*$/.test(line)) progress.compiled++;
      else progress.last = [...progress.last.slice(-9), line];
    }
  });
  const code = await new Promise<number | null>((resolve, reject) =>
    child.on('error', reject).on('close', resolve),
  ).finally(() => clearInterval(timer));
  if (code !== 0) throw new Error(`building ${recipe.program} ${recipe.version} failed:\n${progress.last.join('\n')}`);
  chmodSync(output, 0o755);
  say(`built ${recipe.program} ${recipe.version} in ${elapsed(started)}`);
}

function elapsed(started: number): string {
  const seconds = Math.round((Date.now() - started) / 1000);
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}
