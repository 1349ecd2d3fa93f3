import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { parse } from 'yaml';
import type { AgentPolicySpec, Match, Rule, Subject } from '../../src/policy/agent-policy.ts';
import { compile } from '../../src/policy/policy-set.ts';
import { type Cluster, sharedCluster } from '../cluster/cluster.ts';
import { applyPolicyCRD, POLICIES } from './policy-crd.ts';

let cluster: Cluster;
before(async () => {
  cluster = await sharedCluster();
  await applyPolicyCRD(cluster);
});
after(async () => {
  await cluster?.stop();
});

const match: Match = { verbs: ['get'], apiGroups: [''], resources: ['pods'] };
const rule: Rule = { name: 'one', action: 'Allow', match };
const group: Subject = { kind: 'Group', name: 'ai-agents' };

const specOf = (more: Partial<AgentPolicySpec> = {}): AgentPolicySpec => ({
  subjects: [group],
  rules: [rule],
  ...more,
});
const withRule = (more: object): object => specOf({ rules: [{ ...rule, ...more } as Rule] });
const withMatch = (more: object): object => specOf({ rules: [{ ...rule, match: { ...match, ...more } }] });
const forSubject = (subject: object): object => specOf({ subjects: [subject as Subject] });
const approval = (more: object): object => withRule({ action: 'RequireApproval', approval: more });

async function create(spec: object): Promise<{ status: number; message: string; spec: AgentPolicySpec }> {
  const metadata = { generateName: 'crd-' };
  const object = { apiVersion: 'sallyport.dev/v1alpha1', kind: 'AgentPolicy', metadata, spec };
  const answer = await cluster.admin('POST', `${POLICIES}?dryRun=All&fieldValidation=Strict`, object);
  return { ...answer.json(), status: answer.status };
}

test('a policy is accepted, and its defaults are those that compile assumes', async () => {
  const answer = await create(approval({ requiredApprovals: 2 }));
  assert.equal(answer.status, 201, answer.message);
  assert.equal(answer.spec.enforcement, 'Enforce');
  assert.deepEqual(answer.spec.recording, { level: 'Metadata' });
  const bare = approval({ requiredApprovals: 2 }) as AgentPolicySpec;
  const compiled = (spec: AgentPolicySpec) =>
    compile([{ metadata: { name: 'p' }, spec }], { gatewayNamespace: 'g' }).policies[0];
  assert.deepEqual(compiled(bare)?.rules[0]?.approval, compiled(answer.spec)?.rules[0]?.approval);
  assert.deepEqual(compiled(bare)?.recording, compiled(answer.spec)?.recording);
});

const GOOD: Record<string, object> = {
  'every kind of subject': specOf({
    subjects: [
      group,
      { kind: 'User', name: 'a b' },
      { kind: 'Agent', name: 'cursor' },
      { kind: 'ServiceAccount', namespace: 'ci', name: 'x' },
    ],
  }),
  'a ServiceAccount as a user': forSubject({ kind: 'User', name: 'system:serviceaccount:ci:deployer' }),
  'the accounts of one namespace': forSubject({ kind: 'Group', name: 'system:serviceaccounts:ci' }),
  'all of match': withMatch({
    verbs: ['*'],
    apiGroups: ['', '*', 'apps', 'metrics.k8s.io'],
    resources: ['*', '*/*', '*/scale', 'pods/*', 'pods/log'],
    namespaces: ['*', 'shop-*', 'a*b', 'shop'],
    namespaceSelector: { matchLabels: { env: 'dev' }, matchExpressions: [{ key: 'a', operator: 'In', values: ['x'] }] },
    resourceNames: ['web-*'],
  }),
  ports: withMatch({ verbs: ['create'], resources: ['pods/portforward'], ports: [80, 65535] }),
  urls: specOf({ rules: [{ ...rule, match: { verbs: ['get'], nonResourceURLs: ['/healthz', '/metrics*', '*'] } }] }),
  conditions: withRule({ matchConditions: [{ name: 'a.b', expression: 'true' }] }),
  'a message': withRule({ action: 'Deny', message: 'no', messageExpression: "'no'" }),
};

