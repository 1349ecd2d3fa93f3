import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { stringify } from 'yaml';
import { People } from '../approval/people.ts';
import { render } from '../chart/chart.ts';
import { type Cluster, type CommandResult, startCluster } from '../cluster/cluster.ts';
import { DEFAULT_VERSION, resolveVersion, SUPPORTED_MINORS } from '../cluster/versions.ts';
import type { Scene } from '../gateway/scene.ts';
import { storedRecordings, verifyStored } from '../recording/recorded.ts';
import { SecondLeg } from './second-leg.ts';

const RULES = `
    - name: look
      action: Allow
      match: {verbs: [get, list], apiGroups: [""], resources: [configmaps, secrets, services, namespaces]}
    - name: write
      action: Allow
      match: {verbs: [create, update, patch, delete], apiGroups: [""], resources: [configmaps]}
    - name: no-evil
      action: Deny
      match: {verbs: [create, update, patch], apiGroups: [""], resources: [configmaps]}
      matchConditions: [{name: evil, expression: "has(object.data) && 'evil' in object.data"}]
      messageExpression: "'no evil in ' + object.metadata.name"
    - name: ask
      action: RequireApproval
      match: {verbs: [create], apiGroups: [""], resources: [services]}
      approval: {waitTimeout: 60s}`;

const refused = (result: CommandResult, words: RegExp): void => {
  assert.notEqual(result.code, 0, result.stdout);
  assert.match(result.stderr, words);
};

