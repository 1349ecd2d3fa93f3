import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { CommandResult } from '../cluster/command.ts';
import type { Scene } from '../gateway/scene.ts';
import { whileMutated } from './mutation.ts';
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
    await whileMutated(
      scene,
      { name: 'mutation', entry: 'evil', of: "object.metadata.name == 'mutated'" },
      async () => {
        const kubeconfig = await scene.kubeconfig();
        let last: CommandResult | undefined;
        for (let attempt = 0; attempt < 50 && last?.code !== 1; attempt++) {
          await scene.cluster.kubectl(['delete', 'configmap', 'mutated', '-n', scene.namespace, '--ignore-not-found']);
          last = await scene.cluster.kubectl(['create', 'configmap', 'mutated', '--from-literal=a=1'], { kubeconfig });
        }
        refused(last!, /SP_POLICY_DENIED.*no evil in mutated/);
      },
    );
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

describe('what a policy says of itself', () => {
  const policy = (name: string, subjects: string, rules: string, enforcement = 'Enforce') =>
    `{apiVersion: sallyport.dev/v1alpha1, kind: AgentPolicy, metadata: {name: ${name}},
      spec: {enforcement: ${enforcement}, subjects: [${subjects}], rules: [${rules}]}}`;
  const look =
    '{name: r, action: Allow, match: {verbs: [get], apiGroups: [""], resources: [pods], namespaces: [shop]}}';

  it('it is in force only once the API server has been seen to call', async () => {
    assert.equal(leg.early?.status, 'False');
    const ready = await leg.ready(scene.namespace, 'InForce');
    assert.equal(ready.status, 'True');
    const called = (await leg.conditions(scene.namespace)).find(({ type }) => type === 'AdmissionReady');
    assert.deepEqual([called?.status, called?.reason], ['True', 'Called']);
    // A new subject is not covered before its name is in the API server's hands.
    await scene.cluster.apply(policy('fresh', '{kind: User, name: fresh-user}', look));
    await leg.ready('fresh', 'InForce');
    const { code, stderr } = await direct(['create', 'configmap', 'x'], {
      user: 'fresh-user',
      group: 'system:masters',
    });
    assert.notEqual(code, 0);
    assert.match(stderr, /SP_POLICY_DENIED/);
  });

  it('an Agent exists at the gateway only, and it says so', async () => {
    await scene.cluster.apply(policy('agents', '{kind: Agent, name: cursor}, {kind: Group, name: half}', look));
    const coverage = await leg.ready('agents', 'Partial', 'AdmissionCoverage');
    assert.equal(coverage.status, 'False');
    assert.match(coverage.message, /Agent cursor/);
  });

  it('what its subjects could do around the gate stands there', async () => {
    await scene.cluster.apply(`
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reads-secrets}
rules: [{apiGroups: [""], resources: [secrets], verbs: [get, list]}]
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reads-secrets, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reads-secrets}
subjects: [{kind: ServiceAccount, name: deployer, namespace: shop}]
`);
    await scene.cluster.apply(policy('bypass', '{kind: ServiceAccount, name: deployer, namespace: shop}', look));
    const bypass = await leg.ready('bypass', 'RBAC', 'BypassPossible');
    assert.equal(bypass.status, 'True');
    assert.match(bypass.message, /ServiceAccount shop\/deployer can get secrets in shop; .*can list secrets in shop/);
    assert.equal((await leg.ready('fresh', 'NoneFound', 'BypassPossible')).status, 'False');
  });

  it('one that does not compile is refused when it is written, with the place of each mistake', async () => {
    const broken =
      '{name: odd, action: Deny, match: {verbs: [get], apiGroups: [""], resources: [pods]}, matchConditions: [{name: c, expression: "objct.x == 1"}]}';
    const input = policy('broken', '{kind: Group, name: some}', broken);
    const tried = await scene.cluster.kubectl(['apply', '-f', '-'], { input });
    refused(tried, /it does not compile: odd, matchConditions\[c\], line 1:1: .*objct/);
    const everyone = policy('everyone', '{kind: Group, name: "system:authenticated"}', look);
    refused(await scene.cluster.kubectl(['apply', '-f', '-'], { input: everyone }), /means everyone/);
    const rule =
      '{apiVersion: sallyport.dev/v1alpha1, kind: MaskingRule, metadata: {name: odd}, spec: {subjects: [{kind: Group, name: some}], match: {apiGroups: [""], resources: [pods]}, patterns: [{name: p, regex: "a("}]}}';
    refused(await scene.cluster.kubectl(['apply', '-f', '-'], { input: rule }), /it does not compile: .*p/);
  });

  it('Warn and Audit stop nothing: a warning for who asked, annotations for the audit log', async () => {
    const deny = '{name: would, action: Deny, match: {verbs: [create], apiGroups: [""], resources: [configmaps]}}';
    for (const [name, enforcement] of [
      ['warns', 'Warn'],
      ['audits', 'Audit'],
    ] as const) {
      await scene.cluster.apply(policy(name, `{kind: Group, name: ${scene.group}}`, deny, enforcement));
    }
    try {
      await leg.ready('audits', 'InForce');
      const { code, stderr } = await direct(['create', 'configmap', 'warned', '--from-literal=a=1']);
      assert.equal(code, 0, stderr);
      assert.match(stderr, /Warning: Sallyport: would be denied by warns\/would/);
      const events = scene.cluster.auditEvents(
        ({ verb, objectRef }) => verb === 'create' && objectRef?.name === 'warned',
      );
      const annotations = events.at(-1)?.annotations ?? {};
      assert.equal(annotations['policy.sallyport.dev/decision'], `Allow ${scene.namespace}/write`);
      assert.match(annotations['policy.sallyport.dev/would-be'] ?? '', /Audit Deny audits\/would/);
    } finally {
      await scene.cluster.kubectl(['delete', 'agentpolicy', 'warns', 'audits']);
    }
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
    // Policies can be mended meanwhile; one that does not compile allows nothing.
    await scene.cluster.apply(`
apiVersion: sallyport.dev/v1alpha1
kind: AgentPolicy
metadata: {name: later}
spec:
  subjects: [{kind: Group, name: some}]
  rules: [{name: odd, action: Deny, match: {verbs: [get], apiGroups: [""], resources: [pods]}, matchConditions: [{name: c, expression: "objct.x"}]}]
`);
  });
});
