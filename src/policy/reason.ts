import { escapeLine } from '../errors.ts';
import type { Caller } from '../identity/caller.ts';
import type { Operation } from '../request/operation.ts';
import type { BoundRule } from './bound.ts';
import type { Facts } from './facts.ts';

/** Characters of a name that a message shows: names come from callers. */
const MAX_NAME = 128;
const MAX_REASON = 1024;

const quote = (name: string): string => `"${name.length > MAX_NAME ? `${name.slice(0, MAX_NAME)}…` : name}"`;

/** What is asked, in the words of kubectl: `create pods/exec "web-0" in namespace "shop"`. */
export function describeOperation(operation: Operation, facts: Pick<Facts, 'namespace' | 'name'>): string {
  const { verb, apiGroup, resource, subresource } = operation;
  if (!operation.isResource) return `${verb} ${quote(operation.path)}`;
  const kind = `${resource}${apiGroup === '' ? '' : `.${apiGroup}`}${subresource === '' ? '' : `/${subresource}`}`;
  const name = facts.name === undefined ? '' : ` ${quote(facts.name)}`;
  if (facts.namespace !== '') return `${verb} ${kind}${name} in namespace ${quote(facts.namespace)}`;
  return `${verb} ${kind}${name}${operation.isCollection ? ' in the whole cluster' : ''}`;
}

const line = (text: string): string => {
  const escaped = escapeLine(text);
  return escaped.length > MAX_REASON ? `${escaped.slice(0, MAX_REASON - 1)}…` : escaped;
};

/** One line each: what stopped it, and what to do. */
export const reasons = {
  allowed: ({ id }: BoundRule): string => id,

  denied: ({ id, policy }: BoundRule, message: string, what: string): string =>
    line(
      `${id}: ${message === '' ? `denies ${what}` : message}; do something else, or ask who keeps the policy ${policy.name}`,
    ),

  /** What to do is not for the policy to say: only who asks a person knows under which name they are asked. */
  needsApproval: ({ id }: BoundRule, message: string, what: string): string =>
    line(`${id}: ${message === '' ? what : message}`),

  broken: ({ id, policy }: BoundRule): string =>
    line(
      `${id} does not compile and so refuses all it speaks of: ask who keeps the policy ${policy.name} to correct it`,
    ),

  unanswered: ({ id, policy }: BoundRule, condition: string, budget: boolean): string =>
    line(
      `${id}: its condition ${quote(condition)} ${budget ? 'took too long' : 'has no answer'} for this request, which is therefore refused: correct the object, or ask who keeps the policy ${policy.name}`,
    ),

  unreadable: ({ id }: BoundRule, why: string): string =>
    line(`${id} must read what this request does, and cannot: ${why}; send the whole object as JSON or YAML`),

  unnamed: ({ resource, subresource }: Operation, what: string): string =>
    line(
      `no rule that spells out ${subresource === '' ? resource : `${resource}/${subresource}`} allows to ${what} (a wildcard does not): ask a platform engineer for one`,
    ),

  notAllowed: (policies: readonly string[], what: string): string => {
    const shown = policies.slice(0, 4).join(', ');
    const more = policies.length > 4 ? ` and ${policies.length - 4} more` : '';
    return line(
      `no rule of ${shown}${more} allows to ${what}: do something else, or ask who keeps the policy for a rule`,
    );
  },

  noPolicy: (caller: Caller): string => {
    const agent = caller.agent === undefined || caller.agent === '' ? '' : ` (agent ${quote(caller.agent)})`;
    return line(
      `no AgentPolicy with enforcement Enforce names ${quote(caller.username)}${agent}: ask a platform engineer for one`,
    );
  },

  bedrock: (why: string): string => line(`${why}; no policy can open this`),
};
