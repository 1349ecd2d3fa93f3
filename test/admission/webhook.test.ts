import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { CommandResult } from '../cluster/command.ts';
import type { Scene } from '../gateway/scene.ts';
import { SecondLeg } from './second-leg.ts';

const RULES = `
    - name: write
      action: Allow
      match: {verbs: [get, create, update, patch, delete, deletecollection, list], apiGroups: [""], resources: [configmaps, namespaces]}
    - name: no-evil
      action: Deny
      match: {verbs: [create, update, patch], apiGroups: [""], resources: [configmaps]}
      matchConditions: [{name: evil, expression: "has(object.data) && 'evil' in object.data"}]
      messageExpression: "'no evil in ' + object.metadata.name"
    - name: only-ls
      action: Allow
      match: {verbs: [create], apiGroups: [""], resources: [pods/exec]}
      matchConditions: [{name: ls, expression: "request.exec.command == ['ls']"}]
    - name: ask
      action: RequireApproval
      match: {verbs: [create], apiGroups: [""], resources: [services]}`;

const NAME = 'sallyport-policy';
let leg: SecondLeg;
let scene: Scene;
let direct: SecondLeg['direct'];

const refused = (result: CommandResult, words: RegExp): void => {
  assert.notEqual(result.code, 0, result.stdout);
  assert.match(result.stderr, words);
};

before(async () => {
  leg = await SecondLeg.open('second-leg', RULES);
  ({ scene, direct } = leg);
});

after(() => leg.close());

describe('an agent that goes straight to the API server', () => {
  it('may do what the policy allows', async () => {
    const { code, stderr } = await direct(['create', 'configmap', 'good', '--from-literal=a=1']);
    assert.equal(code, 0, stderr);
  });
  it('meets the same Deny rule with the same words', async () => {
    const around = await direct(['create', 'configmap', 'bad', '--from-literal=evil=1']);
    refused(around, new RegExp(`SP_POLICY_DENIED: ${scene.namespace}/no-evil: no evil in bad`));
    const kubeconfig = await scene.kubeconfig();
    const through = await scene.cluster.kubectl(['create', 'configmap', 'bad', '--from-literal=evil=1'], {
      kubeconfig,
    });
    refused(through, new RegExp(`SP_POLICY_DENIED: ${scene.namespace}/no-evil: no evil in bad`));
  });
  it('is judged by what a patch makes of the object', async () => {
    refused(
      await direct(['patch', 'configmap', 'good', '--type=merge', '-p', '{"data":{"evil":"1"}}']),
      /no evil in good/,
    );
  });
  it('opens no shell but the one that is allowed, whatever pods there are', async () => {
    // kubectl would look for the Pod first.
    const exec = (command: string) =>
      direct(['create', '--raw', `/api/v1/namespaces/${scene.namespace}/pods/web/exec?command=${command}`, '-f', '-'], {
        input: '',
      });
    refused(await exec('sh'), /SP_POLICY_DENIED/);
    // Past the webhook, and only then: there is no such Pod.
    const { stderr } = await exec('ls');
    assert.match(stderr, /not found|[Uu]pgrade/);
    assert.doesNotMatch(stderr, /SP_/);
  });
  it('deletes only where it may, one by one and all together', async () => {
    await scene.cluster.apply(`{apiVersion: v1, kind: Secret, metadata: {name: kept, namespace: ${scene.namespace}}}`);
    refused(await direct(['delete', 'secret', 'kept']), /SP_POLICY_DENIED/);
    refused(await direct(['delete', 'secrets', '--all']), /SP_POLICY_DENIED/);
    const { code, stderr } = await direct(['delete', 'configmap', 'good']);
    assert.equal(code, 0, stderr);
  });
  it('is told of a dry run that it would be asked about', async () => {
    const dry = await direct(['create', 'service', 'clusterip', 'web', '--tcp=80', '--dry-run=server']);
    refused(dry, /SP_APPROVAL_REQUIRED.*a dry run asks nobody/);
  });
  it('cannot take a name that only the gateway gives, not even with the right to impersonate', async () => {
    const name = { user: `sallyport:${scene.user}`, group: `sallyport:${scene.group}` };
    refused(await direct(['create', 'configmap', 'forged', '--from-literal=a=1'], name), /SP_NOT_THROUGH_GATE/);
  });
});

