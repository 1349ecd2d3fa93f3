import type { Caller } from '../identity/caller.ts';
import type { Subject } from './agent-policy.ts';

/** The key under which a subject's policies are found; kinds cannot be confused, because no name holds a NUL. */
export function subjectKey(subject: Subject): string {
  return subject.kind === 'ServiceAccount'
    ? `ServiceAccount\0${subject.namespace ?? ''}\0${subject.name}`
    : `${subject.kind}\0${subject.name}`;
}

/** Every key under which policies may name this caller. */
export function callerKeys(caller: Caller): string[] {
  const keys = [`User\0${caller.username}`];
  for (const group of caller.groups) keys.push(`Group\0${group}`);
  if (caller.serviceAccount !== undefined) {
    keys.push(`ServiceAccount\0${caller.serviceAccount.namespace}\0${caller.serviceAccount.name}`);
  }
  if (caller.agent !== undefined && caller.agent !== '') keys.push(`Agent\0${caller.agent}`);
  return keys;
}

const KINDS = new Set(['User', 'Group', 'ServiceAccount', 'Agent']);
const ACCOUNT = 'system:serviceaccount:';
const ACCOUNTS = 'system:serviceaccounts:';

/**
 * Subjects that mean everyone or the cluster itself are refused: a policy on them would govern people and controllers
 * who never come through the gate, and an outage of the webhook would stop the cluster.
 * @returns what is wrong, for the policy's author
 */
export function subjectProblem(subject: Subject): string | undefined {
  if (typeof subject !== 'object' || subject === null || !KINDS.has(subject.kind)) {
    return 'kind must be User, Group, ServiceAccount or Agent';
  }
  const { kind, name, namespace } = subject;
  if (typeof name !== 'string' || name === '') return 'name is required';
  if (name.includes('\0') || namespace?.includes('\0')) return 'name must not hold control characters';
  if (kind === 'ServiceAccount') {
    if (typeof namespace !== 'string' || namespace === '') return 'a ServiceAccount needs its namespace';
    return namespace === 'kube-system' ? 'accounts of kube-system are the cluster itself' : undefined;
  }
  if (namespace !== undefined) return `a ${kind} has no namespace`;
  if (kind === 'Agent' || !name.startsWith('system:')) return undefined;
  const prefix = kind === 'User' ? ACCOUNT : ACCOUNTS;
  const rest = name.startsWith(prefix) ? name.slice(prefix.length) : '';
  if (rest === '' || rest === 'kube-system' || rest.startsWith('kube-system:')) {
    return `${name} means everyone or the cluster itself`;
  }
  return undefined;
}
