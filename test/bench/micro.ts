import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { part } from './part.ts';

/** Benchmarks of one room each, programs of their own. */
const PROGRAMS = ['cel.ts', 'policy.ts', 'identity.ts'];

const run = promisify(execFile);

export const micro = part('micro', { full: { seconds: 0.4 }, quick: { seconds: 0.05 } }, async (_bed, size) => {
  const printed: string[] = [];
  for (const program of PROGRAMS) {
    const path = fileURLToPath(new URL(program, import.meta.url));
    if (!existsSync(path)) continue;
    const env = { ...process.env, SECONDS: String(size.seconds) };
    const { stdout } = await run(process.execPath, [path], { env, timeout: 180_000 });
    printed.push(`test/bench/${program}\n\n${stdout.trimEnd()}`);
  }
  return {
    title: 'Appendix: single rooms',
    notes: ['Each in one process, without a network.'],
    tables: [],
    printed,
    musts: [],
  };
});
