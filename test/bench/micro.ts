import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Part, Table } from './section.ts';

/** Benchmarks of one room each; a line of theirs is a name, white space, a number and a unit. */
const PROGRAMS = ['cel.ts', 'policy.ts'];

const run = promisify(execFile);

export const micro: Part = {
  key: 'micro',
  async run(_bed, plan) {
    const tables: Table[] = [];
    for (const program of PROGRAMS) {
      const path = fileURLToPath(new URL(program, import.meta.url));
      if (!existsSync(path)) continue;
      const env = { ...process.env, SECONDS: plan.quick ? '0.05' : '0.4' };
      const { stdout } = await run(process.execPath, [path], { env, timeout: 120_000 });
      const rows = stdout
        .split('\n')
        .map((line) => /^(.+?)\s{2,}(\S.*)$/.exec(line.trim()))
        .filter((found) => found !== null)
        .map((found) => [found[1]!, found[2]!]);
      tables.push({ columns: [program.replace('.ts', ''), ''], rows });
    }
    return { title: 'Appendix: single rooms', notes: ['In one process, without a network.'], tables, musts: [] };
  },
};
