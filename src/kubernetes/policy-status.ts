import { escapeLine } from '../errors.ts';
import type { AgentPolicyStatus } from '../policy/agent-policy.ts';
import type { CompiledPolicy } from '../policy/compiled-policy.ts';

/** What one replica has to say of a policy. */
export interface PolicyReport {
  readonly replica: string;
  /** Unix milliseconds. */
  readonly now: number;
  readonly policy: Pick<CompiledPolicy, 'generation' | 'errors'> & {
    readonly rules: readonly { readonly name: string }[];
  };
  /** Expressions that had no answer since the last report, by rule. */
  readonly faults: ReadonlyMap<string, RuleFaults>;
  /** Whether it is in force only once the API server calls the webhook for it. */
  readonly admission: boolean;
}

export interface RuleFaults {
  readonly count: number;
  readonly lastTime: number;
  readonly lastMessage: string;
}

type Condition = NonNullable<AgentPolicyStatus['conditions']>[number];

/** Those of crds/agentpolicies.yaml. */
export const STATUS_BOUNDS = { errors: 32, replicas: 32, counters: 64, message: 1024 } as const;

/** An entry that lags a generation for so long belongs to a replica that is gone: live ones load within a second. */
export const LAGGING = 600_000;
/** Milliseconds after which a replica renews its entry. */
export const RENEWAL = 43_200_000;
/** An entry that was not renewed twice is left behind. */
const FORGOTTEN = 2 * RENEWAL;

/**
 * The status of a policy after one replica's report. Every replica writes the same of what all of them see, its own
 * entry in `replicas`, and adds to the counters, so they do not undo each other's words.
 * @returns undefined when nothing would change, or when a replica with a newer generation has spoken already.
 */
export function nextStatus(current: AgentPolicyStatus, report: PolicyReport): AgentPolicyStatus | undefined {
  const { policy } = report;
  if ((current.observedGeneration ?? 0) > policy.generation) return undefined;
  const loaded = replicas(current.replicas ?? [], report);
  const others = (current.conditions ?? []).filter(({ type }) => type !== 'Ready');
  const reported: AgentPolicyStatus = {
    observedGeneration: policy.generation,
    ruleCount: policy.rules.length,
    conditions: current.conditions ?? [],
    compileErrors: policy.errors.slice(0, STATUS_BOUNDS.errors).map((error) => ({
      ...(error.rule === '' ? {} : { rule: error.rule }),
      expression: line(error.expression, 256),
      ...(error.line === undefined ? {} : { line: error.line }),
      ...(error.column === undefined ? {} : { column: error.column }),
      message: line(error.message),
    })),
    replicas: loaded,
    counters: counters(current.counters ?? [], report),
  };
  const next = { ...reported, conditions: [...others, readyCondition(reported, report)] };
  const before = { ...EMPTY, ...current };
  const same = (Object.keys(next) as (keyof AgentPolicyStatus)[]).every(
    (key) => stable(next[key]) === stable(before[key]),
  );
  return same ? undefined : next;
}

const EMPTY: AgentPolicyStatus = { conditions: [], compileErrors: [], replicas: [], counters: [] };

/**
 * Whether a policy is in force, out of all that stands in its status: every rule compiles, every replica that is known has
 * loaded it, and the API server has been seen to call for its subjects.
 */
export function readyCondition(
  status: AgentPolicyStatus,
  {
    policy: { generation },
    admission,
    now,
  }: Pick<PolicyReport, 'admission' | 'now'> & {
    readonly policy: { readonly generation: number };
  },
): Condition {
  const { conditions = [], compileErrors = [], replicas = [] } = status;
  const before = conditions.find(({ type }) => type === 'Ready');
  const called = conditions.find(({ type }) => type === 'AdmissionReady');
  const behind = replicas.filter(({ loadedGeneration }) => loadedGeneration !== generation).length;
  const [value, reason, message] =
    compileErrors.length > 0
      ? (['False', 'CompileError', mistakes(compileErrors)] as const)
      : behind > 0
        ? (['False', 'Loading', `${behind} of ${replicas.length} replicas have not loaded it yet`] as const)
        : admission && (called?.observedGeneration !== generation || called.status !== 'True')
          ? ([
              'False',
              'NotCalled',
              called?.message ?? 'the API server has not been seen to call the webhook yet',
            ] as const)
          : ([
              'True',
              'InForce',
              `every rule is in force on ${replicas.length === 1 ? 'one replica' : `${replicas.length} replicas`}`,
            ] as const);
  return {
    type: 'Ready',
    status: value,
    reason,
    message: line(message),
    lastTransitionTime: before?.status === value ? before.lastTransitionTime : time(now),
    observedGeneration: generation,
  };
}

