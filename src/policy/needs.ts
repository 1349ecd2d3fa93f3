import type { Operation } from '../request/operation.ts';
import type { Bound, BoundRule, Candidates } from './bound.ts';
import { type Facts, factsOf } from './facts.ts';
import { allows } from './match.ts';
import { natural } from './question.ts';
import { INPUTS, type Input } from './variables.ts';
import { type Ask, asksOf, type Leg, mayCreate } from './verbs.ts';

/** What must be fetched before `decide`, because a rule that may match reads it. */
export interface Needs {
  readonly object: boolean;
  readonly oldObject: boolean;
  readonly target: boolean;
  readonly namespaceObject: boolean;
  /** Whether a PUT or apply patch creates decides (`Question.creates`); otherwise leave it undefined. */
  readonly existence: boolean;
  readonly any: boolean;
  /**
   * Groups that an approval would add: where the caller's own rights do not show what a rule that asks for one reads, they
   * may. Undefined where there are none.
   */
  readonly groups: readonly string[] | undefined;
}

export const NOTHING_NEEDED: Needs = {
  object: false,
  oldObject: false,
  target: false,
  namespaceObject: false,
  existence: false,
  any: false,
  groups: undefined,
};

export function needsOf(bound: Bound, operation: Operation, leg: Leg, free: boolean): Needs {
  const facts = factsOf(operation, {});
  const wanted = new Set<Input>();
  const asks = asksOf(operation, leg, undefined);
  const candidates = asks.map((ask: Ask) => bound.candidates(ask, operation, facts, free));
  for (const one of candidates) collect(one, operation, facts, wanted);
  const existence = candidates.length > 1 && leg === 'Gateway' && mayCreate(operation) && differ(candidates, facts);
  if (wanted.size === 0 && !existence) return NOTHING_NEEDED;
  const fetched = (input: Input) => wanted.has(input) && natural(input, operation, facts, undefined) === undefined;
  const needs = {
    object: fetched('object'),
    oldObject: fetched('oldObject'),
    target: fetched('target'),
    namespaceObject: fetched('namespaceObject'),
    existence,
  };
  return { ...needs, any: Object.values(needs).some(Boolean), groups: groupsOf(candidates, facts) };
}

function groupsOf(candidates: readonly Candidates[], facts: Facts): readonly string[] | undefined {
  const groups = new Set<string>();
  for (const { approval } of candidates) {
    for (const bound of approval) {
      if (possible(bound, facts)) for (const group of bound.rule.approval?.impersonateGroups ?? []) groups.add(group);
    }
  }
  return groups.size === 0 ? undefined : [...groups];
}

function collect(candidates: Candidates, operation: Operation, facts: Facts, wanted: Set<Input>): void {
  for (const bound of [...candidates.deny, ...candidates.approval, ...candidates.shadow]) {
    if (possible(bound, facts)) read(bound, operation, facts, bound.rule.reads, wanted);
  }
  for (const rules of [candidates.allow, candidates.shadowAllow]) {
    for (const bound of rules) {
      if (!possible(bound, facts)) continue;
      // Plain rules come first, and one that surely matches makes the conditions of the others idle.
      if (bound.rule.conditions.length === 0 && allows(bound.rule.match?.coverage(facts) ?? 'none')) break;
      read(bound, operation, facts, bound.rule.conditionReads, wanted);
    }
  }
}

function read(
  bound: BoundRule,
  operation: Operation,
  facts: Facts,
  reads: ReadonlySet<Input>,
  wanted: Set<Input>,
): void {
  const { match, broken } = bound.rule;
  if (!broken) for (const input of INPUTS) if (reads.has(input)) wanted.add(input);
  if (match === undefined) return;
  if (match.readsLabels) wanted.add(facts.reach === 'UnknownNamespace' ? 'object' : 'namespaceObject');
  // A POST names its object in the body only.
  const unnamed = operation.verb === 'create' && operation.subresource === '' && facts.name === undefined;
  if (unnamed && (match.readsName || facts.reach === 'UnknownNamespace')) wanted.add('object');
}

const possible = ({ rule }: BoundRule, facts: Facts): boolean =>
  rule.match === undefined || rule.match.coverage(facts) !== 'none';

/** Whether being judged by one verb more could change the answer. */
function differ(candidates: readonly Candidates[], facts: Facts): boolean {
  const ids = candidates.map((one) =>
    [...one.deny, ...one.approval, ...one.allow].filter((bound) => possible(bound, facts)).map((bound) => bound.id),
  );
  const [first = [], ...others] = ids.map((list) => list.join('\n'));
  return others.some((other) => other !== first);
}
