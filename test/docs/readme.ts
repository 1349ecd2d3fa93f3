import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

const ROOT = new URL('../../', import.meta.url).pathname;

/** The commands of one section of the README, block by block. */
export function blocksOf(section: string): string[] {
  const page = readFileSync(`${ROOT}README.md`, 'utf8');
  const text = page.split(/^## /m).find((part) => part.startsWith(`${section}\n`)) ?? '';
  return [...text.matchAll(/```bash\n([\s\S]*?)```/g)].map((match) => match[1]!);
}

/** Runs them as they stand, in the checkout. */
export function shell(
  blocks: readonly string[],
  env: Record<string, string>,
): Promise<{ code: number; output: string }> {
  // Only what a reader's shell would not do by itself: stop at the first failure, and clean up after one.
  const script = `set -euo pipefail\ntrap 'kill %1 2>/dev/null; make cluster-down >/dev/null 2>&1 || true; rm -rf .quickstart' EXIT\n${blocks.join('\n')}\ntrap - EXIT\n`;
  return new Promise((resolve, reject) => {
    const child = spawn('bash', ['-c', script], {
      cwd: ROOT,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    const take = (chunk: Buffer): void => {
      output += chunk.toString();
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    child.once('error', reject);
    child.once('close', (code) => resolve({ code: code ?? 1, output }));
  });
}
