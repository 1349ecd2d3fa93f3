import type { Bound, Candidates } from './bound.ts';
import type { BudgetLimits } from './cel/engine.ts';
import type { RuleFault, ShadowDecision } from './decision.ts';
import { Evaluation } from './evaluation.ts';
import type { Facts } from './facts.ts';
import { firstAllow, refusalOf, restriction, stops } from './judgement.ts';
import type { Question } from './question.ts';
import { describeOperation, reasons } from './reason.ts';

/** More are cut: they go into logs and annotations of every request. */
const MAX_SHADOWS = 16;

/**
 * What Warn and Audit policies would have decided. They never decide, and spend a budget of their own: one that costs
 * too much must not refuse anything.
 */
export class Shadows {
  private readonly question: Question;
  private readonly facts: Facts;
  private readonly limits: BudgetLimits | undefined;
  private readonly faults: RuleFault[];
  private readonly found = new Map<string, ShadowDecision>();
  private evaluation: Evaluation | undefined;

  constructor(question: Question, facts: Facts, limits: BudgetLimits | undefined, faults: RuleFault[]) {
    this.question = question;
    this.facts = facts;
    this.limits = limits;
    this.faults = faults;
  }

  list(): readonly ShadowDecision[] {
    return [...this.found.values()];
  }

  /** What their Deny and RequireApproval rules would have done. */
  note(candidates: Candidates): void {
    for (const bound of candidates.shadow) {
      const { policy, rule, id } = bound;
      if (this.found.size >= MAX_SHADOWS) return;
      if (this.found.has(id)) continue;
      const enforcement = policy.enforcement === 'Warn' ? 'Warn' : 'Audit';
      const evaluation = this.evaluate();
      const verdict = restriction(bound, this.facts, evaluation, this.faults);
      const refusal = refusalOf(bound, verdict);
      if (refusal === undefined && !stops(verdict)) continue;
      const action = refusal !== undefined || rule.action === 'Deny' ? 'Deny' : 'RequireApproval';
      const say = action === 'Deny' ? reasons.denied : reasons.needsApproval;
      const reason = refusal?.reason ?? say(bound, evaluation.message(bound), this.what());
      this.found.set(id, { enforcement, action, policy: policy.name, rule: rule.name, reason });
    }
  }

  /** Of a caller let through by `defaultEnforcement: Audit`: that nothing would have allowed it. */
  noteDefault(candidates: Candidates, bound: Bound): void {
    if (firstAllow(candidates.shadowAllow, this.facts, this.evaluate(), this.faults)?.rule !== undefined) return;
    const policies = bound.policies.map((policy) => policy.name);
    const reason =
      policies.length === 0 ? 'no AgentPolicy names this caller' : reasons.notAllowed(policies, this.what());
    this.found.set('', { enforcement: 'Audit', action: 'Deny', policy: '', rule: '', reason });
  }

  private what(): string {
    return describeOperation(this.question.operation, this.facts);
  }

  private evaluate(): Evaluation {
    this.evaluation ??= new Evaluation(this.question, this.facts, this.limits);
    return this.evaluation;
  }
}
