import type { Logger } from '../observe/log.ts';
import type { Metrics } from '../observe/metrics.ts';
import type { Own, OwnObject } from './own.ts';

/** The admission policies of crds/guards.yaml. */
const POLICIES = ['sallyport-governed', 'sallyport-specs', 'sallyport-decisions'];
/** Milliseconds between two looks. */
const INTERVAL = 30_000;

interface PolicySpec {
  readonly failurePolicy?: string;
  readonly matchConstraints?: { readonly namespaceSelector?: object; readonly objectSelector?: object };
}

interface BindingSpec {
  readonly policyName?: string;
  readonly validationActions?: readonly string[];
  readonly matchResources?: object;
}

/**
 * Whether the guard stands in the API server. It alone knows who wrote a decision: without it the username in one is
 * whatever its writer liked, so nothing that is written meanwhile may be taken in.
 */
export class Guard {
  readonly #own: Pick<Own, 'get'>;
  readonly #log: Logger;
  readonly #metrics: Metrics;
  #problem: string | undefined = 'it has not been looked for yet';
  #timer: NodeJS.Timeout | undefined;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #looking: Promise<void> | undefined;

  constructor(own: Pick<Own, 'get'>, log: Logger, metrics: Metrics) {
    this.#own = own;
    this.#log = log;
    this.#metrics = metrics;
  }

  get stands(): boolean {
    return this.#problem === undefined;
  }

  /** What is wrong with it; undefined while it stands. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Looks now, and then time and again until the signal aborts. Never rejects. */
  async watch(signal: AbortSignal): Promise<void> {
    await this.look();
    if (signal.aborted) return;
    this.#timer = setInterval(() => void this.look(), INTERVAL);
    signal.addEventListener('abort', () => clearInterval(this.#timer), { once: true });
  }

  /**
   * Looks again where the last look is older than `milliseconds`; several who ask at once share one. Who comes before that
   * time is over waits for nothing, and sees to it that the next one need not wait either.
   */
  async fresh(milliseconds: number): Promise<void> {
    const age = performance.now() - this.#lookedAt;
    if (age >= milliseconds) await this.look();
    else if (age >= milliseconds / 2) void this.look();
  }

  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#lookedAt = performance.now();
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #look(): Promise<void> {
    let problem: string | undefined;
    try {
      problem = await this.#find();
    } catch (error) {
      // What cannot be looked at is no proof. While the API server is away nothing can be written either.
      problem = (error as Error).message;
    }
    this.#metrics.guardStands.set(problem === undefined ? 1 : 0);
    if (problem !== undefined && problem !== this.#problem) {
      this.#log.error(
        { problem },
        'the guard does not stand: no decision is taken in, and nothing that needs one passes. kubectl apply -f crds/guards.yaml',
      );
    } else if (problem === undefined && this.#problem !== undefined) this.#log.info('the guard stands');
    this.#problem = problem;
  }

  async #find(): Promise<string | undefined> {
    // All at once: an agent's connection is held while a decision is taken in.
    const found = await Promise.all(
      POLICIES.map(async (name) => {
        const [policy, binding] = await Promise.all([
          this.#own.get('ValidatingAdmissionPolicy', { name }),
          this.#own.get('ValidatingAdmissionPolicyBinding', { name }),
        ]);
        const problem = problemOf(policy, binding);
        return problem === undefined ? [] : [`${name}: ${problem}`];
      }),
    );
    return found.flat()[0];
  }
}

function problemOf(policy: OwnObject | undefined, binding: OwnObject | undefined): string | undefined {
  if (policy === undefined) return 'the ValidatingAdmissionPolicy is not there';
  if (binding === undefined) return 'the ValidatingAdmissionPolicyBinding is not there';
  const { failurePolicy, matchConstraints } = (policy['spec'] ?? {}) as PolicySpec;
  const { policyName, validationActions, matchResources } = (binding['spec'] ?? {}) as BindingSpec;
  if (failurePolicy !== 'Fail') return 'its failurePolicy is not Fail';
  if (policyName !== policy.metadata.name) return 'its binding is another policy’s';
  if (validationActions?.includes('Deny') !== true) return 'its binding does not deny';
  if (matchResources !== undefined && Object.keys(matchResources).length > 0)
    return 'its binding does not match everything';
  const selectors = [matchConstraints?.namespaceSelector, matchConstraints?.objectSelector];
  if (selectors.some((one) => one !== undefined && Object.keys(one).length > 0)) return 'it does not match everything';
  return undefined;
}
