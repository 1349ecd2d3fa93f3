export const KEYS = ['get', 'list', 'watch', 'kubectl', 'start', 'exec', 'micro'] as const;
export type Key = (typeof KEYS)[number];

/** How much is measured. */
export interface Plan {
  readonly keys: ReadonlySet<Key>;
  readonly quick: boolean;
  /** Rounds of small GETs; each measures every variant once. */
  readonly getRounds: number;
  readonly getSeconds: number;
  readonly saturationSeconds: number;
  readonly listRounds: number;
  /** Small GETs, by each protocol, before memory is looked at. */
  readonly warmRequests: number;
  readonly watches: number;
  readonly fanOuts: number;
  readonly kubectlRounds: number;
  readonly starts: number;
  readonly execRounds: number;
  readonly execMegabytes: number;
}

const FULL: Omit<Plan, 'keys' | 'quick'> = {
  getRounds: 4,
  getSeconds: 3,
  saturationSeconds: 2,
  listRounds: 4,
  warmRequests: 1_500,
  watches: 500,
  fanOuts: 10,
  kubectlRounds: 3,
  starts: 5,
  execRounds: 3,
  execMegabytes: 40,
};

/** A smoke run: that everything works, not what it costs. */
const QUICK: Omit<Plan, 'keys' | 'quick'> = {
  getRounds: 1,
  getSeconds: 1,
  saturationSeconds: 0.5,
  listRounds: 1,
  warmRequests: 100,
  watches: 50,
  fanOuts: 2,
  kubectlRounds: 1,
  starts: 1,
  execRounds: 1,
  execMegabytes: 20,
};

/**
 * @param env `QUICK=1`, `BENCH_ONLY=get,list`
 * @throws Error for a part that does not exist
 */
export function planOf(env: NodeJS.ProcessEnv): Plan {
  const asked = (env['BENCH_ONLY'] ?? '').split(',').filter((key) => key !== '');
  for (const key of asked) {
    if (!(KEYS as readonly string[]).includes(key)) throw new Error(`BENCH_ONLY: ${key} is none of ${KEYS.join(', ')}`);
  }
  const quick = env['QUICK'] === '1';
  return { keys: new Set(asked.length === 0 ? KEYS : (asked as Key[])), quick, ...(quick ? QUICK : FULL) };
}

/** Only a whole run may speak for the project. */
export function isWhole(plan: Plan): boolean {
  return !plan.quick && plan.keys.size === KEYS.length;
}
