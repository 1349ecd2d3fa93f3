import type { Operation } from '../request/operation.ts';
import { compareStrictness } from './approval-terms.ts';
import type { Bound, BoundRule, Candidates } from './bound.ts';
import type { Decision, RuleFault } from './decision.ts';
import { type Evaluation, MATCH, type Verdict } from './evaluation.ts';
import type { Facts } from './facts.ts';
import { allows, restricts } from './match.ts';
import { describeOperation, reasons } from './reason.ts';

/** What the rules say, before it becomes a decision. */
export interface Judgement {
  readonly action: Decision['action'];
  readonly code: Decision['code'];
  readonly by: BoundRule | undefined;
  readonly reason: string;
}

const RANK = { Allow: 0, RequireApproval: 1, Deny: 2 } as const;

/** The harder of two judgements; the first where they are alike. */
export const harder = (a: Judgement, b: Judgement): Judgement => (RANK[b.action] > RANK[a.action] ? b : a);

/** Deny beats RequireApproval beats Allow; nothing matching means Deny. */
export function judge(
  bound: Bound,
  candidates: Candidates,
  operation: Operation,
  facts: Facts,
  evaluation: Evaluation,
  faults: RuleFault[],
): Judgement {
  const what = (): string => describeOperation(operation, facts);
  let refusal: Judgement | undefined;

  for (const rule of candidates.deny) {
    const verdict = restriction(rule, facts, evaluation, faults);
    if (stops(verdict)) {
      return {
        action: 'Deny',
        code: 'SP_POLICY_DENIED',
        by: rule,
        reason: reasons.denied(rule, messageOf(rule, verdict, evaluation), what()),
      };
    }
    refusal ??= refusalOf(rule, verdict);
  }

  let approval: BoundRule | undefined;
  let named = candidates.naming === undefined;
  for (const rule of candidates.approval) {
    const verdict = restriction(rule, facts, evaluation, faults);
    if (stops(verdict)) {
      if (approval === undefined || stricter(rule, approval)) approval = rule;
      named ||= candidates.naming?.has(rule) === true;
    }
    refusal ??= refusalOf(rule, verdict);
  }
  if (refusal !== undefined) return refusal;

  if (approval === undefined || !named) {
    const allowed = firstAllow(candidates.allow, facts, evaluation, faults);
    if (allowed?.refusal !== undefined) return allowed.refusal;
    if (approval === undefined) {
      if (allowed?.rule !== undefined) {
        return { action: 'Allow', code: undefined, by: allowed.rule, reason: reasons.allowed(allowed.rule) };
      }
      return notAllowed(bound, candidates, operation, what());
    }
    if (allowed?.rule === undefined) return notAllowed(bound, candidates, operation, what());
  }
  return {
    action: 'RequireApproval',
    code: 'SP_APPROVAL_REQUIRED',
    by: approval,
    reason: reasons.needsApproval(approval, evaluation.message(approval), what()),
  };
}

/** `broken` stands for a rule that does not compile: it refuses where its match does not exclude it. */
type Restriction = Verdict | { readonly kind: 'broken' };

export function restriction(bound: BoundRule, facts: Facts, evaluation: Evaluation, faults: RuleFault[]): Restriction {
  const { match, broken } = bound.rule;
  if (match !== undefined && !restricts(match.coverage(facts))) return { kind: 'no' };
  if (broken) return { kind: 'broken' };
  const verdict = evaluation.judge(bound);
  note(bound, verdict, faults);
  return verdict;
}

/** The rule's own words, or why it counts as matched without being asked. */
function messageOf(rule: BoundRule, verdict: Restriction, evaluation: Evaluation): string {
  const message = evaluation.message(rule);
  if (message !== '' || verdict.kind !== 'unknown') return message;
  return `its conditions cannot be checked (${verdict.unknown.reason}) and so count as true`;
}

/** What cannot be known by nature (the object of a read) counts as matched. */
export const stops = (verdict: Restriction): boolean =>
  verdict === MATCH || verdict.kind === 'match' || (verdict.kind === 'unknown' && verdict.unknown.byNature);

export function refusalOf(rule: BoundRule, verdict: Restriction): Judgement | undefined {
  switch (verdict.kind) {
    case 'broken':
      return { action: 'Deny', code: 'SP_POLICY_ERROR', by: rule, reason: reasons.broken(rule) };
    case 'error': {
      const reason = reasons.unanswered(rule, verdict.condition, verdict.budget);
      return { action: 'Deny', code: 'SP_POLICY_ERROR', by: rule, reason };
    }
    case 'unknown': {
      if (verdict.unknown.byNature) return undefined;
      const reason = reasons.unreadable(rule, verdict.unknown.reason);
      return { action: 'Deny', code: 'SP_OBJECT_UNREADABLE', by: rule, reason };
    }
    default:
      return undefined;
  }
}

function stricter(a: BoundRule, b: BoundRule): boolean {
  if (a.rule.approval === undefined || b.rule.approval === undefined) return false;
  return compareStrictness(a.rule.approval, b.rule.approval) < 0;
}

interface Allowed {
  readonly rule?: BoundRule;
  /** The budget is spent: then even an Allow rule refuses, for what is left of the rules cannot be asked any more. */
  readonly refusal?: Judgement;
}

export function firstAllow(
  rules: readonly BoundRule[],
  facts: Facts,
  evaluation: Evaluation,
  faults: RuleFault[],
): Allowed | undefined {
  for (const bound of rules) {
    const { match } = bound.rule;
    if (match === undefined || !allows(match.coverage(facts))) continue;
    const verdict = evaluation.judge(bound);
    if (verdict.kind === 'match') return { rule: bound };
    note(bound, verdict, faults);
    if (verdict.kind === 'error' && verdict.budget) {
      const reason = reasons.unanswered(bound, verdict.condition, true);
      return { refusal: { action: 'Deny', code: 'SP_POLICY_ERROR', by: bound, reason } };
    }
  }
  return undefined;
}

const MAX_FAULTS = 16;
const MAX_FAULT_MESSAGE = 256;

function note({ policy, rule }: BoundRule, verdict: Verdict, faults: RuleFault[]): void {
  if (verdict.kind !== 'error' || faults.length >= MAX_FAULTS) return;
  const message = verdict.message.slice(0, MAX_FAULT_MESSAGE);
  faults.push({ policy: policy.name, rule: rule.name, condition: verdict.condition, message });
}

function notAllowed(bound: Bound, candidates: Candidates, operation: Operation, what: string): Judgement {
  const policies = bound.policies.filter((policy) => policy.enforcement === 'Enforce').map((policy) => policy.name);
  const reason =
    candidates.naming === undefined ? reasons.notAllowed(policies, what) : reasons.unnamed(operation, what);
  return { action: 'Deny', code: 'SP_POLICY_DENIED', by: undefined, reason };
}
