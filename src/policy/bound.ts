import type { Operation } from '../request/operation.ts';
import type { CompiledPolicy } from './compiled-policy.ts';
import type { RecordingTerms } from './decision.ts';
import type { Facts } from './facts.ts';
import { mustBeNamed } from './resource-pattern.ts';
import type { CompiledRule } from './rule.ts';
import type { Ask } from './verbs.ts';

export interface BoundRule {
  readonly policy: CompiledPolicy;
  readonly rule: CompiledRule;
  /** `policy/rule`, as messages name it. */
  readonly id: string;
}

/** The rules that speak of one kind of request, in the order of their names: so no other order can matter. */
export interface Candidates {
  readonly deny: readonly BoundRule[];
  readonly approval: readonly BoundRule[];
  /** Without conditions first: they need nothing fetched and nothing evaluated. */
  readonly allow: readonly BoundRule[];
  /** Deny and RequireApproval rules of Warn and Audit policies. */
  readonly shadow: readonly BoundRule[];
  /** Allow rules of Warn and Audit policies. */
  readonly shadowAllow: readonly BoundRule[];
  /** What is asked must be named; these RequireApproval rules name it. Undefined: it need not be. */
  readonly naming: ReadonlySet<BoundRule> | undefined;
}

type Where = Pick<Facts, 'reach' | 'namespace'>;

const MAX_CACHED = 1024;
const LEVELS = ['None', 'Metadata', 'Request', 'RequestResponse'] as const;

/** All policies that name one caller, with what is asked looked up instead of searched. */
export class Bound {
  readonly policies: readonly CompiledPolicy[];
  readonly hasEnforce: boolean;
  readonly recording: RecordingTerms;
  private readonly rules: readonly BoundRule[];
  private readonly byAsk = new Map<string, Candidates>();

  constructor(policies: readonly CompiledPolicy[]) {
    this.policies = policies;
    this.hasEnforce = policies.some((policy) => policy.enforcement === 'Enforce');
    this.recording = strictestRecording(policies);
    this.rules = policies
      .flatMap((policy) => policy.rules.map((rule) => ({ policy, rule, id: `${policy.name}/${rule.name}` })))
      .filter(({ rule }) => !(rule.broken && rule.action === 'Allow'))
      .sort((a, b) => compareText(a.policy.name, b.policy.name) || compareText(a.rule.name, b.rule.name));
  }

  /** @param free only Deny rules that name what is asked count */
  candidates(ask: Ask, operation: Operation, facts: Where, free = false): Candidates {
    const { isResource, apiGroup, resource, subresource, path } = operation;
    const what = isResource ? `${apiGroup}\0${resource}\0${subresource}\0${facts.reach}\0${facts.namespace}` : path;
    const key = `${ask.id}\0${isResource ? 'r' : 'p'}${free ? 'f' : ''}\0${what}`;
    const known = this.byAsk.get(key);
    if (known !== undefined) return known;
    const found = this.search(ask, operation, facts, free);
    // Callers choose the keys (any path, any resource, any namespace), so their number is bounded.
    if (this.byAsk.size >= MAX_CACHED) this.byAsk.clear();
    this.byAsk.set(key, found);
    return found;
  }

  private search(ask: Ask, operation: Operation, facts: Where, free: boolean): Candidates {
    const { isResource, apiGroup, resource, subresource } = operation;
    const dangerous = isResource && mustBeNamed(apiGroup, resource, subresource);
    const named = ({ rule }: BoundRule): boolean => rule.match !== undefined && matchNames(rule, operation);
    const speaking = this.rules.filter(
      ({ rule }) => speaksOf(rule, ask, operation) && rule.match?.namespaceCoverage(facts) !== 'none',
    );
    const enforced = speaking.filter(({ policy }) => policy.enforcement === 'Enforce');
    const shadows = speaking.filter(({ policy }) => policy.enforcement !== 'Enforce');
    const allows = (bound: BoundRule) => bound.rule.action === 'Allow' && (!dangerous || named(bound));
    const counts = (bound: BoundRule) => !free || (bound.rule.action === 'Deny' && named(bound));
    const approval = enforced.filter((bound) => bound.rule.action === 'RequireApproval' && counts(bound));
    return {
      deny: enforced.filter((bound) => bound.rule.action === 'Deny' && counts(bound)),
      approval,
      allow: plainFirst(enforced.filter(allows)),
      shadow: shadows.filter((bound) => bound.rule.action !== 'Allow' && counts(bound)),
      shadowAllow: plainFirst(shadows.filter(allows)),
      naming: dangerous ? new Set(approval.filter(named)) : undefined,
    };
  }
}

function speaksOf(rule: CompiledRule, ask: Ask, operation: Operation): boolean {
  const { match } = rule;
  if (match === undefined) return true;
  if (!match.verb(rule.action === 'Allow' ? ask.allow : ask.restrict)) return false;
  return operation.isResource
    ? match.resource(operation.apiGroup, operation.resource, operation.subresource)
    : match.path(operation.path);
}

function matchNames({ match }: CompiledRule, operation: Operation): boolean {
  if (match === undefined) return true;
  return operation.isResource
    ? match.named(operation.apiGroup, operation.resource, operation.subresource)
    : match.pathNamed(operation.path);
}

const plainFirst = (rules: readonly BoundRule[]): readonly BoundRule[] => [
  ...rules.filter(({ rule }) => rule.conditions.length === 0),
  ...rules.filter(({ rule }) => rule.conditions.length > 0),
];

/** By code unit: the order of names must not depend on a locale. */
const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

const MODES = ['Strict', 'ByOperation', 'BestEffort'] as const;

/**
 * Policies that do not enforce demand nothing. Of the others the one that keeps most holds; Strict beats what is left open,
 * and that beats BestEffort.
 */
function strictestRecording(policies: readonly CompiledPolicy[]): RecordingTerms {
  const enforced = policies.filter((policy) => policy.enforcement === 'Enforce').map((policy) => policy.recording);
  const level = Math.max(-1, ...enforced.map((terms) => LEVELS.indexOf(terms.level)));
  return {
    level: LEVELS[level] ?? 'Metadata',
    mode: MODES.find((mode) => enforced.some((terms) => terms.mode === mode)) ?? 'ByOperation',
  };
}
