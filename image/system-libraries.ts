import { execFile } from 'node:child_process';
import { realpath } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface SystemLibrary {
  /** Where the program looks for it. */
  path: string;
  /** The file itself. */
  file: string;
  package: string;
  version: string;
}

/** The shared libraries, the loader among them, that a program needs on this machine, and the packages that they are from. */
export async function systemLibraries(program: string): Promise<SystemLibrary[]> {
  const { stdout } = await run('ldd', [program]);
  const paths = [...stdout.matchAll(/(?:=> |^\s*)(\/\S+) \(0x/gm)].map((match) => match[1]!);
  if (!paths.some((path) => path.includes('libc.so'))) throw new Error(`ldd ${program}: no C library in\n${stdout}`);
  return await Promise.all(paths.map((path) => describe(path)));
}

async function describe(path: string): Promise<SystemLibrary> {
  const file = await realpath(path);
  const owner = (await owningPackage(file)) ?? (await owningPackage(path));
  if (owner === undefined) return { path, file, package: file.split('/').at(-1)!, version: 'unknown' };
  const { stdout } = await run('dpkg-query', ['--show', '--showformat', `\${Version}`, owner]);
  return { path, file, package: owner.split(':')[0]!, version: stdout.trim() };
}

/** Where /lib is a link to /usr/lib, dpkg may know a file under either name. */
async function owningPackage(file: string): Promise<string | undefined> {
  const names = [file, file.replace(/^\/usr\/lib/, '/lib'), file.replace(/^\/lib/, '/usr/lib')];
  for (const name of new Set(names)) {
    try {
      return (await run('dpkg-query', ['--search', name])).stdout.split(': ')[0];
    } catch {
      // Not known under this name, or no dpkg here.
    }
  }
  return undefined;
}
