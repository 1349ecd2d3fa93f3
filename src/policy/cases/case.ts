import type { Caller } from '../../identity/caller.ts';
import { isConnect, type Operation } from '../../request/operation.ts';
import { parseRequest } from '../../request/request.ts';
import type { AgentPolicy, AgentPolicySpec, Match, NamedExpression, Rule } from '../agent-policy.ts';
import { fromJson } from '../cel/engine.ts';
import type { Decision } from '../decision.ts';
import type { PolicyOptions } from '../policy-set.ts';
import type { Question } from '../question.ts';
import { isRead, type Leg } from '../verbs.ts';
import { callerNamed } from './callers.ts';

/**
 * One row of the table that both legs run: what is asked under which policies, and the answer.
 * Answers are written `Allow p/rule`, `Deny SP_POLICY_DENIED p/rule`, `RequireApproval p/rule`, `Free`.
 */
export interface DecisionCase {
  readonly name: string;
  readonly policies: readonly AgentPolicy[];
  readonly caller: Caller;
  /** `GET /api/v1/namespaces/shop/pods`; a patch is written with its type: `PATCH[apply] /…`. */
  readonly request: string;
  readonly expect: string;
  /** Where the second leg, knowing less, answers otherwise; undefined: the same. `null`: Kubernetes does not ask it. */
  readonly admission: string | null | undefined;
  /** JSON. */
  readonly object?: unknown;
  readonly oldObject?: unknown;
  readonly target?: unknown;
  readonly namespaceObject?: unknown;
  readonly unknown?: Question['unknown'];
  readonly creates?: boolean;
  readonly ports?: readonly number[];
  readonly metadataOnly?: boolean;
  readonly now?: string;
  readonly options?: Partial<PolicyOptions>;
}

export const GATEWAY_NAMESPACE = 'sallyport';
export const agent: Caller = callerNamed('alice', { groups: ['ai-agents'], agent: 'cursor', onBehalfOf: 'alice' });

export type CaseDetails = Partial<Omit<DecisionCase, 'name' | 'policies' | 'request' | 'expect'>>;

/** @param rules of one policy `p` for the caller `agent`, or whole policies */
export function row(
  name: string,
  rules: readonly (Rule | AgentPolicy)[],
  request: string,
  expect: string,
  details: CaseDetails = {},
): DecisionCase {
  const whole = rules.filter((item): item is AgentPolicy => 'spec' in item);
  const loose = rules.filter((item): item is Rule => 'action' in item);
  const policies = loose.length > 0 ? [policy('p', loose), ...whole] : whole;
  return { caller: agent, admission: undefined, ...details, name, policies, request, expect };
}

export function policy(name: string, rules: readonly Rule[], spec: Partial<AgentPolicySpec> = {}): AgentPolicy {
  return {
    metadata: { name, uid: `uid-${name}`, generation: 1 },
    spec: { subjects: [{ kind: 'Group', name: 'ai-agents' }], rules, ...spec },
  };
}

/** `match('get,list', 'pods,pods/log')`: of every group unless `apiGroups` says otherwise. */
export const match = (verbs: string, resources: string, more: Partial<Match> = {}): Match => ({
  verbs: verbs.split(',') as Match['verbs'][number][],
  apiGroups: ['*'],
  resources: resources.split(','),
  ...more,
});

export const url = (verbs: string, ...nonResourceURLs: string[]): Match => ({
  verbs: verbs.split(',') as Match['verbs'][number][],
  nonResourceURLs,
});

/** Conditions `c0`, `c1`, …. */
const conditions = (expressions: readonly string[]): { matchConditions?: readonly NamedExpression[] } =>
  expressions.length === 0
    ? {}
    : { matchConditions: expressions.map((expression, index) => ({ name: `c${index}`, expression })) };

export const allow = (name: string, matches: Match, ...when: string[]): Rule => ({
  name,
  action: 'Allow',
  match: matches,
  ...conditions(when),
});
export const deny = (name: string, matches: Match, ...when: string[]): Rule => ({
  ...allow(name, matches, ...when),
  action: 'Deny',
});
export const approve = (name: string, matches: Match, ...when: string[]): Rule => ({
  ...allow(name, matches, ...when),
  action: 'RequireApproval',
});

export const optionsOf = (one: DecisionCase): PolicyOptions => ({
  gatewayNamespace: GATEWAY_NAMESPACE,
  ...one.options,
});

/** The question of a row on one leg; undefined where Kubernetes does not ask the webhook. */
export function questionOf(one: DecisionCase, leg: Leg): Question | undefined {
  const [, method = '', patch = '', target = ''] = /^([A-Z]+)(?:\[([a-z]+)\])? (\S+)$/.exec(one.request) ?? [];
  const contentType = method === 'PATCH' ? PATCHES[patch || 'merge'] : undefined;
  const parsed = parseRequest(method, target, { contentType });
  const operation = leg === 'Gateway' ? parsed : inAdmission(parsed, one);
  if (operation === undefined) return undefined;
  const given = (value: unknown) => (value === undefined ? undefined : fromJson(value));
  return {
    caller: one.caller,
    operation,
    leg,
    sourceIP: leg === 'Gateway' ? '10.1.2.3' : undefined,
    now: Date.parse(one.now ?? '2026-11-21T12:00:00Z'),
    requestID: '5c1e0000-0000-4000-8000-000000000000',
    object: given(one.object),
    oldObject: given(one.oldObject),
    target: given(one.target),
    namespaceObject: given(one.namespaceObject),
    unknown: one.unknown,
    creates: leg === 'Gateway' ? one.creates : undefined,
    ports: one.ports,
    metadataOnly: leg === 'Gateway' ? one.metadataOnly : undefined,
  };
}

const PATCHES: Readonly<Record<string, string>> = {
  apply: 'application/apply-patch+yaml',
  merge: 'application/merge-patch+json',
  json: 'application/json-patch+json',
};

/** What an AdmissionReview would say of the same request. */
function inAdmission(operation: Operation, one: DecisionCase): Operation | undefined {
  if (!operation.isResource) return undefined;
  if (isConnect(operation)) return { ...operation, verb: 'connect' };
  if (isRead(operation.verb)) return undefined;
  const named = (value: unknown): string => (value as { metadata?: { name?: string } })?.metadata?.name ?? '';
  const name = operation.name || named(one.object) || named(one.oldObject);
  const verb = one.creates === true ? 'create' : operation.verb === 'patch' ? 'update' : operation.verb;
  // One deletecollection is one DELETE for each object.
  if (verb === 'deletecollection') return { ...operation, verb: 'delete', isCollection: false, name };
  return { ...operation, verb, name };
}

/** A decision in the notation of the table. */
export function notation({ action, code, policy: by, rule, free }: Decision): string {
  if (free) return 'Free';
  return [action, action === 'Deny' ? code : '', rule === '' ? '' : `${by}/${rule}`]
    .filter((part) => part !== '')
    .join(' ');
}