/** The core on a real API server of every minor version that docs/operations.md names. */
for (const minor of SUPPORTED_MINORS) {
  describe(`on Kubernetes ${minor}`, { timeout: 300_000 }, () => {
    let leg: SecondLeg | undefined;
    let scene: Scene;
    let kubeconfig: string;
    let missing: string | undefined;

    before(async () => {
      let cluster: Cluster;
      try {
        cluster = await startCluster({ version: minor, kubectl: DEFAULT_VERSION });
      } catch (error) {
        const { message } = error as Error;
        if (!message.includes('is not to be had here')) throw error;
        missing = `no API server of ${resolveVersion(minor)}: ${message.split('\n', 2).join(' ')}`;
        return;
      }
      leg = await SecondLeg.open('version', RULES, {}, { cluster, recording: true });
      scene = leg.scene;
      kubeconfig = await scene.kubeconfig();
    });
    after(() => leg?.close());

    const on = (what: string, tried: (second: SecondLeg) => Promise<void>): void => {
      it(what, async (t) => {
        if (leg === undefined) return t.skip(missing);
        await tried(leg);
      });
    };

    on('it is that version, and the kinds with their guard hold', async ({ direct, scene }) => {
      const version = (await scene.cluster.admin('GET', '/version')).json() as { gitVersion: string };
      assert.match(version.gitVersion, new RegExp(`^v${minor.replace('.', '\\.')}\\.`));
      const forged = {
        apiVersion: 'sallyport.dev/v1alpha1',
        kind: 'AgentSession',
        metadata: { name: 'forged', namespace: scene.gateway.namespace },
        spec: {},
      };
      const options = { input: stringify(forged) };
      const admin = ['--as=root@shop.example', '--as-group=agents-of-nobody'];
      await scene.cluster.apply(`
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: forger}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: agents-of-nobody}]
`);
      refused(
        await scene.cluster.kubectl(['create', '--validate=false', '-f', '-', ...admin], options),
        /only the gateway|invalid/,
      );
      const rules = { input: stringify({ ...forged, kind: 'AgentPolicy', metadata: { name: 'bad' } }) };
      refused(await scene.cluster.kubectl(['create', '-f', '-'], rules), /spec\.(subjects|rules)/);
      assert.ok(await direct(['version']));
    });

    on(
      'what is allowed is forwarded under the caller’s own name, in a role of impersonation by groups',
      async ({ scene }) => {
        const made = await scene.cluster.kubectl(['create', 'configmap', 'through', '--from-literal=a=1'], {
          kubeconfig,
        });
        assert.equal(made.code, 0, made.stderr);
        const events = scene.heard(({ verb, objectRef }) => verb === 'create' && objectRef?.name === 'through');
        assert.equal(events.at(-1)?.impersonatedUser?.username, `sallyport:${scene.user}`);
      },
    );

    if (!minor.endsWith('.35')) {
      on(
        'the same with the verbs of constrained impersonation alone, and then no ServiceAccount’s name',
        async ({ scene }) => {
          const flags = ['--kube-version', resolveVersion(minor), '--show-only', 'templates/gateway-role.yaml'];
          const values = { impersonation: { groups: [scene.group] } };
          const rendered = await render(values, ...flags);
          const role = rendered.find(
            ({ kind, metadata }) => kind === 'ClusterRole' && metadata.name === 'sallyport-gateway',
          );
          const verbs = (role!['rules'] as { verbs: string[] }[]).flatMap((rule) => rule.verbs);
          assert.ok(verbs.includes('impersonate:user-info') && !verbs.includes('impersonate'), verbs.join());
          await scene.cluster.apply(stringify(role));
          const own = await scene.cluster.kubeconfig({
            token: await scene.cluster.serviceAccountToken(scene.gateway.namespace, 'sallyport-gateway'),
          });
          const taken = await scene.cluster.kubectl(
            ['get', 'secrets', '-n', 'kube-system', '--as=system:serviceaccount:kube-system:default'],
            { kubeconfig: own },
          );
          refused(taken, /cannot impersonate|forbidden/);
          for (const name of ['constrained', 'again']) {
            const made = await scene.cluster.kubectl(['create', 'configmap', name, '--from-literal=a=1'], {
              kubeconfig,
            });
            assert.equal(made.code, 0, made.stderr);
          }
          refused(
            await scene.cluster.kubectl(['get', 'configmaps', '-n', scene.namespace, '--as=x', '--as-group=somebody'], {
              kubeconfig: own,
            }),
            /cannot impersonate/,
          );
        },
      );
    }

    on('a rule with a condition refuses at the gateway and, around it, in admission', async ({ direct, scene }) => {
      const words = new RegExp(`SP_POLICY_DENIED: ${scene.namespace}/no-evil: no evil in bad`);
      refused(
        await scene.cluster.kubectl(['create', 'configmap', 'bad', '--from-literal=evil=1'], { kubeconfig }),
        words,
      );
      refused(await direct(['create', 'configmap', 'bad', '--from-literal=evil=1']), words);
      const good = await direct(['create', 'configmap', 'good', '--from-literal=a=1']);
      assert.equal(good.code, 0, good.stderr);
      // The match condition leaves everybody else alone.
      const other = await scene.cluster.kubectl([
        'create',
        'configmap',
        'evil',
        '-n',
        scene.namespace,
        '--from-literal=evil=1',
      ]);
      assert.equal(other.code, 0, other.stderr);
    });

    on('a request that needs a person is held, approved, and passes both legs', async ({ scene }) => {
      const people = new People(scene.cluster);
      const held = scene.cluster.kubectl(['create', 'service', 'clusterip', 'web', '--tcp=80'], { kubeconfig });
      const { metadata } = await people.waiting(scene.namespace);
      await people.approve(scene.namespace, metadata.name);
      const made = await held;
      assert.equal(made.code, 0, made.stderr);
      const [use] = (await people.get(scene.namespace, metadata.name)).status!.uses!;
      assert.ok(use);
    });

    on('a Secret is read masked', async ({ scene }) => {
      await scene.cluster.apply(
        `{apiVersion: v1, kind: Secret, metadata: {name: db, namespace: ${scene.namespace}}, stringData: {password: correct-horse-battery}}`,
      );
      const { code, stdout, stderr } = await scene.cluster.kubectl(
        ['get', 'secret', 'db', '-o', 'jsonpath={.data.password}'],
        { kubeconfig },
      );
      assert.equal(code, 0, stderr);
      assert.match(Buffer.from(stdout, 'base64').toString(), /^sallyport\.masked\.[a-z2-7]{26}$/);
    });

    on('what was done is one sealed recording, which verifies', async ({ scene }) => {
      await scene.gateway.kill('SIGTERM');
      const names = storedRecordings(scene.gateway);
      assert.ok(names.length > 0);
      for (const name of names) {
        const report = await verifyStored(scene.gateway, name);
        assert.deepEqual([report.state, report.sound], ['Complete', true]);
      }
    });
  });
}
