import { spawn } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export interface CliResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Where a test keeps what belongs to its person. */
export interface Folder {
  readonly folder: string;
}

const ROOT = resolve(import.meta.dirname, '../..');

/** Runs the command line as a process of its own, in a home folder of the test's. Calls `onStderr` with what it says meanwhile. */
export function runCli(
  args: readonly string[],
  env: Record<string, string>,
  onStderr: (text: string) => void = () => {},
): Promise<CliResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(ROOT, 'src/cli/main.ts'), ...args], {
      env: { PATH: process.env['PATH'] ?? '', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
      onStderr(stderr);
    });
    child.once('error', reject);
    child.once('close', (code) => resolve({ code: code ?? 1, stdout, stderr }));
  });
}

/** A program for BROWSER that signs in as `login`. */
export function browserProgram(gateway: Folder, login = 'alice'): string {
  const file = join(gateway.folder, `browser-${login}`);
  const log = join(gateway.folder, 'browser.log');
  const script = join(ROOT, 'test/oidc/browser.ts');
  const text = `#!/bin/sh\necho opened >>'${log}'\nBROWSER_LOGIN='${login}' BROWSER_COOKIES='${file}.cookies' exec '${process.execPath}' '${script}' "$1" >>'${log}' 2>&1\n`;
  writeFileSync(file, text, { mode: 0o755 });
  return file;
}

/** The browser outlives the command that opened it: waits until it has kept its cookies. */
export async function browserDone(gateway: Folder, login = 'alice'): Promise<void> {
  while (!existsSync(join(gateway.folder, `browser-${login}.cookies`))) await sleep(20);
}

export function homeOf(gateway: Folder): Record<string, string> {
  return { HOME: join(gateway.folder, 'home') };
}

export function cacheOf(gateway: Folder): string {
  return join(gateway.folder, 'home', '.cache', 'sallyport', 'credentials');
}
