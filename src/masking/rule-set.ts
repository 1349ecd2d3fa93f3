import type { Caller } from '../identity/caller.ts';
import type { Operation } from '../request/operation.ts';
import type { Placeholders } from './marker.ts';
import type { Masked, MaskPlan } from './mask-plan.ts';
import {
  type CompiledMaskingRule,
  compileMaskingRule,
  type MaskingRule,
  type MaskingRuleError,
} from './masking-rule.ts';
import { BrokenMaskingRule, planOf } from './rule-plan.ts';
import { subjectKeys } from './rule-scope.ts';

const MAX_PLANS = 1024;
const NONE: readonly CompiledMaskingRule[] = [];

/** All rules, compiled. Immutable: a change is a new set, exchanged in one assignment. */
export class MaskingRuleSet {
  readonly rules: readonly CompiledMaskingRule[];
  readonly errors: readonly MaskingRuleError[];
  private readonly placeholders: Placeholders;
  private readonly bySubject = new Map<string, CompiledMaskingRule[]>();
  private readonly byCaller = new WeakMap<Caller, readonly CompiledMaskingRule[]>();
  /** Plans hold tables of keywords: each combination of rules is put together once. */
  private readonly plans = new Map<string, MaskPlan | undefined>();

  constructor(rules: readonly CompiledMaskingRule[], placeholders: Placeholders) {
    this.rules = [...rules].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
    this.errors = this.rules.flatMap((rule) => rule.errors);
    this.placeholders = placeholders;
    for (const rule of this.rules) {
      for (const subject of rule.about.subjects) {
        const list = this.bySubject.get(subject);
        if (list === undefined) this.bySubject.set(subject, [rule]);
        else if (!list.includes(rule)) list.push(rule);
      }
    }
  }

  /**
   * What masks the answers to one operation of a caller. A rule that masks applies where anything it speaks of could be in
   * the answer, object by object; one that exempts only to what it certainly speaks of, and to nothing that another masks.
   * @param masked told of each value that was masked
   * @returns undefined where an exemption holds: the answer passes as it is
   * @throws BrokenMaskingRule where a rule that could apply does not compile
   */
  planFor(caller: Caller, operation: Operation, masked?: (what: Masked) => void): MaskPlan | undefined {
    const whole: CompiledMaskingRule[] = [];
    const part: CompiledMaskingRule[] = [];
    for (const rule of this.rulesOf(caller)) {
      const coverage = rule.about.covers(operation);
      if (coverage !== 'none' && rule.errors.length > 0) throw new BrokenMaskingRule(rule.errors);
      if (coverage === 'all') whole.push(rule);
      else if (coverage === 'some') part.push(rule);
    }
    const wide = this.planOf([...whole, ...part.filter(({ exempt }) => !exempt)]);
    if (part.length === 0) return wide === undefined || masked === undefined ? wide : { ...wide, masked };
    const objects = new Map<string, MaskPlan | undefined>();
    const forObject = (namespace: string, name: string): MaskPlan | undefined => {
      const held = part.filter(({ about }) => about.holds(namespace, name));
      const key = held.map((rule) => rule.name).join();
      if (!objects.has(key)) {
        const plan = this.planOf([...whole, ...held]);
        objects.set(key, plan === undefined || masked === undefined ? plan : { ...plan, masked });
      }
      return objects.get(key);
    };
    // Where only some objects are exempt, or only some masked though the caller is exempt, the answer has to be read.
    const base = wide ?? this.planOf(NONE)!;
    return { ...base, ...(masked === undefined ? {} : { masked }), forObject };
  }

  /** Which rules, in which form, speak of an operation of a caller: where it is another than before, so is the plan. */
  keyFor(caller: Caller, operation: Operation): string {
    const about = this.rulesOf(caller).filter((rule) => rule.about.covers(operation) !== 'none');
    return about.map(({ uid, generation }) => `${uid}/${generation}`).join();
  }

  /** By what a recorder or an approver may be shown: the defaults, whoever looks. */
  defaults(): MaskPlan {
    return this.planOf(NONE)!;
  }

  private rulesOf(caller: Caller): readonly CompiledMaskingRule[] {
    if (this.rules.length === 0) return NONE;
    let known = this.byCaller.get(caller);
    if (known === undefined) {
      const found = new Set(subjectKeys(caller).flatMap((key) => this.bySubject.get(key) ?? NONE));
      known = this.rules.filter((rule) => found.has(rule));
      this.byCaller.set(caller, known);
    }
    return known;
  }

  private planOf(rules: readonly CompiledMaskingRule[]): MaskPlan | undefined {
    // A comma stands in no name.
    const key = rules.map(({ name }) => name).join();
    if (this.plans.has(key)) return this.plans.get(key);
    const plan = planOf(rules, this.placeholders);
    if (this.plans.size >= MAX_PLANS) this.plans.clear();
    this.plans.set(key, plan);
    return plan;
  }
}

/** Compiles rules; one that has not changed since `previous` is taken from there. */
export function compileMaskingRules(
  rules: readonly MaskingRule[],
  placeholders: Placeholders,
  previous?: MaskingRuleSet,
): MaskingRuleSet {
  const known = new Map(previous?.rules.map((rule) => [rule.uid, rule]));
  const compiled = rules.map((rule) => {
    const before = known.get(rule.metadata.uid ?? '');
    const same = before !== undefined && before.uid !== '' && before.generation === rule.metadata.generation;
    return same ? before : compileMaskingRule(rule);
  });
  return new MaskingRuleSet(compiled, placeholders);
}