for (const [name, spec] of Object.entries(GOOD)) {
  test(`accepted: ${name}`, async () => {
    const answer = await create(spec);
    assert.equal(answer.status, 201, answer.message);
  });
}

const BAD: Record<string, [object, RegExp]> = {
  'no subjects': [specOf({ subjects: [] }), /subjects/],
  'no rules': [specOf({ rules: [] }), /rules/],
  'a second rule of the same name': [specOf({ rules: [rule, rule] }), /Duplicate value/],
  'a second variable of the same name': [
    specOf({
      variables: [
        { name: 'v', expression: '1' },
        { name: 'v', expression: '2' },
      ],
    }),
    /Duplicate value/,
  ],
  'a variable that is no identifier': [
    specOf({ variables: [{ name: 'a-b', expression: '1' }] }),
    /variables\[0\]\.name/,
  ],
  'a ServiceAccount without namespace': [forSubject({ kind: 'ServiceAccount', name: 'x' }), /needs its namespace/],
  'a group with a namespace': [
    forSubject({ ...group, namespace: 'x' }),
    /others? (kinds )?have none|other kinds have none/,
  ],
  'an account of kube-system': [
    forSubject({ kind: 'ServiceAccount', namespace: 'kube-system', name: 'x' }),
    /cluster itself/,
  ],
  'an account of kube-system as a user': [
    forSubject({ kind: 'User', name: 'system:serviceaccount:kube-system:x' }),
    /cluster itself/,
  ],
  'the accounts of kube-system as a group': [
    forSubject({ kind: 'Group', name: 'system:serviceaccounts:kube-system' }),
    /means everyone/,
  ],
  ...Object.fromEntries(
    ['authenticated', 'unauthenticated', 'serviceaccounts', 'nodes', 'masters', 'serviceaccounts:'].map((name) => [
      `the group system:${name}`,
      [forSubject({ kind: 'Group', name: `system:${name}` }), /means everyone/] as [object, RegExp],
    ]),
  ),
  'the user system:kube-controller-manager': [
    forSubject({ kind: 'User', name: 'system:kube-controller-manager' }),
    /cluster itself/,
  ],
  'an unknown kind of subject': [forSubject({ kind: 'Role', name: 'x' }), /Unsupported value/],
  'a name with a control character': [forSubject({ kind: 'User', name: 'a\nb' }), /subjects\[0\]\.name/],
  'an unknown action': [withRule({ action: 'Permit' }), /Unsupported value/],
  'an unknown verb': [withMatch({ verbs: ['impersonate'] }), /Unsupported value/],
  'a verb of URLs for resources': [withMatch({ verbs: ['post'] }), /verbs of URLs/],
  'resources without groups': [
    specOf({ rules: [{ ...rule, match: { verbs: ['get'], resources: ['pods'] } }] }),
    /go together/,
  ],
  'resources and URLs': [withMatch({ nonResourceURLs: ['/x'] }), /either apiGroups and resources/],
  'neither resources nor URLs': [
    specOf({ rules: [{ ...rule, match: { verbs: ['get'] } }] }),
    /either apiGroups and resources/,
  ],
  'a URL with a namespace': [
    specOf({ rules: [{ ...rule, match: { verbs: ['get'], nonResourceURLs: ['/x'], namespaces: ['a'] } }] }),
    /a URL has no namespace/,
  ],
  'a star within a URL': [
    specOf({ rules: [{ ...rule, match: { verbs: ['get'], nonResourceURLs: ['/a*b'] } }] }),
    /nonResourceURLs/,
  ],
  'ports of something else': [withMatch({ ports: [80] }), /ports are for pods\/portforward/],
  'port 0': [withMatch({ resources: ['pods/portforward'], ports: [0] }), /greater than or equal to 1/],
  'a resource with two slashes': [withMatch({ resources: ['pods/exec/x'] }), /resources/],
  'a selector without values': [
    withMatch({ namespaceSelector: { matchExpressions: [{ key: 'a', operator: 'In' }] } }),
    /In and NotIn need values/,
  ],
  'approval on an Allow rule': [withRule({ approval: {} }), /RequireApproval only/],
  'a message on an Allow rule': [withRule({ message: 'x' }), /refuses nobody/],
  'a message of two lines': [withRule({ action: 'Deny', message: 'a\nb' }), /message/],
  'no approvals': [approval({ requiredApprovals: 0 }), /greater than or equal to 1/],
  'a year to answer': [approval({ requestTTL: '8760h' }), /at most 24h/],
  'a duration that is none': [approval({ grantTTL: '5 minutes' }), /grantTTL/],
  'a system group to lend': [approval({ impersonateGroups: ['system:masters'] }), /cannot be lent/],
  'two conditions of one name': [
    withRule({
      matchConditions: [
        { name: 'a', expression: 'true' },
        { name: 'a', expression: 'false' },
      ],
    }),
    /Duplicate value/,
  ],
  'an endless expression': [
    withRule({ matchConditions: [{ name: 'a', expression: 'x'.repeat(4097) }] }),
    /Too long|may not be more/,
  ],
  'too many rules': [specOf({ rules: Array.from({ length: 65 }, (_, i) => ({ ...rule, name: `r${i}` })) }), /Too many/],
  'a field that is not known': [withRule({ unless: 'x' }), /unknown field/],
};

