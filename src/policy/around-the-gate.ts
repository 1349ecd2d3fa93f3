import type { Subject } from './agent-policy.ts';

/** Something that a webhook is not asked about, or not asked in time: with a right to it nothing of the gate holds. */
export interface AroundTheGate {
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly subresource?: string;
  /** In words, for people. */
  readonly words: string;
}

/** Reads first: no webhook is ever asked about them. What bedrock closes comes after. */
export const AROUND_THE_GATE: readonly AroundTheGate[] = [
  { verb: '*', group: '*', resource: '*', words: 'do everything' },
  { verb: 'get', group: '', resource: 'secrets', words: 'get secrets' },
  { verb: 'list', group: '', resource: 'secrets', words: 'list secrets' },
  { verb: 'watch', group: '', resource: 'secrets', words: 'watch secrets' },
  { verb: 'get', group: '', resource: 'configmaps', words: 'get configmaps' },
  { verb: 'list', group: '', resource: 'pods', words: 'list pods' },
  { verb: 'get', group: '', resource: 'pods', subresource: 'log', words: 'read logs' },
  { verb: 'get', group: '', resource: 'nodes', subresource: 'proxy', words: 'reach kubelets (nodes/proxy)' },
  { verb: 'impersonate', group: '', resource: 'users', words: 'impersonate users' },
  { verb: 'impersonate', group: '', resource: 'groups', words: 'impersonate groups' },
  {
    verb: 'create',
    group: '',
    resource: 'serviceaccounts',
    subresource: 'token',
    words: 'take tokens of service accounts',
  },
  {
    verb: 'patch',
    group: 'admissionregistration.k8s.io',
    resource: 'validatingwebhookconfigurations',
    words: 'change webhook configurations',
  },
  {
    verb: 'delete',
    group: 'admissionregistration.k8s.io',
    resource: 'validatingwebhookconfigurations',
    words: 'delete webhook configurations',
  },
  { verb: 'patch', group: 'sallyport.dev', resource: 'agentpolicies', words: 'change policies' },
];

/** A subject as the API server knows it; undefined where it exists at the gateway only. */
export function atTheAPIServer({ kind, name, namespace }: Subject): { user: string; groups: string[] } | undefined {
  if (kind === 'Agent') return undefined;
  if (kind === 'Group') return { user: '', groups: [name] };
  if (kind === 'User') return { user: name, groups: ['system:authenticated'] };
  const groups = ['system:serviceaccounts', `system:serviceaccounts:${namespace ?? ''}`, 'system:authenticated'];
  return { user: `system:serviceaccount:${namespace ?? ''}:${name}`, groups };
}

export const subjectWords = ({ kind, name, namespace }: Subject): string =>
  `${kind} ${namespace === undefined ? '' : `${namespace}/`}${name}`;
