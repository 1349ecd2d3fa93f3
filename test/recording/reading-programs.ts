import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { cacheFolder, PLATFORM } from '../cluster/cache-folder.ts';
import { withFileLock } from '../cluster/file-lock.ts';

const run = promisify(execFile);
const say = (line: string): void => void process.stderr.write(`${line}\n`);
const PACKAGES = ['asciinema==2.4.0', 'ocsf-json-schema==1.2.0', 'jsonschema==4.26.0', 'opentelemetry-proto==1.45.2'];

/** A Python with asciinema and the published OCSF schemas, in a virtual environment in the cache folder; its `bin`. */
export async function readingPython(): Promise<string> {
  const folder = cacheFolder('python', 'recording-readers-2');
  return await withFileLock(cacheFolder('python.lock'), 'making the Python environment', say, async () => {
    if (existsSync(join(folder, 'ready'))) return join(folder, 'bin');
    say(`installing ${PACKAGES.join(', ')}`);
    await rm(folder, { recursive: true, force: true });
    await run('python3', ['-m', 'venv', folder]);
    await run(join(folder, 'bin', 'python3'), ['-m', 'pip', 'install', '--quiet', ...PACKAGES]);
    await writeFile(join(folder, 'ready'), '');
    return join(folder, 'bin');
  });
}

const ASCIINEMA = '3.2.0';

/**
 * asciinema 3, which reads asciicast v3: of PATH, of the cache folder, or, where `BUILD_ASCIINEMA=1` asks for the minutes that it takes,
 * built into that. @throws Error where there is none
 */
export async function asciinema3(): Promise<string> {
  const root = cacheFolder('asciinema', ASCIINEMA, PLATFORM);
  const built = join(root, 'bin', 'asciinema');
  return await withFileLock(cacheFolder('asciinema.lock'), 'looking for asciinema 3', say, async () => {
    for (const program of ['asciinema', built]) {
      const version = await run(program, ['--version']).catch(() => ({ stdout: '' }));
      if (/^asciinema 3\./.test(version.stdout)) return program;
    }
    if (process.env['BUILD_ASCIINEMA'] !== '1')
      throw new Error('there is no asciinema 3 (BUILD_ASCIINEMA=1 builds one)');
    say(`building asciinema ${ASCIINEMA}`);
    const temporary = `${root}.target`;
    const env = { ...process.env, CARGO_TARGET_DIR: temporary };
    await run('cargo', ['install', 'asciinema', '--version', ASCIINEMA, '--locked', '--root', root], { env });
    await rm(temporary, { recursive: true, force: true });
    return built;
  });
}

/** The program over Kubernetes' own audit types, built into the cache folder. */
export async function auditTypes(): Promise<string> {
  return await builtFrom('audit-types', 'building the audit types');
}

/** A receiver of syslog whose parser is generated from the RFC's grammar, built into the cache folder. */
export async function syslogReceiver(): Promise<string> {
  return await builtFrom('syslog-receiver', 'building the receiver of syslog');
}

/** The Go program of a folder here; another one for each state of its sources. */
async function builtFrom(name: string, what: string): Promise<string> {
  const sources = join(import.meta.dirname, name);
  const hash = createHash('sha256');
  for (const file of readdirSync(sources).sort()) hash.update(file).update(readFileSync(join(sources, file)));
  const target = cacheFolder(name, hash.digest('hex').slice(0, 16), PLATFORM, name);
  return await withFileLock(cacheFolder(`${name}.lock`), what, say, async () => {
    if (existsSync(target)) return target;
    await mkdir(dirname(target), { recursive: true });
    const unfinished = `${target}.unfinished`;
    const flags = ['build', '-trimpath', '-mod=readonly', '-ldflags', '-s -w', '-o', unfinished, '.'];
    await run('go', flags, { cwd: sources, env: { ...process.env, CGO_ENABLED: '0', GOWORK: 'off' } });
    renameSync(unfinished, target);
    return target;
  });
}

/** Runs a program on an input. */
export async function piped(
  program: string,
  args: readonly string[],
  input: string,
): Promise<{ code: number | null; out: string; err: string }> {
  const child = spawn(program, args, { stdio: 'pipe' });
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => void (out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => void (err += text));
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const code = await new Promise<number | null>((resolve, reject) =>
    child.once('error', reject).once('close', resolve),
  );
  return { code, out, err };
}