for (const [name, [spec, message]] of Object.entries(BAD)) {
  test(`refused: ${name}`, async () => {
    const answer = await create(spec);
    assert.ok(answer.status === 422 || answer.status === 400, `${answer.status} ${answer.message}`);
    assert.match(answer.message, message);
  });
}

test('the status is a subresource, bounded, and printed', async () => {
  const metadata = { name: `printed-${process.pid}` };
  const object = { apiVersion: 'sallyport.dev/v1alpha1', kind: 'AgentPolicy', metadata, spec: specOf() };
  const made = (await cluster.admin('POST', POLICIES, object)).json();
  const lastTransitionTime = '2026-01-01T00:00:00Z';
  const status = {
    observedGeneration: 1,
    ruleCount: 1,
    conditions: [{ type: 'Ready', status: 'True', reason: 'Compiled', message: '', lastTransitionTime }],
    compileErrors: [{ rule: 'one', expression: 'match', line: 1, column: 2, message: 'x' }],
    replicas: [{ name: 'gateway-0', loadedGeneration: 1, loadedTime: lastTransitionTime }],
    counters: [{ rule: 'one', errors: 1, lastError: 'x', lastErrorTime: lastTransitionTime }],
  };
  const put = await cluster.admin('PUT', `${POLICIES}/${metadata.name}/status`, { ...made, status });
  assert.equal(put.status, 200, put.body);
  assert.deepEqual((put.json() as { status: unknown }).status, status);
  const printed = await cluster.kubectl(['get', 'apol', metadata.name, '--no-headers']);
  assert.match(printed.stdout, /Enforce +1 +True/);
  const errors = Array.from({ length: 33 }, () => status.compileErrors[0]);
  const much = await cluster.admin('PUT', `${POLICIES}/${metadata.name}/status`, {
    ...put.json(),
    status: { ...status, compileErrors: errors },
  });
  assert.equal(much.status, 422);
  await cluster.admin('DELETE', `${POLICIES}/${metadata.name}`);
});

const EXAMPLES = new URL('../../examples/policies/', import.meta.url);
for (const file of readdirSync(EXAMPLES)) {
  test(`the example ${file} is accepted and compiles`, async () => {
    const policy = parse(readFileSync(new URL(file, EXAMPLES), 'utf8'));
    const answer = await create(policy.spec);
    assert.equal(answer.status, 201, answer.message);
    assert.deepEqual(compile([policy], { gatewayNamespace: 'sallyport' }).errors, []);
  });
}
