import type { Caller } from '../identity/caller.ts';
import type { Operation } from '../request/operation.ts';
import type { AgentPolicy } from './agent-policy.ts';
import { type BedrockOptions, bedrock, touchesEveryNamespace } from './bedrock.ts';
import { Bound, type BoundRule, type Candidates } from './bound.ts';
import type { BudgetLimits } from './cel/engine.ts';
import type { PolicyCompileError } from './compile-error.ts';
import { type CompiledPolicy, compilePolicy } from './compiled-policy.ts';
import type { Decision, RuleFault, ShadowDecision } from './decision.ts';
import { Evaluation } from './evaluation.ts';
import type { Facts } from './facts.ts';
import { isFree } from './free.ts';
import { harder, type Judgement, judge } from './judgement.ts';
import { type Needs, NOTHING_NEEDED, needsOf } from './needs.ts';
import { type Question, questionFacts } from './question.ts';
import { reasons } from './reason.ts';
import { Shadows } from './shadow.ts';
import { callerKeys } from './subjects.ts';
import { asksOf, isRead, type Leg } from './verbs.ts';

export interface PolicyOptions extends BedrockOptions {
  /**
   * `Audit`, for roll-out only: a caller whom no Enforce policy names is let through (above bedrock and what must be
   * named), and what would have been refused is attached. Default `Enforce`.
   */
  readonly defaultEnforcement?: 'Enforce' | 'Audit' | undefined;
  /** Of all expressions of one request. */
  readonly limits?: BudgetLimits | undefined;
}

const MAX_BOUND = 4096;

/** All policies, compiled. Immutable: a change is a new set, exchanged in one assignment. */
export class PolicySet {
  readonly policies: readonly CompiledPolicy[];
  /** Mistakes of all policies, for logs and their status. */
  readonly errors: readonly PolicyCompileError[];
  private readonly options: PolicyOptions;
  private readonly bySubject = new Map<string, number[]>();
  private readonly byCaller = new WeakMap<Caller, Bound>();
  private readonly byPolicies = new Map<string, Bound>();
  private readonly plain = new WeakMap<BoundRule, Decision>();

  constructor(policies: readonly CompiledPolicy[], options: PolicyOptions) {
    // By name, then code unit: whatever lists them in a message lists them alike on every replica.
    this.policies = [...policies].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
    this.errors = this.policies.flatMap((policy) => policy.errors);
    this.options = options;
    for (const [index, policy] of this.policies.entries()) {
      for (const subject of policy.subjects) {
        const list = this.bySubject.get(subject);
        if (list === undefined) this.bySubject.set(subject, [index]);
        else list.push(index);
      }
    }
  }

  /** Whether some policy, enforced or not, speaks of this caller. */
  governs(caller: Caller): boolean {
    return this.bind(caller).policies.length > 0;
  }

  /** What to fetch for `decide`. Nothing, for most requests. */
  needs(caller: Caller, operation: Operation, leg: Leg = 'Gateway'): Needs {
    if (bedrock(operation, this.options, { metadataOnly: true }) !== undefined) return NOTHING_NEEDED;
    return needsOf(this.bind(caller), operation, leg, isFree(operation));
  }

  /** Pure, and never throws for what a caller sent. */
  decide(question: Question): Decision {
    const { caller, operation, leg } = question;
    const bound = this.bind(caller);
    const held = bedrock(operation, this.options, question);
    if (held !== undefined) {
      return this.decision(question, bound, {
        action: 'Deny',
        code: 'SP_BEDROCK',
        by: undefined,
        reason: reasons.bedrock(held),
      });
    }
    const facts = questionFacts(question);
    const free = isFree(operation);
    const asks = asksOf(operation, leg, question.creates);
    const candidates = asks.map((ask) => bound.candidates(ask, operation, facts, free));
    const faults: RuleFault[] = [];
    const shadows = new Shadows(question, facts, this.options.limits, faults);
    const evaluation = new Evaluation(question, facts, this.options.limits);
    let judgement: Judgement | undefined;
    for (const one of candidates) {
      const next = this.judge(question, bound, one, free, facts, evaluation, faults, shadows);
      judgement = judgement === undefined ? next : harder(judgement, next);
      shadows.note(one);
    }
    return this.decision(question, bound, judgement ?? NOT_JUDGED, free, shadows.list(), faults);
  }

