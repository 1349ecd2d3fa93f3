import { SallyportError } from '../../errors.ts';
import { boundsFor, Informer } from '../../kubernetes/informer.ts';
import type { Transport } from '../../kubernetes/transport.ts';
import type { Placeholders } from '../../masking/marker.ts';
import type { MaskingRule } from '../../masking/masking-rule.ts';
import { compileMaskingRules, type MaskingRuleSet } from '../../masking/rule-set.ts';
import type { Logger } from '../../observe/log.ts';
import type { Metrics } from '../../observe/metrics.ts';

export interface MaskingRulesOptions {
  readonly transport: Transport;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly placeholders: Placeholders;
  /** Milliseconds after which what the watch holds is not trusted. */
  readonly staleAfter: number;
  /** Told of every failure of a watch; it is begun anew whatever happens. */
  readonly onFailure?: (error: Error) => void;
}

/** Changes that come in one burst are compiled together, as policies are. */
const SETTLE = 25;

/** The masking rules in force, kept by a watch: always one whole compiled set, exchanged in one assignment. */
export class MaskingRules {
  readonly informer: Informer<MaskingRule>;
  readonly #options: MaskingRulesOptions;
  readonly #listeners = new Set<(set: MaskingRuleSet, objects: readonly MaskingRule[]) => void>();
  #set: MaskingRuleSet | undefined;
  #fault: string | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: MaskingRulesOptions) {
    this.#options = options;
    const changed = (): void => this.#schedule();
    const { log, metrics, transport, staleAfter } = options;
    this.informer = new Informer<MaskingRule>(transport, {
      name: 'MaskingRule',
      path: { group: 'sallyport.dev', version: 'v1alpha1', resource: 'maskingrules' },
      bounds: boundsFor(staleAfter),
      accept: (object) => object as unknown as MaskingRule,
      handlers: { add: changed, update: changed, delete: changed, settled: () => this.#settled() },
      onFailure: (error, failures) => {
        metrics.watchFailures.inc('MaskingRule');
        log.warn({ error, failures, informer: 'MaskingRule' }, 'a watch failed and is begun anew');
        options.onFailure?.(error);
      },
    });
  }

  async start(): Promise<void> {
    this.informer.start();
    await this.informer.whenSynced();
    this.#compile();
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    await this.informer.stop();
  }

  /**
   * The set in force.
   * @throws SallyportError SP_MASKING_NOT_LOADED before the first, and when it may be outdated: nothing passes unmasked
   */
  current(): MaskingRuleSet {
    const problem = this.check();
    if (problem !== true) {
      const message = `${problem}: nothing passes meanwhile; try again`;
      throw new SallyportError('SP_MASKING_NOT_LOADED', message, { retryAfter: 2 });
    }
    return this.#set!;
  }

  /** For readiness. */
  check(): true | string {
    if (this.#fault !== undefined) return this.#fault;
    if (this.#set === undefined) return 'the masking rules are not loaded yet';
    if (this.informer.age() > this.#options.staleAfter) return 'the watch on MaskingRule objects is stale';
    return true;
  }

  onChange(listener: (set: MaskingRuleSet, objects: readonly MaskingRule[]) => void): void {
    this.#listeners.add(listener);
  }

  #schedule(): void {
    if (this.#set === undefined && this.#fault === undefined) return;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#compile();
    }, SETTLE);
  }

  /** What was missed while nothing could be heard is in force before anything passes again. */
  #settled(): void {
    if (this.#timer === undefined || this.informer.age() <= this.#options.staleAfter) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#compile();
  }

  #compile(): void {
    const { log, metrics, placeholders } = this.#options;
    const started = performance.now();
    const objects = [...this.informer.values()];
    let set: MaskingRuleSet;
    try {
      set = compileMaskingRules(objects, placeholders, this.#set);
      this.#fault = undefined;
    } catch (error) {
      // What is in force is not what was written: nothing may pass on it.
      this.#fault = 'the masking rules could not be compiled';
      log.error({ error }, this.#fault);
      return;
    }
    this.#set = set;
    metrics.maskingRules.set(set.rules.length);
    const broken = new Set(set.errors.map(({ rule }) => rule));
    metrics.maskingRulesBroken.set(broken.size);
    const milliseconds = Math.round((performance.now() - started) * 10) / 10;
    log.info({ rules: set.rules.length, broken: broken.size, milliseconds }, 'masking rules in force');
    for (const error of set.errors) log.warn({ compileError: error }, 'a masking rule does not compile');
    for (const listener of this.#listeners) listener(set, objects);
  }
}
