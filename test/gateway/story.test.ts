import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Cluster, sharedCluster } from '../cluster/cluster.ts';
import { GatewayProcess } from './gateway-process.ts';

let cluster: Cluster;
let gateway: GatewayProcess;
let shop: string;
let agent: string;

before(async () => {
  cluster = await sharedCluster();
  gateway = await GatewayProcess.start(cluster);
  shop = await cluster.namespace('shop');
  await cluster.apply(`
apiVersion: sallyport.dev/v1alpha1
kind: AgentPolicy
metadata: {name: ${shop}}
spec:
  subjects: [{kind: Group, name: ai-agents}]
  rules:
    - name: look-around
      action: Allow
      match: {verbs: [get, list, watch], apiGroups: ["", apps], resources: ["*", pods/log], namespaces: [${shop}]}
    - name: write
      action: Allow
      match: {verbs: [create, update, patch, delete], apiGroups: ["", apps], resources: ["*"], namespaces: [${shop}]}
    - name: only-our-images
      action: Deny
      match: {verbs: [create, update, patch], apiGroups: ["", apps], resources: ["*"]}
      matchConditions: [{name: foreign-image, expression: "images(object).exists(i, !i.startsWith('registry.shop.example/'))"}]
      messageExpression: "'not from registry.shop.example: ' + images(object).filter(i, !i.startsWith('registry.shop.example/')).join(', ')"
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: agents, namespace: ${shop}}
rules: [{apiGroups: ["", apps], resources: ["*"], verbs: ["*"]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: agents, namespace: ${shop}}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: agents}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "sallyport:ai-agents"}]
`);
  agent = await gateway.kubeconfig(await gateway.token({ sub: 'ci', groups: ['ai-agents'] }), shop);
});

after(async () => {
  await gateway?.stop();
  await cluster?.stop();
});

test('an allowed read passes under the caller’s own prefixed name', async () => {
  const made = await cluster.kubectl(['create', 'configmap', 'settings', '-n', shop, '--from-literal=a=b']);
  assert.equal(made.code, 0, made.stderr);
  const read = await cluster.kubectl(['get', 'configmap', 'settings', '-o', 'jsonpath={.data.a}'], {
    kubeconfig: agent,
  });
  assert.equal(read.code, 0, read.stderr);
  assert.equal(read.stdout, 'b');
  const [event] = cluster.auditEvents(
    ({ objectRef, impersonatedUser }) =>
      objectRef?.namespace === shop && objectRef.name === 'settings' && impersonatedUser !== undefined,
  );
  assert.equal(event?.impersonatedUser?.username, 'sallyport:ci');
  assert.ok(event?.impersonatedUser?.groups?.includes('sallyport:ai-agents'));
});

test('a foreign image is denied, with the policy’s own words', async () => {
  const denied = await cluster.kubectl(['run', 'miner', '--image=evil.example/miner'], { kubeconfig: agent });
  assert.equal(denied.code, 1);
  assert.match(denied.stderr, /SP_POLICY_DENIED/);
  assert.match(denied.stderr, /not from registry\.shop\.example: evil\.example\/miner/);
  assert.match(denied.stderr, /request [0-9a-f-]{36}/);
});

test('what no rule allows is denied, and nothing of it reaches the API server', async () => {
  const denied = await cluster.kubectl(['get', 'secrets', '-n', 'kube-system'], { kubeconfig: agent });
  assert.equal(denied.code, 1);
  assert.match(denied.stderr, /SP_POLICY_DENIED/);
  assert.equal(
    cluster.auditEvents(
      (one) => one.impersonatedUser?.username === 'sallyport:ci' && one.objectRef?.resource === 'secrets',
    ).length,
    0,
  );
});