function mistakes(errors: NonNullable<AgentPolicyStatus['compileErrors']>): string {
  const { rule, expression, line: row, column, message } = errors[0]!;
  const count = errors.length;
  const where = `${rule === undefined ? '' : `${rule}, `}${expression}${row === undefined ? '' : `, line ${row}:${column ?? 1}`}`;
  return `${count === 1 ? 'one mistake' : `${count} mistakes`}; a rule with one allows nothing. ${where}: ${message}`;
}

/** What the controller has to say of a policy: a condition, less its times. */
export interface Verdict {
  readonly type: 'AdmissionReady' | 'AdmissionCoverage' | 'BypassPossible';
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: string;
  readonly message: string;
}

/**
 * The conditions of a policy with those of the controller, and with Ready as it follows from them.
 * @returns undefined when nothing would change
 */
export function withVerdicts(
  current: AgentPolicyStatus,
  generation: number,
  verdicts: readonly Verdict[],
  admission: boolean,
  now: number,
): readonly Condition[] | undefined {
  const known = current.conditions ?? [];
  const mine = verdicts.map((verdict) => {
    const before = known.find(({ type }) => type === verdict.type);
    const lastTransitionTime = before?.status === verdict.status ? before.lastTransitionTime : time(now);
    return { ...verdict, message: line(verdict.message), lastTransitionTime, observedGeneration: generation };
  });
  const others = known.filter(({ type }) => type !== 'Ready' && !mine.some((one) => one.type === type));
  const all = [...others, ...mine];
  // Of a generation that no replica has reported there is nothing to say yet.
  const isReported = current.observedGeneration === generation;
  const ready = isReported
    ? [
        readyCondition(
          { ...current, conditions: [...all, ...known.filter(({ type }) => type === 'Ready')] },
          { policy: { generation }, admission, now },
        ),
      ]
    : known.filter(({ type }) => type === 'Ready');
  const next = [...all, ...ready];
  const order = (list: readonly Condition[]) => [...list].sort((a, b) => compare(a.type, b.type));
  return stable(order(next)) === stable(order(known)) ? undefined : next;
}

/** Replicas that may still have to load this generation, or are gone. */
export function hasLagging(status: AgentPolicyStatus): boolean {
  return (status.replicas ?? []).some(({ loadedGeneration }) => loadedGeneration !== status.observedGeneration);
}

type Replica = NonNullable<AgentPolicyStatus['replicas']>[number];

function replicas(current: readonly Replica[], { replica, policy, now }: PolicyReport): readonly Replica[] {
  const others = current.filter(({ name, loadedGeneration, loadedTime }) => {
    const age = now - Date.parse(loadedTime);
    return name !== replica && !(age > FORGOTTEN || (loadedGeneration < policy.generation && age > LAGGING));
  });
  const mine = current.find(({ name }) => name === replica);
  const keep = mine?.loadedGeneration === policy.generation && now - Date.parse(mine.loadedTime) < RENEWAL / 2;
  const own: Replica = keep ? mine : { name: replica, loadedGeneration: policy.generation, loadedTime: time(now) };
  return [...others, own]
    .sort((a, b) => Date.parse(b.loadedTime) - Date.parse(a.loadedTime) || compare(a.name, b.name))
    .slice(0, STATUS_BOUNDS.replicas)
    .sort((a, b) => compare(a.name, b.name));
}

type Counter = NonNullable<AgentPolicyStatus['counters']>[number];

function counters(current: readonly Counter[], { policy, faults }: PolicyReport): readonly Counter[] {
  const known = new Map(current.map((counter) => [counter.rule, counter]));
  const result: Counter[] = [];
  for (const { name } of policy.rules) {
    const before = known.get(name);
    const more = faults.get(name);
    if (more === undefined) {
      if (before !== undefined) result.push(before);
      continue;
    }
    result.push({
      ...before,
      rule: name,
      errors: (before?.errors ?? 0) + more.count,
      lastErrorTime: time(more.lastTime),
      lastError: line(more.lastMessage, 512),
    });
  }
  return result.slice(0, STATUS_BOUNDS.counters);
}

function line(text: string, bound: number = STATUS_BOUNDS.message): string {
  const escaped = escapeLine(text);
  return escaped.length > bound ? `${escaped.slice(0, bound - 1)}…` : escaped;
}

/** RFC 3339 in whole seconds, as Kubernetes writes times. */
function time(now: number): string {
  return `${new Date(now).toISOString().slice(0, 19)}Z`;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** JSON that does not depend on the order of keys, which the API server changes. */
function stable(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => compare(a, b)))
      : part,
  );
}
