import type { Match } from './agent-policy.ts';
import type { Facts } from './facts.ts';
import { compileGlobs, type Globs } from './glob.ts';
import { type CompiledSelector, compileSelector } from './label-selector.ts';
import { matchesResource, names, parseResourcePattern, type ResourcePattern } from './resource-pattern.ts';

/**
 * How much of what an operation could touch is inside a match. An Allow rule matches at `all` only; Deny and
 * RequireApproval match at `some` too, because something they speak of could be touched. `opening` is a port-forward
 * whose ports come later, each judged before it opens: a rule about ports lets the tunnel itself pass and stops none.
 */
export type Coverage = 'none' | 'some' | 'all' | 'opening';

export const allows = (coverage: Coverage): boolean => coverage === 'all' || coverage === 'opening';
export const restricts = (coverage: Coverage): boolean => coverage === 'all' || coverage === 'some';

/** `match` of a rule, compiled. First by what is asked (cacheable), then by where. */
export interface CompiledMatch {
  /** Whether the verbs of this match name one of these. */
  verb(verbs: readonly string[]): boolean;
  resource(apiGroup: string, resource: string, subresource: string): boolean;
  /** Whether an entry that matches spells out the resource or subresource: `*` names nothing. */
  named(apiGroup: string, resource: string, subresource: string): boolean;
  path(path: string): boolean;
  /** As `named`, for a path: an entry other than `*` matches. */
  pathNamed(path: string): boolean;
  coverage(facts: Facts): Coverage;
  /** By the names of namespaces alone: `none` here is `none` in `coverage`. */
  namespaceCoverage(facts: Pick<Facts, 'reach' | 'namespace'>): Coverage;
  readonly readsName: boolean;
  readonly readsLabels: boolean;
}

/** @throws Error where the match is not one, with a message for the policy's author. */
export function compileMatch(match: Match): CompiledMatch {
  const verbs = new Set(strings(match.verbs, 'verbs'));
  const urls = match.nonResourceURLs === undefined ? [] : strings(match.nonResourceURLs, 'nonResourceURLs');
  const patterns = match.resources === undefined ? [] : strings(match.resources, 'resources').map(parseResourcePattern);
  const groups = new Set(match.apiGroups === undefined ? [] : strings(match.apiGroups, 'apiGroups'));
  if (urls.length > 0 === (patterns.length > 0 && groups.size > 0)) {
    throw new Error('match needs either apiGroups and resources, or nonResourceURLs');
  }
  const group = (apiGroup: string) => groups.has('*') || groups.has(apiGroup);
  const matching = (resource: string, subresource: string): ResourcePattern[] =>
    patterns.filter((pattern) => matchesResource(pattern, resource, subresource));
  const namespaces = match.namespaces === undefined ? undefined : compileGlobs(strings(match.namespaces, 'namespaces'));
  const namespaceCoverage: CompiledMatch['namespaceCoverage'] = (facts) =>
    namespaces === undefined ? 'all' : coverageByName(namespaces, facts);
  return {
    namespaceCoverage,
    verb: (wanted) => verbs.has('*') || wanted.some((verb) => verbs.has(verb)),
    resource: (apiGroup, resource, subresource) => group(apiGroup) && matching(resource, subresource).length > 0,
    named: (apiGroup, resource, subresource) =>
      group(apiGroup) && matching(resource, subresource).some((pattern) => names(pattern, resource, subresource)),
    path: (path) => urls.some((url) => matchesURL(url, path)),
    pathNamed: (path) => urls.some((url) => url !== '*' && matchesURL(url, path)),
    coverage: coverageOf(match, namespaceCoverage),
    readsName: match.resourceNames !== undefined,
    readsLabels: match.namespaceSelector !== undefined,
  };
}

const matchesURL = (url: string, path: string): boolean =>
  url.endsWith('*') ? path.startsWith(url.slice(0, -1)) : path === url;

function coverageOf(match: Match, byNamespace: (facts: Facts) => Coverage): (facts: Facts) => Coverage {
  const checks: ((facts: Facts) => Coverage)[] = match.namespaces === undefined ? [] : [byNamespace];
  if (match.resourceNames !== undefined) {
    const globs = compileGlobs(strings(match.resourceNames, 'resourceNames'));
    checks.push(({ name }) => (name === undefined ? open(globs.everything) : sure(globs.test(name))));
  }
  if (match.namespaceSelector !== undefined) {
    const selector = compileSelector(match.namespaceSelector);
    checks.push((facts) => selectorCoverage(selector, facts));
  }
  if (match.ports !== undefined) {
    const ports = new Set(match.ports);
    checks.push((facts) => portCoverage(ports, facts));
  }
  return (facts) => {
    let partly = false;
    let opening = false;
    for (const check of checks) {
      const one = check(facts);
      if (one === 'none') return 'none';
      if (one === 'some') partly = true;
      if (one === 'opening') opening = true;
    }
    if (opening) return partly ? 'none' : 'opening';
    return partly ? 'some' : 'all';
  };
}

const sure = (inside: boolean): Coverage => (inside ? 'all' : 'none');
const open = (everything: boolean): Coverage => (everything ? 'all' : 'some');

function coverageByName(globs: Globs, facts: Pick<Facts, 'reach' | 'namespace'>): Coverage {
  switch (facts.reach) {
    case 'Namespace':
      return sure(globs.test(facts.namespace));
    case 'Cluster':
      return 'none';
    case 'Either':
      return 'some';
    default:
      return open(globs.everything);
  }
}

function selectorCoverage(selector: CompiledSelector, facts: Facts): Coverage {
  switch (facts.reach) {
    case 'Namespace':
    case 'UnknownNamespace':
      return facts.labels === undefined ? open(selector.everything) : sure(selector.test(facts.labels));
    case 'Cluster':
      return 'none';
    case 'Either':
      return 'some';
    default:
      return open(selector.everything);
  }
}

function portCoverage(ports: ReadonlySet<number>, facts: Facts): Coverage {
  if (!facts.isPortForward) return 'none';
  if (facts.ports === undefined) return 'opening';
  const inside = facts.ports.filter((port) => ports.has(port)).length;
  if (inside === 0) return 'none';
  return inside === facts.ports.length ? 'all' : 'some';
}

function strings(list: unknown, field: string): readonly string[] {
  if (!Array.isArray(list) || list.length === 0 || !list.every((item) => typeof item === 'string')) {
    throw new Error(`match.${field} must be a list of strings that is not empty`);
  }
  return list;
}