describe('what comes through the gate', () => {
  it('passes both legs', async () => {
    const kubeconfig = await scene.kubeconfig();
    const made = await scene.cluster.kubectl(['create', 'configmap', 'through', '--from-literal=a=1'], { kubeconfig });
    assert.equal(made.code, 0, made.stderr);
    const seen = await scene.gateway.logged(
      ({ message, way, operation }) =>
        message === 'admitted' && way === 'Gate' && (operation as { name?: string }).name === 'through',
    );
    assert.equal((seen['caller'] as { username: string }).username, scene.user);
    const all = await scene.cluster.kubectl(['delete', 'configmaps', 'through'], { kubeconfig });
    assert.equal(all.code, 0, all.stderr);
  });
  it('is judged in its final form, after what other webhooks and policies made of it', async () => {
    const mutation = `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: mutation}
spec:
  failurePolicy: Fail
  reinvocationPolicy: Never
  matchConstraints:
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ${scene.namespace}}}
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]
  matchConditions: [{name: one, expression: "object.metadata.name == 'mutated'"}]
  mutations:
    - patchType: JSONPatch
      jsonPatch: {expression: "[JSONPatch{op: 'add', path: '/data/evil', value: '1'}]"}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: mutation}
spec: {policyName: mutation}
`;
    const applied = await scene.cluster.kubectl(['apply', '-f', '-'], { input: mutation });
    assert.equal(applied.code, 0, applied.stderr);
    try {
      const kubeconfig = await scene.kubeconfig();
      let last: CommandResult | undefined;
      for (let attempt = 0; attempt < 50 && last?.code !== 1; attempt++) {
        await scene.cluster.kubectl(['delete', 'configmap', 'mutated', '-n', scene.namespace, '--ignore-not-found']);
        last = await scene.cluster.kubectl(['create', 'configmap', 'mutated', '--from-literal=a=1'], { kubeconfig });
      }
      refused(last!, /SP_POLICY_DENIED.*no evil in mutated/);
    } finally {
      for (const kind of ['mutatingadmissionpolicybinding', 'mutatingadmissionpolicy']) {
        await scene.cluster.kubectl(['delete', kind, 'mutation', '--ignore-not-found']);
      }
    }
  });
});

describe('the webhook configuration', () => {
  const read = async () =>
    JSON.parse((await scene.cluster.kubectl(['get', 'validatingwebhookconfiguration', NAME, '-o', 'json'])).stdout);

  it('names nobody but the governed, follows the policies, and goes with its owner', async () => {
    const { webhooks, metadata } = await read();
    assert.equal(metadata.ownerReferences[0].name, 'sallyport-admission');
    assert.equal(webhooks[0].failurePolicy, 'Fail');
    assert.ok(webhooks[0].matchConditions[0].expression.includes(`["${scene.group}"]`));
    await scene.cluster.apply(`
apiVersion: sallyport.dev/v1alpha1
kind: AgentPolicy
metadata: {name: another}
spec:
  subjects: [{kind: ServiceAccount, namespace: ci, name: deployer}, {kind: Group, name: 'quote"d'}]
  rules: [{name: r, action: Allow, match: {verbs: [get], apiGroups: [""], resources: [pods]}}]
`);
    const end = Date.now() + 10_000;
    let expression = '';
    while (!expression.includes('system:serviceaccount:ci:deployer')) {
      assert.ok(Date.now() < end, expression);
      expression = (await read()).webhooks[0].matchConditions[0].expression;
    }
    assert.ok(expression.includes('quote\\"d'));
    const robot = { user: 'system:serviceaccount:ci:deployer', group: scene.group };
    const later = await direct(['create', 'configmap', 'robot', '--from-literal=a=1'], robot);
    // A governed group and account: the policies of both are asked.
    assert.equal(later.code, 0, later.stderr);
  });
});

describe('others', () => {
  it('are never asked about', async () => {
    const before = (await scene.gateway.probe('/metrics')).body;
    const count = (text: string): number =>
      [...text.matchAll(/^sallyport_admission_reviews_total\{.*\} (\d+)$/gm)].reduce(
        (sum, [, n]) => sum + Number(n),
        0,
      );
    await scene.cluster.apply(
      `{apiVersion: v1, kind: ConfigMap, metadata: {name: person, namespace: ${scene.namespace}}}`,
    );
    assert.equal(count((await scene.gateway.probe('/metrics')).body), count(before));
  });
  it('go on when every replica is dead, and a governed agent does not', async () => {
    await scene.gateway.kill('SIGKILL');
    const person = `{apiVersion: v1, kind: ConfigMap, metadata: {name: later, namespace: ${scene.namespace}}}`;
    await scene.cluster.apply(person);
    refused(await direct(['create', 'configmap', 'agent', '--from-literal=a=1']), /failed calling webhook/);
  });
});
