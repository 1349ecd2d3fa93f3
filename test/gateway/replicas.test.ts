import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { GatewayProcess } from './gateway-process.ts';
import { Scene } from './scene.ts';

const WITHIN = 1_000;
const MERGE = 'application/merge-patch+json';
const POLICIES = '/apis/sallyport.dev/v1alpha1/agentpolicies';
const RULES = '/apis/sallyport.dev/v1alpha1/maskingrules';

/** No replica tells another: each has its own watch, and all act on what is written within a second. */
describe('two replicas agree on what is written', { timeout: 120_000 }, () => {
  let scene: Scene;
  let second: GatewayProcess;
  let path: string;
  let policy: string;

  before(async () => {
    scene = await Scene.open('replicas-agree');
    second = await GatewayProcess.start(scene.cluster, { replicaOf: scene.gateway });
    path = `/api/v1/namespaces/${scene.namespace}/configmaps/settings`;
    policy = `${POLICIES}/${scene.namespace}`;
    await scene.cluster.apply(
      `{apiVersion: v1, kind: ConfigMap, metadata: {name: settings, namespace: ${scene.namespace}}, data: {note: badge-7391}}`,
    );
    await until('both begin alike', async ({ status }) => status === 200);
  });
  after(async () => {
    await second?.stop();
    await scene?.close();
  });

  type Seen = Awaited<ReturnType<Scene['ask']>>;

  /** Milliseconds until both replicas answer so; then they go on doing so. */
  async function until(what: string, fits: (answer: Seen) => Promise<boolean>): Promise<number> {
    const began = performance.now();
    const lasts = await Promise.all(
      [scene.gateway, second].map(async (gateway) => {
        for (;;) {
          const answer = await scene.ask(path, { gateway });
          if (await fits(answer)) return performance.now() - began;
          assert.ok(performance.now() - began < 20_000, `${what}: ${answer.status} ${answer.body}`);
          await sleep(5);
        }
      }),
    );
    for (const gateway of [scene.gateway, second]) assert.ok(await fits(await scene.ask(path, { gateway })), what);
    return Math.max(...lasts);
  }

  const rules = (action: string) => [
    { name: 'all', action: 'Allow', match: { verbs: ['*'], apiGroups: ['*'], resources: ['*'] } },
    { name: 'settings', action, match: { verbs: ['get'], apiGroups: [''], resources: ['configmaps'] } },
  ];

  it('a policy that denies, and that allows again, ten times', async () => {
    const times: number[] = [];
    for (let round = 0; round < 10; round += 1) {
      const [action, status] = round % 2 === 0 ? ['Deny', 403] : ['Allow', 200];
      const changed = await scene.cluster.admin('PATCH', policy, { spec: { rules: rules(action!) } }, MERGE);
      assert.equal(changed.status, 200, changed.body);
      times.push(await until(`round ${round}`, async (answer) => answer.status === status));
    }
    assert.ok(Math.max(...times) < WITHIN, `milliseconds until both acted: ${times.map(Math.round).join(', ')}`);
  });

  it('a policy that is deleted, and made anew', async () => {
    const { spec } = (await scene.cluster.admin('GET', policy)).json();
    assert.equal((await scene.cluster.admin('DELETE', policy)).status, 200);
    const gone = await until('nobody speaks of the caller', async ({ status }) => status === 403);
    const object = {
      apiVersion: 'sallyport.dev/v1alpha1',
      kind: 'AgentPolicy',
      metadata: { name: scene.namespace },
      spec,
    };
    assert.equal((await scene.cluster.admin('POST', POLICIES, object)).status, 201);
    const back = await until('it speaks of it again', async ({ status }) => status === 200);
    assert.ok(Math.max(gone, back) < WITHIN, `${gone}, ${back}`);
  });

  it('a masking rule', async () => {
    const rule = {
      apiVersion: 'sallyport.dev/v1alpha1',
      kind: 'MaskingRule',
      metadata: { name: scene.namespace },
      spec: {
        subjects: [{ kind: 'Group', name: scene.group }],
        match: { apiGroups: [''], resources: ['configmaps'] },
        patterns: [{ name: 'badges', regex: 'badge-[0-9]{4}' }],
      },
    };
    const made = await scene.cluster.admin('POST', RULES, rule);
    assert.equal(made.status, 201, made.body);
    const masked = await until('masked', async ({ body }) => !body.includes('badge-7391'));
    assert.equal((await scene.cluster.admin('DELETE', `${RULES}/${scene.namespace}`)).status, 200);
    const shown = await until('shown', async ({ body }) => body.includes('badge-7391'));
    assert.ok(Math.max(masked, shown) < WITHIN, `${masked}, ${shown}`);
  });
});
