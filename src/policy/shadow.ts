import type { Operation } from '../request/operation.ts';
import type { Candidates } from './bound.ts';
import type { RuleFault, ShadowDecision } from './decision.ts';
import type { Evaluation } from './evaluation.ts';
import type { Facts } from './facts.ts';
import { firstAllow, refusalOf, restriction, stops } from './judgement.ts';
import { describeOperation, reasons } from './reason.ts';

/** More are cut: they go into logs and annotations of every request. */
const MAX_SHADOWS = 16;

/** What the Deny and RequireApproval rules of Warn and Audit policies would have done. They never decide. */
export function shadowDecisions(
  candidates: Candidates,
  operation: Operation,
  facts: Facts,
  evaluation: Evaluation,
  faults: RuleFault[],
): ShadowDecision[] {
  const shadows: ShadowDecision[] = [];
  for (const bound of candidates.shadow) {
    if (shadows.length >= MAX_SHADOWS) break;
    const { policy, rule } = bound;
    const enforcement = policy.enforcement === 'Warn' ? 'Warn' : 'Audit';
    const shadow = (action: 'Deny' | 'RequireApproval', reason: string): void => {
      shadows.push({ enforcement, action, policy: policy.name, rule: rule.name, reason });
    };
    const verdict = restriction(bound, facts, evaluation, faults);
    const refusal = refusalOf(bound, verdict);
    if (refusal !== undefined) shadow('Deny', refusal.reason);
    else if (stops(verdict)) {
      const what = describeOperation(operation, facts);
      const message = evaluation.message(bound);
      if (rule.action === 'Deny') shadow('Deny', reasons.denied(bound, message, what));
      else shadow('RequireApproval', reasons.needsApproval(bound, message, what));
    }
  }
  return shadows;
}

/** For callers without an Enforce policy under `defaultEnforcement: Audit`: that nothing would have allowed it. */
export function shadowDefault(
  candidates: Candidates,
  operation: Operation,
  facts: Facts,
  evaluation: Evaluation,
  faults: RuleFault[],
  policies: readonly string[],
): ShadowDecision | undefined {
  if (firstAllow(candidates.shadowAllow, facts, evaluation, faults)?.rule !== undefined) return undefined;
  const reason =
    policies.length === 0
      ? 'no AgentPolicy names this caller'
      : reasons.notAllowed(policies, describeOperation(operation, facts));
  return { enforcement: 'Audit', action: 'Deny', policy: '', rule: '', reason };
}
