import type { BoundRule } from './bound.ts';
import { type Activation, Budget, type BudgetLimits, CelBudgetError, type CelValue, type Lazy } from './cel/engine.ts';
import type { CompiledPolicy } from './compiled-policy.ts';
import type { Facts } from './facts.ts';
import { type Question, resolve, type Unknown } from './question.ts';
import { activationOf, INPUTS, type Input, variablesValue } from './variables.ts';

/** What a rule's conditions say of a request. */
export type Verdict =
  | { readonly kind: 'match' }
  | { readonly kind: 'no' }
  | { readonly kind: 'unknown'; readonly unknown: Unknown }
  | { readonly kind: 'error'; readonly condition: string; readonly message: string; readonly budget: boolean };

export const MATCH: Verdict = { kind: 'match' };
const NO: Verdict = { kind: 'no' };

const MESSAGE_LIMITS: BudgetLimits = {
  expressionCost: 100_000,
  expressionMilliseconds: 10,
  totalCost: 100_000,
  totalMilliseconds: 10,
};
/** Characters of a message expression that are shown. */
const MAX_MESSAGE = 512;

/** The expressions of one request, under one budget. Made for each decision; nothing is built before it is read. */
export class Evaluation {
  private readonly question: Question;
  private readonly facts: Facts;
  private readonly budget: Budget;
  private base: Activation | undefined;
  private readonly unknowns = new Map<Input, Unknown>();
  private readonly activations = new Map<CompiledPolicy, Activation>();

  constructor(question: Question, facts: Facts, limits: BudgetLimits | undefined) {
    this.question = question;
    this.facts = facts;
    this.budget = new Budget(limits ?? {});
  }

  /** All conditions as one: a false one beats an error in another, and both beat what cannot be known. */
  judge({ policy, rule }: BoundRule): Verdict {
    if (rule.conditions.length === 0) return MATCH;
    let verdict: Verdict = MATCH;
    for (const condition of rule.conditions) {
      const unknown = this.firstUnknown(condition.reads);
      if (unknown !== undefined) {
        if (verdict.kind === 'match') verdict = { kind: 'unknown', unknown };
        continue;
      }
      try {
        const value = condition.program.evaluate(this.activation(policy), this.budget);
        if (value === false) return NO;
        if (value !== true) verdict = this.error(verdict, condition.name, 'the result is not a bool', false);
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error);
        verdict = this.error(verdict, condition.name, message, error instanceof CelBudgetError);
      }
    }
    return verdict;
  }

  /** The rule's own words; its fixed message, or none, where the expression has no answer. */
  message({ policy, rule }: BoundRule): string {
    const { messageExpression } = rule;
    if (messageExpression === undefined || this.firstUnknown(messageExpression.reads) !== undefined)
      return rule.message;
    try {
      const budget = new Budget(MESSAGE_LIMITS);
      const text = messageExpression.program.evaluate(this.activation(policy, budget), budget);
      if (typeof text !== 'string' || text.trim() === '') return rule.message;
      const characters = Array.from(text.trim().slice(0, MAX_MESSAGE * 2));
      return characters.length > MAX_MESSAGE
        ? `${characters.slice(0, MAX_MESSAGE - 1).join('')}…`
        : characters.join('');
    } catch {
      return rule.message;
    }
  }

  private error(before: Verdict, condition: string, message: string, budget: boolean): Verdict {
    if (before.kind === 'error' && (before.budget || !budget)) return before;
    return { kind: 'error', condition, message, budget };
  }

  private firstUnknown(reads: ReadonlySet<Input>): Unknown | undefined {
    if (reads.size === 0) return undefined;
    this.prepare();
    for (const input of INPUTS) {
      const unknown = reads.has(input) ? this.unknowns.get(input) : undefined;
      if (unknown !== undefined) return unknown;
    }
    return undefined;
  }

  private prepare(): Activation {
    if (this.base !== undefined) return this.base;
    const inputs: Partial<Record<Input, CelValue | Lazy>> = {};
    for (const input of INPUTS) {
      const resolved = resolve(input, this.question, this.facts);
      if ('value' in resolved) inputs[input] = resolved.value;
      else this.unknowns.set(input, resolved.unknown);
    }
    const { caller, operation, sourceIP, now } = this.question;
    this.base = activationOf({
      caller,
      operation,
      sourceIP,
      now,
      ports: this.facts.ports ?? [],
      namespace: this.facts.namespace,
      name: this.facts.name ?? '',
      inputs,
    });
    return this.base;
  }

  private activation(policy: CompiledPolicy, budget?: Budget): Activation {
    const known = this.activations.get(policy);
    if (known !== undefined && budget === undefined) return known;
    const thunks = new Map<string, () => CelValue>();
    const activation: Activation = { ...this.prepare(), variables: variablesValue(thunks) };
    for (const { name, program } of policy.variables.expressions) {
      thunks.set(name, () => program.evaluate(activation, budget ?? this.budget));
    }
    if (budget === undefined) this.activations.set(policy, activation);
    return activation;
  }
}
