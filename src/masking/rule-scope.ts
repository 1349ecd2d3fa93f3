import type { Caller } from '../identity/caller.ts';
import type { Subject } from '../policy/agent-policy.ts';
import { compileGlobs, type Globs } from '../policy/glob.ts';
import { matchesResource, parseResourcePattern, type ResourcePattern } from '../policy/resource-pattern.ts';
import { resourceScope } from '../policy/scope.ts';
import { callerKeys, subjectKey, subjectProblem } from '../policy/subjects.ts';
import type { Operation } from '../request/operation.ts';
import type { MaskingRuleSpec } from './masking-rule.generated.ts';

/** Of whom and of what a rule speaks. */
export interface RuleScope {
  /** Keys as of `subjectKeys`. */
  readonly subjects: readonly string[];
  /** Whether answers to this operation are spoken of: wholly, in part (another namespace or name), or not at all. */
  covers(operation: Operation): 'none' | 'some' | 'all';
  /** Whether one object is spoken of, in an answer that is only in part. */
  holds(namespace: string, name: string): boolean;
}

/** Every caller: the one name beginning with `system:` that a rule which masks may use. */
const EVERYONE = 'Group\0system:authenticated';

/** Keys under which rules may name this caller. */
export function subjectKeys(caller: Caller): readonly string[] {
  return [...callerKeys(caller), EVERYONE];
}

/** Subresources that show something else than the object they belong to. */
const STREAMS = new Set(['log', 'exec', 'attach', 'portforward', 'proxy']);

/**
 * @param fail told of every mistake; a rule with one still says, as widely as can be understood, whom and what it is about,
 * so that it can fail closed there
 */
export function compileScope(spec: MaskingRuleSpec, fail: (at: string, message: string) => undefined): RuleScope {
  const exempt = spec.exempt === true;
  const subjects: string[] = [];
  const given = listOf(spec.subjects) as readonly Subject[];
  if (given.length === 0) fail('spec.subjects', 'a rule needs subjects');
  for (const [i, subject] of given.entries()) {
    const key = typeof subject === 'object' && subject !== null ? subjectKey(subject) : '';
    const problem = key === EVERYONE && !exempt ? undefined : subjectProblem(subject);
    if (problem !== undefined) fail(`spec.subjects[${i}]`, problem);
    if (key !== '') subjects.push(key);
  }
  const { apiGroups, resources, namespaces, resourceNames } = spec.match ?? {};
  const strings = (list: unknown, at: string): readonly string[] | undefined => {
    if (list === undefined) return undefined;
    const texts = listOf(list).filter((item): item is string => typeof item === 'string');
    if (texts.length !== listOf(list).length || texts.length === 0) fail(at, 'a list of names is needed');
    return texts;
  };
  const groups = new Set(strings(apiGroups, 'spec.match.apiGroups') ?? []);
  if (apiGroups === undefined) fail('spec.match.apiGroups', 'a list of names is needed');
  if (resources === undefined) fail('spec.match.resources', 'a list of names is needed');
  const patterns = (strings(resources, 'spec.match.resources') ?? []).map(parseResourcePattern);
  const inNamespaces = globsOf(strings(namespaces, 'spec.match.namespaces'));
  const named = globsOf(strings(resourceNames, 'spec.match.resourceNames'));
  return {
    subjects,
    covers(operation) {
      if (!operation.isResource || !groupMatches(groups, operation, exempt)) return 'none';
      if (!patterns.some((pattern) => resourceMatches(pattern, operation, exempt))) return 'none';
      const byNamespace = namespaceCoverage(inNamespaces, operation);
      const byName = nameCoverage(named, operation);
      if (byNamespace === 'none' || byName === 'none') return 'none';
      return byNamespace === 'all' && byName === 'all' ? 'all' : 'some';
    },
    holds: (namespace, name) =>
      (inNamespaces === undefined || (namespace !== '' && inNamespaces.test(namespace))) &&
      (named === undefined || named.test(name)),
  };
}

/** Events are served by two groups; a rule that masks means both. */
function groupMatches(groups: ReadonlySet<string>, { apiGroup, resource }: Operation, exempt: boolean): boolean {
  if (groups.has('*') || groups.has(apiGroup)) return true;
  if (exempt || resource !== 'events') return false;
  return apiGroup === '' ? groups.has('events.k8s.io') : apiGroup === 'events.k8s.io' && groups.has('');
}

/** `status`, `scale` and their kin answer with the object itself: a rule that masks it masks it there too. */
function resourceMatches(pattern: ResourcePattern, { resource, subresource }: Operation, exempt: boolean): boolean {
  if (matchesResource(pattern, resource, subresource)) return true;
  return !exempt && subresource !== '' && !STREAMS.has(subresource) && matchesResource(pattern, resource, '');
}

function namespaceCoverage(namespaces: Globs | undefined, operation: Operation): 'none' | 'some' | 'all' {
  if (namespaces === undefined) return 'all';
  const { namespace, isCollection, apiGroup, resource } = operation;
  if (namespace !== '') return namespaces.test(namespace) ? 'all' : 'none';
  const scope = isCollection ? resourceScope(apiGroup, resource) : 'Cluster';
  if (scope === 'Namespaced') return namespaces.everything ? 'all' : 'some';
  return scope === 'Either' ? 'some' : 'none';
}

function nameCoverage(names: Globs | undefined, operation: Operation): 'none' | 'some' | 'all' {
  if (names === undefined || names.everything) return 'all';
  const name = operation.proxyTarget?.name ?? (operation.name || operation.fieldSelectorName || '');
  if (name === '') return 'some';
  return names.test(name) ? 'all' : 'none';
}

const globsOf = (patterns: readonly string[] | undefined): Globs | undefined =>
  patterns === undefined ? undefined : compileGlobs(patterns);

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
