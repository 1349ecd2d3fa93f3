/** What of the benchmark is run, and how thoroughly. */
export interface Plan {
  readonly keys: ReadonlySet<string>;
  readonly quick: boolean;
}

/**
 * @param env `QUICK=1`, `BENCH_ONLY=get,list`
 * @param all the keys of all parts
 * @param byName those of them that run only when they are named
 * @throws Error for a part that does not exist
 */
export function planOf(env: NodeJS.ProcessEnv, all: readonly string[], byName: readonly string[] = []): Plan {
  const asked = (env['BENCH_ONLY'] ?? '').split(',').filter((key) => key !== '');
  for (const key of asked) {
    if (!all.includes(key)) throw new Error(`BENCH_ONLY: ${key} is none of ${all.join(', ')}`);
  }
  const usual = all.filter((key) => !byName.includes(key));
  return { keys: new Set(asked.length === 0 ? usual : asked), quick: env['QUICK'] === '1' };
}
