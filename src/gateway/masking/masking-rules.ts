import { boundsFor, Informer } from '../../kubernetes/informer.ts';
import type { Transport } from '../../kubernetes/transport.ts';
import type { Placeholders } from '../../masking/marker.ts';
import type { MaskingRule } from '../../masking/masking-rule.ts';
import { compileMaskingRules, type MaskingRuleSet } from '../../masking/rule-set.ts';
import { CompiledSet } from '../compiled-set.ts';
import { type WatchFailureOptions, watchFailure } from '../watch-failure.ts';

export interface MaskingRulesOptions extends WatchFailureOptions {
  readonly transport: Transport;
  readonly placeholders: Placeholders;
  /** Milliseconds after which what the watch holds is not trusted. */
  readonly staleAfter: number;
}

type Listener = (set: MaskingRuleSet, objects: readonly MaskingRule[]) => void;

/** The masking rules in force, kept by a watch. */
export class MaskingRules {
  readonly informer: Informer<unknown>;
  readonly #options: MaskingRulesOptions;
  readonly #rules: CompiledSet<MaskingRule, MaskingRuleSet>;
  readonly #listeners = new Set<Listener>();

  constructor(options: MaskingRulesOptions) {
    this.#options = options;
    const { log, transport, placeholders, staleAfter } = options;
    this.#rules = new CompiledSet({
      what: 'masking rules',
      code: 'SP_MASKING_NOT_LOADED',
      staleAfter,
      log,
      watch: (handlers) =>
        new Informer<MaskingRule>(transport, {
          name: 'MaskingRule',
          path: { group: 'sallyport.dev', version: 'v1alpha1', resource: 'maskingrules' },
          bounds: boundsFor(staleAfter),
          accept: (object) => object as unknown as MaskingRule,
          handlers,
          onFailure: watchFailure(options, 'MaskingRule'),
        }),
      compile: (objects, before) => compileMaskingRules(objects, placeholders, before),
      inForce: (...set) => this.#inForce(...set),
    });
    this.informer = this.#rules.informers[0]!;
  }

  start(): Promise<void> {
    return this.#rules.start();
  }

  stop(): Promise<void> {
    return this.#rules.stop();
  }

  /**
   * The set in force.
   * @throws SallyportError SP_MASKING_NOT_LOADED before the first, and when it may be outdated: nothing passes unmasked
   */
  current(): MaskingRuleSet {
    return this.#rules.current();
  }

  /** For readiness. */
  check(): true | string {
    return this.#rules.check();
  }

  onChange(listener: Listener): void {
    this.#listeners.add(listener);
  }

  #inForce(set: MaskingRuleSet, objects: readonly MaskingRule[], milliseconds: number): void {
    const { log, metrics } = this.#options;
    metrics.maskingRules.set(set.rules.length);
    const broken = new Set(set.errors.map(({ rule }) => rule));
    metrics.maskingRulesBroken.set(broken.size);
    log.info({ rules: set.rules.length, broken: broken.size, milliseconds }, 'masking rules in force');
    for (const error of set.errors) log.warn({ compileError: error }, 'a masking rule does not compile');
    for (const listener of this.#listeners) listener(set, objects);
  }
}