  private judge(
    { operation, caller }: Question,
    bound: Bound,
    candidates: Candidates,
    free: boolean,
    facts: Facts,
    evaluation: Evaluation,
    faults: RuleFault[],
    shadows: Shadows,
  ): Judgement {
    if (free) {
      if (candidates.deny.length === 0) return FREE;
      const judgement = judge(bound, candidates, operation, facts, evaluation, faults);
      return judgement.by === undefined || judgement.action === 'Allow' ? FREE : judgement;
    }
    if (bound.hasEnforce) return judge(bound, candidates, operation, facts, evaluation, faults);
    if (this.options.defaultEnforcement !== 'Audit' || candidates.naming !== undefined) {
      return { action: 'Deny', code: 'SP_NO_POLICY', by: undefined, reason: reasons.noPolicy(caller) };
    }
    shadows.noteDefault(candidates, bound);
    return ROLL_OUT;
  }

  private decision(
    { operation, metadataOnly }: Question,
    bound: Bound,
    { action, code, by, reason }: Judgement,
    free = false,
    shadows: readonly ShadowDecision[] = NONE,
    faults: readonly RuleFault[] = NONE,
  ): Decision {
    const excludes =
      this.options.allNamespaces === 'Exclude' &&
      isRead(operation.verb) &&
      metadataOnly !== true &&
      touchesEveryNamespace(operation, this.options.gatewayNamespace);
    // What a rule allows without more to be said of it is the same each time: whoever wants to make something of it makes it once.
    const plain = action === 'Allow' && !free && !excludes && shadows.length === 0 && faults.length === 0;
    const known = plain && by !== undefined ? this.plain.get(by) : undefined;
    if (known !== undefined) return known;
    const decision: Decision = {
      action,
      code,
      policy: by?.policy.name ?? '',
      policyUID: by?.policy.uid ?? '',
      policyGeneration: by?.policy.generation ?? 0,
      rule: by?.rule.name ?? '',
      reason,
      free: free && action === 'Allow',
      approval: action === 'RequireApproval' ? by?.rule.approval : undefined,
      recording: bound.recording,
      warnings: shadows.length === 0 ? NONE : shadows.filter((shadow) => shadow.enforcement === 'Warn').map(warning),
      audit: shadows,
      faults,
      excludeNamespace: excludes ? this.options.gatewayNamespace : undefined,
    };
    if (plain && by !== undefined) this.plain.set(by, decision);
    return decision;
  }

  private bind(caller: Caller): Bound {
    const known = this.byCaller.get(caller);
    if (known !== undefined) return known;
    const found = new Set<number>();
    for (const key of callerKeys(caller)) for (const index of this.bySubject.get(key) ?? NONE) found.add(index);
    const indexes = [...found].sort((a, b) => a - b);
    // Callers of one team share what was looked up for any of them.
    const key = indexes.join(',');
    let bound = this.byPolicies.get(key);
    if (bound === undefined) {
      bound = new Bound(indexes.map((index) => this.policies[index]!));
      if (this.byPolicies.size >= MAX_BOUND) this.byPolicies.clear();
      this.byPolicies.set(key, bound);
    }
    this.byCaller.set(caller, bound);
    return bound;
  }
}

const NONE: readonly never[] = [];
const FREE: Judgement = {
  action: 'Allow',
  code: undefined,
  by: undefined,
  reason: 'free for every authenticated caller',
};
const ROLL_OUT: Judgement = { action: 'Allow', code: undefined, by: undefined, reason: 'defaultEnforcement is Audit' };
/** An operation without a verb to judge: nothing can allow it. */
const NOT_JUDGED: Judgement = {
  action: 'Deny',
  code: 'SP_POLICY_DENIED',
  by: undefined,
  reason: 'the request asks for nothing that a policy could allow',
};

const warning = ({ policy, rule, action, reason }: ShadowDecision): string => {
  const would = action === 'Deny' ? 'would be denied' : 'would need approval';
  return `Sallyport: ${would}${policy === '' ? '' : ` by ${policy}/${rule}`}: ${reason}`.slice(0, 512);
};

/**
 * Compiles policies; one that has not changed since `previous` is taken from there.
 * A policy that does not compile is in the set, with its errors: it restricts and never allows more.
 */
export function compile(policies: readonly AgentPolicy[], options: PolicyOptions, previous?: PolicySet): PolicySet {
  const known = new Map(previous?.policies.map((policy) => [policy.name, policy]));
  return new PolicySet(
    policies.map((policy) => {
      const before = known.get(policy.metadata.name);
      return before !== undefined && unchanged(before, policy) ? before : compilePolicy(policy);
    }),
    options,
  );
}

function unchanged(before: CompiledPolicy, now: AgentPolicy): boolean {
  if (before.source === now || before.source.spec === now.spec) return true;
  const { uid, generation } = now.metadata;
  return (
    uid !== undefined &&
    uid !== '' &&
    uid === before.uid &&
    generation !== undefined &&
    generation === before.generation
  );
}
