import { type Finding, good, warning, wrong } from './finding.ts';
import type { Patient } from './patient.ts';

interface Right {
  readonly verbs: readonly string[];
  readonly group: string;
  readonly resource: string;
  readonly subresource?: string;
  readonly name?: string;
  /** In the gateway's namespace only. */
  readonly own?: true;
}

const OURS = 'sallyport.dev';
const READ = ['get', 'list', 'watch'];

/** What the data path cannot work without (examples/rbac/gateway.yaml). */
const GATEWAY: readonly Right[] = [
  { verbs: ['create'], group: 'authentication.k8s.io', resource: 'tokenreviews' },
  { verbs: READ, group: OURS, resource: 'agentpolicies' },
  { verbs: READ, group: OURS, resource: 'maskingrules' },
  { verbs: ['patch'], group: OURS, resource: 'agentpolicies', subresource: 'status' },
  { verbs: ['get', 'list', 'watch', 'create'], group: OURS, resource: 'approvalrequests' },
  { verbs: ['patch'], group: OURS, resource: 'approvalrequests', subresource: 'status' },
  { verbs: READ, group: '', resource: 'namespaces' },
  { verbs: READ, group: 'apiregistration.k8s.io', resource: 'apiservices' },
  { verbs: READ, group: 'apiextensions.k8s.io', resource: 'customresourcedefinitions' },
  { verbs: [...READ, 'create'], group: OURS, resource: 'agentsessions', own: true },
  { verbs: READ, group: OURS, resource: 'agentfreezes', own: true },
  { verbs: ['get', 'update'], group: '', resource: 'secrets', name: 'sallyport-session-keys', own: true },
  { verbs: ['get'], group: '', resource: 'secrets', name: 'sallyport-installation', own: true },
];

/** One of these, too: the old verb, or that of constrained impersonation, which the chart uses from Kubernetes 1.36 on. */
const IMPERSONATION: readonly Right[] = [
  { verbs: ['impersonate'], group: '', resource: 'users' },
  { verbs: ['impersonate:user-info'], group: 'authentication.k8s.io', resource: 'users' },
];

/** What the controller cannot work without (examples/rbac/controller.yaml). */
const CONTROLLER: readonly Right[] = [
  { verbs: [...READ, 'delete'], group: OURS, resource: 'approvalrequests' },
  { verbs: ['patch'], group: OURS, resource: 'approvalrequests', subresource: 'status' },
  { verbs: READ, group: OURS, resource: 'agentpolicies' },
  { verbs: ['patch'], group: OURS, resource: 'agentpolicies', subresource: 'status' },
  { verbs: ['create'], group: 'authorization.k8s.io', resource: 'subjectaccessreviews' },
  {
    verbs: ['get', 'update'],
    group: 'coordination.k8s.io',
    resource: 'leases',
    name: 'sallyport-controller',
    own: true,
  },
];

const WEBHOOK: readonly Right[] = [
  {
    verbs: ['get', 'patch'],
    group: 'admissionregistration.k8s.io',
    resource: 'validatingwebhookconfigurations',
    name: 'sallyport-policy',
  },
];

/** Nobody but the gateway may be given these, and of the gateway only what is listed by value. */
const TOO_MUCH: readonly Right[] = [
  { verbs: ['impersonate'], group: '', resource: 'groups', name: 'system:masters' },
  { verbs: ['impersonate:user-info'], group: 'authentication.k8s.io', resource: 'groups', name: 'system:masters' },
  { verbs: ['*'], group: '*', resource: '*' },
  { verbs: ['get'], group: '', resource: 'secrets' },
];

/** What is missing in the accounts of the gateway and its controller, and what is too much. */
export async function lookAtAccounts(
  patient: Patient,
  accounts: { readonly gateway: string; readonly controller: string; readonly webhook: boolean },
): Promise<readonly Finding[]> {
  const { namespace } = patient;
  const findings: Finding[] = [];
  const one = accounts.gateway === accounts.controller;
  const needed = [
    { account: accounts.gateway, rights: GATEWAY, file: 'gateway.yaml' },
    { account: accounts.controller, rights: CONTROLLER, file: one ? 'gateway.yaml' : 'controller.yaml' },
    ...(accounts.webhook
      ? [{ account: accounts.controller, rights: WEBHOOK, file: one ? 'admission.yaml' : 'controller.yaml' }]
      : []),
  ];
  const names = await Promise.all(IMPERSONATION.map((right) => may(patient, accounts.gateway, right, right.verbs[0]!)));
  if (!names.includes(true)) {
    const message = `ServiceAccount ${namespace}/${accounts.gateway} may not ${words('impersonate', IMPERSONATION[0]!, namespace)}`;
    findings.push(wrong('accounts', message, 'kubectl apply -f examples/rbac/gateway.yaml, or upgrade the chart'));
  }
  for (const { account, rights, file } of needed) {
    for (const right of rights) {
      for (const verb of right.verbs) {
        if (await may(patient, account, right, verb)) continue;
        const message = `ServiceAccount ${namespace}/${account} may not ${words(verb, right, namespace)}`;
        findings.push(wrong('accounts', message, `kubectl apply -f examples/rbac/${file}, or upgrade the chart`));
      }
    }
  }
  for (const account of new Set([accounts.gateway, accounts.controller])) {
    for (const right of TOO_MUCH) {
      const verb = right.verbs[0]!;
      if (!(await may(patient, account, right, verb))) continue;
      const next = verb.startsWith('impersonate')
        ? 'list the groups that it may impersonate by value (resourceNames)'
        : 'take it away: the gateway works without';
      findings.push(
        warning('accounts', `ServiceAccount ${namespace}/${account} may ${words(verb, right, namespace)}`, next),
      );
    }
  }
  return findings.length > 0 ? findings : [good('accounts', 'they may do what they need')];
}

async function may(patient: Patient, account: string, right: Right, verb: string): Promise<boolean> {
  const { namespace } = patient;
  const { group, resource, subresource, name, own } = right;
  const { allowed } = await patient.subjectAccessReview({
    user: `system:serviceaccount:${namespace}:${account}`,
    groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'],
    resourceAttributes: {
      verb,
      group,
      resource,
      ...(subresource === undefined ? {} : { subresource }),
      ...(name === undefined ? {} : { name }),
      ...(own === undefined ? {} : { namespace }),
    },
  });
  return allowed;
}

function words(verb: string, { group, resource, subresource, name, own }: Right, namespace: string): string {
  const what = `${resource}${subresource === undefined ? '' : `/${subresource}`}${group === '' ? '' : `.${group}`}`;
  return `${verb} ${what}${name === undefined ? '' : ` "${name}"`}${own === undefined ? '' : ` in ${namespace}`}`;
}
