import { escapeLine } from '../../errors.ts';
import { isStatus } from '../../kubernetes/api-error.ts';
import { BackOff, pause } from '../../kubernetes/back-off.ts';
import type { Transport } from '../../kubernetes/transport.ts';
import type { CompiledMaskingRule, MaskingRule, MaskingRuleError } from '../../masking/masking-rule.ts';

type Status = NonNullable<MaskingRule['status']>;

const MOST_NAMED = 16;
const LONGEST = 8_192;

/** The status of a rule as it was compiled; the same from every replica. @returns undefined where nothing would change */
export function ruleStatus(rule: CompiledMaskingRule, current: Status = {}, now = Date.now()): Status | undefined {
  const { errors, generation } = rule;
  if ((current.observedGeneration ?? 0) > generation) return undefined;
  const before = current.conditions?.find(({ type }) => type === 'Ready');
  const status = errors.length === 0 ? 'True' : 'False';
  const reason = errors.length === 0 ? 'InForce' : 'CompileError';
  const message = errors.length === 0 ? inForce(rule) : mistakes(errors);
  if (
    before?.status === status &&
    before.reason === reason &&
    before.message === message &&
    before.observedGeneration === generation &&
    current.observedGeneration === generation
  ) {
    return undefined;
  }
  const ready = {
    type: 'Ready',
    status,
    reason,
    message,
    observedGeneration: generation,
    lastTransitionTime: before?.status === status ? before.lastTransitionTime : time(now),
  } as const;
  const others = (current.conditions ?? []).filter(({ type }) => type !== 'Ready');
  return { observedGeneration: generation, conditions: [...others, ready] };
}

function inForce({ exempt, fields, families, patterns }: CompiledMaskingRule): string {
  if (exempt) return 'in force: its subjects see what it matches as it is';
  return `in force: ${fields.length} fields, ${families.length} families of detectors, ${patterns.length} patterns`;
}

function mistakes(errors: readonly MaskingRuleError[]): string {
  const lines = errors.slice(0, MOST_NAMED).map(({ at, column, message }) => {
    return `${at}${column === undefined ? '' : ` (column ${column})`}: ${message}`;
  });
  const more = errors.length > MOST_NAMED ? `; and ${errors.length - MOST_NAMED} more` : '';
  return escapeLine(`what it matches is refused. ${lines.join('; ')}${more}`).slice(0, LONGEST);
}

export interface RuleStatusOptions {
  readonly transport: Transport;
  readonly onError: (error: Error, rule: string) => void;
}

interface Due {
  readonly rule: CompiledMaskingRule;
  readonly object: MaskingRule;
}

/** Writes each rule's condition: slowly, only what changed, bound to the revision that was read. Masking never waits for it. */
export class RuleStatusWriter {
  readonly #options: RuleStatusOptions;
  readonly #stop = new AbortController();
  readonly #backOff = new BackOff(500, 60_000);
  #due = new Map<string, Due>();
  #running: Promise<void> | undefined;

  constructor(options: RuleStatusOptions) {
    this.#options = options;
  }

  /** The rules now in force, with the objects they were made from. */
  report(rules: readonly CompiledMaskingRule[], objects: readonly MaskingRule[]): void {
    const byUID = new Map(objects.map((object) => [object.metadata.uid, object]));
    this.#due = new Map();
    for (const rule of rules) {
      const object = byUID.get(rule.uid);
      if (object !== undefined && ruleStatus(rule, object.status) !== undefined)
        this.#due.set(rule.name, { rule, object });
    }
    if (this.#due.size > 0 && !this.#stop.signal.aborted) this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    // Replicas see a change together; whoever comes first has usually written what all would.
    await pause(100 + Math.random() * 900, signal);
    while (!signal.aborted) {
      const [name, due] = this.#due.entries().next().value ?? [];
      if (name === undefined || due === undefined) break;
      this.#due.delete(name);
      try {
        await this.#write(name, due);
        this.#backOff.reset();
        await pause(50, signal);
      } catch (error) {
        // One that was changed or deleted meanwhile comes again by the watch, or never.
        if (signal.aborted || isStatus(error, 409) || isStatus(error, 404)) continue;
        this.#options.onError(error as Error, name);
        if (!this.#due.has(name)) this.#due.set(name, due);
        await pause(this.#backOff.next(), signal);
      }
    }
    this.#running = undefined;
  }

  async #write(name: string, { rule, object }: Due): Promise<void> {
    const status = ruleStatus(rule, object.status);
    if (status === undefined) return;
    const { uid, resourceVersion } = object.metadata;
    await this.#options.transport.ask({
      verb: 'patch',
      path: { group: 'sallyport.dev', version: 'v1alpha1', resource: 'maskingrules', name, subresource: 'status' },
      patchType: 'application/merge-patch+json',
      body: { metadata: { uid, resourceVersion }, status },
      signal: this.#stop.signal,
    });
  }
}

/** RFC 3339 in whole seconds, as Kubernetes writes times. */
function time(now: number): string {
  return `${new Date(now).toISOString().slice(0, 19)}Z`;
}
