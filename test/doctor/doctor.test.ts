import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { SecondLeg } from '../admission/second-leg.ts';
import { runCommand } from '../cluster/cluster.ts';
import { writeKubeconfig } from '../cluster/kubeconfig.ts';

const MAIN = new URL('../../src/cli/main.ts', import.meta.url).pathname;
const RULES = `
    - name: look
      action: Allow
      match: {verbs: [get, list, watch], apiGroups: [""], resources: [pods, namespaces]}`;

interface Finding {
  readonly about: string;
  readonly level: 'Good' | 'Warning' | 'Wrong';
  readonly message: string;
  readonly next?: string;
}

let leg: SecondLeg;

async function doctor(...more: string[]): Promise<{ code: number; findings: readonly Finding[]; stderr: string }> {
  const { cluster, gateway } = leg.scene;
  const args = ['doctor', '-o', 'json', '--kubeconfig', cluster.adminKubeconfig, '--namespace', gateway.namespace];
  const { code, stdout, stderr } = await runCommand(process.execPath, [MAIN, ...args, ...more], {
    env: process.env,
    timeout: 60_000,
  });
  return { code: code ?? -1, findings: stdout === '' ? [] : JSON.parse(stdout).findings, stderr };
}

const configured = () => ['--config', join(leg.scene.gateway.directory, 'gateway.yaml')];
const wrongs = (findings: readonly Finding[]) => findings.filter(({ level }) => level === 'Wrong');

before(async () => {
  leg = await SecondLeg.open('doctor', RULES);
  const { cluster, namespace } = leg.scene;
  // The stage gives the scene's group rights around the gate, which is the first thing that a doctor would see.
  await cluster.kubectl(['delete', 'rolebinding', 'direct', '-n', namespace]);
  await leg.ready(namespace, 'InForce');
});
after(() => leg.close());

