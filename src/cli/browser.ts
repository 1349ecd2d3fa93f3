import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { CommandIO } from './command-io.ts';

export type OpenBrowser = (url: string) => void;

/** How a browser is opened here; undefined where nobody would see it. */
export function findBrowser(env: CommandIO['env']): OpenBrowser | undefined {
  const named = env['BROWSER'];
  if (named === 'none' || named === '') return undefined;
  if (named !== undefined) return (url) => start(named, [url]);
  if (env['CI'] !== undefined && env['CI'] !== 'false') return undefined;
  if (env['SSH_CONNECTION'] !== undefined) return undefined;
  if (process.platform === 'darwin') return (url) => start('open', [url]);
  if (process.platform === 'win32') return (url) => start('rundll32', ['url.dll,FileProtocolHandler', url]);
  const display = env['DISPLAY'] ?? env['WAYLAND_DISPLAY'];
  if (display === undefined || display === '' || !onPath('xdg-open', env)) return undefined;
  return (url) => start('xdg-open', [url]);
}

/** Never by a shell, and never with our standard output, which is the credential's. */
function start(program: string, args: readonly string[]): void {
  const child = spawn(program, args, { stdio: 'ignore', detached: true });
  child.on('error', () => {
    // The address stands on standard error as well.
  });
  child.unref();
}

function onPath(program: string, env: CommandIO['env']): boolean {
  return (env['PATH'] ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return folder !== '';
    } catch {
      return false;
    }
  });
}