describe('sallyport doctor', { timeout: 240_000 }, () => {
  it('finds nothing wrong with a sound installation', async () => {
    const { code, findings, stderr } = await doctor(...configured());
    assert.equal(stderr, '');
    assert.deepEqual(wrongs(findings), []);
    assert.equal(code, 0);
    for (const about of ['API server', 'kinds', 'guard', 'controller', 'policies', 'webhook', 'bypass', 'issuers']) {
      assert.ok(
        findings.some((one) => one.about === about && one.level === 'Good'),
        about,
      );
    }
    const groups = findings.find(({ message }) => /may impersonate groups "system:masters"/.test(message));
    assert.match(groups!.next!, /by value/, 'the example lists no groups');
    assert.ok(
      findings.some(({ about, level }) => about === 'recordings' && level === 'Warning'),
      'nothing is recorded',
    );
  });

  it('says in words for people what it says in JSON', async () => {
    const { cluster, gateway } = leg.scene;
    const args = [MAIN, 'doctor', '--kubeconfig', cluster.adminKubeconfig, '--namespace', gateway.namespace];
    const { stdout } = await runCommand(process.execPath, args, { env: process.env, timeout: 60_000 });
    assert.match(stdout, /^good {5}API server: https:/);
    assert.match(stdout, /\n0 wrong, \d+ to think about, \d+ good\n$/);
  });

  it('what a governed subject could do without the gate, and where its rights belong', async () => {
    const { cluster, group } = leg.scene;
    await cluster.apply(`
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reads, namespace: default}
rules: [{apiGroups: [""], resources: [secrets, pods/log], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reads, namespace: default}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reads}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: ${group}}]
`);
    const { code, findings } = await doctor();
    assert.equal(code, 1);
    const [bypass] = wrongs(findings);
    assert.equal(bypass!.message, `Group ${group} can, without the gate, in default: get secrets, read logs`);
    assert.equal(bypass!.next, `in RoleBindings of default, name "Group sallyport:${group}" in its place`);
    await cluster.kubectl(['delete', 'rolebinding,role', 'reads', '-n', 'default']);
  });

  it('a guard that does not bind, a missing kind, an account that may not do its work', async () => {
    const { cluster, gateway } = leg.scene;
    await cluster.kubectl(['delete', 'validatingadmissionpolicybinding', 'sallyport-recordings']);
    await cluster.kubectl(['delete', 'crd', 'sessionrecordings.sallyport.dev']);
    await cluster.kubectl(['delete', 'role', 'sallyport-gateway', '-n', gateway.namespace]);
    const { code, findings } = await doctor();
    assert.equal(code, 1);
    const words = wrongs(findings).map(({ message, next }) => `${message} → ${next}`);
    const said = (pattern: RegExp) =>
      assert.ok(
        words.some((line) => pattern.test(line)),
        `${pattern}: ${words.join('\n')}`,
      );
    said(/sallyport-recordings: its binding is not there; .* → kubectl apply -f crds\/guards.yaml/);
    said(/sessionrecordings.sallyport.dev is not there → kubectl apply -f crds\//);
    said(
      /sallyport-gateway may not list agentsessions.sallyport.dev in gate-.* → kubectl apply -f examples\/rbac\/gateway.yaml/,
    );
  });

  it('a controller that is gone, a webhook out of step, an issuer that does not answer', async () => {
    const { cluster, gateway, group } = leg.scene;
    await gateway.kill('SIGKILL');
    await gateway.issuer.close();
    await cluster.kubectl([
      'patch',
      'lease',
      'sallyport-controller',
      '-n',
      gateway.namespace,
      '--type=merge',
      '-p',
      '{"spec":{"renewTime":"2020-01-01T00:00:00.000000Z"}}',
    ]);
    await cluster.apply(`
apiVersion: sallyport.dev/v1alpha1
kind: AgentPolicy
metadata: {name: later}
spec:
  subjects: [{kind: Group, name: late-${group}}]
  rules: [{name: r, action: Allow, match: {verbs: [get], apiGroups: [""], resources: [pods]}}]
`);
    const { findings } = await doctor(...configured());
    const words = wrongs(findings).map(({ about, message }) => `${about}: ${message}`);
    const said = (pattern: RegExp) =>
      assert.ok(
        words.some((line) => pattern.test(line)),
        `${pattern}: ${words.join('\n')}`,
      );
    said(/controller: .* has not been heard of for \d+ s/);
    said(/webhook: sallyport-policy is not in step/);
    said(/policies: later: no replica has said anything of it/);
    said(/issuers: http:.* cannot be asked: ECONNREFUSED/);
  });

  it('whoever may not look is told so, and what to use', async () => {
    const { cluster, gateway } = leg.scene;
    const token = await cluster.serviceAccountToken(gateway.namespace, 'default');
    const kubeconfig = await cluster.kubeconfig({ token });
    const args = [MAIN, 'doctor', '-o', 'json', '--kubeconfig', kubeconfig, '--namespace', gateway.namespace];
    const { code, stdout } = await runCommand(process.execPath, args, { env: process.env, timeout: 60_000 });
    assert.equal(code, 1);
    const { findings } = JSON.parse(stdout) as { findings: Finding[] };
    const refused = wrongs(findings).filter(({ message }) => message.includes('could not be looked at'));
    assert.ok(refused.length >= 5);
    assert.match(refused[0]!.next!, /administrator’s kubeconfig/);
  });
});

describe('what an agent holds', { timeout: 60_000 }, () => {
  it('is worth nothing at the API server: a direct read of Secrets is a 401', async () => {
    const { cluster, gateway, token } = leg.scene;
    const path = join(gateway.directory, 'direct.kubeconfig');
    // The very token of the agent's kubeconfig, sent to the API server in place of the gate.
    const direct = await writeKubeconfig(path, { url: cluster.url, caPem: cluster.caPem, token, namespace: 'default' });
    const { code, stderr } = await cluster.kubectl(['get', 'secret', '-A'], { kubeconfig: direct });
    assert.notEqual(code, 0);
    assert.match(stderr, /Unauthorized|must be logged in/);
  });
});
