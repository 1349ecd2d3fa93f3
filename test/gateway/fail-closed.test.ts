import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { sharedCluster } from '../cluster/cluster.ts';
import { TcpProxy } from '../kubernetes/tcp-proxy.ts';
import { POLICY_ALL, Scene } from './scene.ts';

/** Promise 1: what is not known to be allowed does not pass. */
describe('failing closed', { timeout: 120_000 }, () => {
  let scene: Scene;
  let proxy: TcpProxy;
  let base: string;

  before(async () => {
    const cluster = await sharedCluster();
    proxy = await TcpProxy.start(cluster.url);
    scene = await Scene.open('closed', {
      cluster,
      adjust: (configuration) => {
        const { upstream, policy = {} } = configuration;
        const file = upstream.kubeconfig as string;
        writeFileSync(file, readFileSync(file, 'utf8').replaceAll(cluster.url, proxy.url));
        upstream.requestTimeout = '2s';
        configuration.policy = { ...policy, staleAfter: '10s' };
      },
    });
    base = `/api/v1/namespaces/${scene.namespace}/configmaps`;
  });
  after(async () => {
    await scene?.close();
    await proxy?.close();
  });

  async function until(what: string, holds: () => Promise<boolean>, within: number): Promise<number> {
    const began = Date.now();
    while (!(await holds())) {
      if (Date.now() - began > within) assert.fail(`${what}: not within ${within} ms`);
      await sleep(20);
    }
    return Date.now() - began;
  }

  it('a change of policy acts within a second, both ways', async () => {
    const denyGet = `${POLICY_ALL}
    - name: no-get
      action: Deny
      match: {verbs: [list], apiGroups: [""], resources: [configmaps]}`;
    assert.equal((await scene.ask(base)).status, 200);
    const path = `/apis/sallyport.dev/v1alpha1/agentpolicies/${scene.namespace}`;
    const allowing = (await scene.cluster.admin('GET', path)).json();
    await scene.policy(denyGet);
    const denied = await until('denied', async () => (await scene.ask(base)).status === 403, 1_000);
    const body = { ...(await scene.cluster.admin('GET', path)).json(), spec: allowing.spec };
    assert.equal((await scene.cluster.admin('PUT', path, body)).status, 200);
    const allowed = await until('allowed again', async () => (await scene.ask(base)).status === 200, 1_000);
    assert.ok(denied < 1_000 && allowed < 1_000);
  });

  it('a policy that is deleted allows nothing any more', async () => {
    const path = `/apis/sallyport.dev/v1alpha1/agentpolicies/${scene.namespace}`;
    await scene.cluster.admin('DELETE', path);
    await until('refused', async () => (await scene.ask(base)).status === 403, 1_000);
    const refused = await scene.ask(base);
    assert.match(refused.json().message, /^SP_NO_POLICY/);
    await scene.policy(POLICY_ALL);
    await until('allowed again', async () => (await scene.ask(base)).status === 200, 1_000);
  });

  it('a rule that does not compile never widens access: a Deny refuses, an Allow does not match', async () => {
    await scene.policy(`${POLICY_ALL}
    - name: broken
      action: Deny
      match: {verbs: [create], apiGroups: [""], resources: [configmaps]}
      matchConditions: [{name: wrong, expression: "object.data.nonsense("}]`);
    const create = (query = '') =>
      scene.ask(`${base}${query}`, {
        method: 'POST',
        body: JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'made' } }),
        headers: ['Content-Type', 'application/json'],
      });
    await until('refused', async () => (await create('?dryRun=All')).status === 403, 2_000);
    assert.equal((await create()).status, 403);
    assert.equal((await scene.cluster.admin('GET', `${base}/made`)).status, 404);
    // What it does not name still passes.
    assert.equal((await scene.ask(base)).status, 200);

    await scene.policy(`
    - name: broken
      action: Allow
      match: {verbs: ["*"], apiGroups: ["*"], resources: ["*", "*/*"]}
      matchConditions: [{name: wrong, expression: "object.data.nonsense("}]`);
    await until('refused', async () => (await scene.ask(base)).status === 403, 2_000);
    await scene.policy(POLICY_ALL);
    await until('allowed again', async () => (await scene.ask(base)).status === 200, 2_000);
  });

  it('an API server out of reach is a 502 that says so, at once, and no more than that', async () => {
    proxy.cut();
    const answer = await scene.ask(base);
    assert.equal(answer.status, 502, answer.body);
    assert.match(answer.json().message, /^SP_UPSTREAM_UNREACHABLE: the API server could not be reached: try again/);
    assert.ok(Number(answer.headers['retry-after']) > 0);
    proxy.heal();
    await until('served again', async () => (await scene.ask(base)).status === 200, 5_000);
  });

  it('a quiet cluster is not taken for a silent one', async () => {
    for (let round = 0; round < 24; round++) {
      assert.equal((await scene.gateway.probe('/readyz')).status, 200);
      await sleep(500);
    }
  });

  it('policies that may be outdated: not ready, everything refused, and well again by itself', async () => {
    proxy.stall();
    // On their way already: they end by requestTimeout, with a 504 that says so.
    const caught = await scene.ask(base);
    assert.equal(caught.status, 504, caught.body);
    assert.match(caught.json().message, /^SP_UPSTREAM_TIMEOUT/);

    await until('not ready', async () => (await scene.gateway.probe('/readyz')).status === 503, 25_000);
    const probe = await scene.gateway.probe('/readyz?verbose');
    // Whichever of the watches went quiet first.
    assert.match(probe.body, /\[-\](?:policies|masking|columns) failed: the watch on \w+ objects is stale/);
    // One that this request does not ask may have gone quiet a moment before those that it asks.
    let refused = await scene.ask(base);
    for (let attempt = 0; refused.status !== 503 && attempt < 20; attempt++) {
      assert.ok([502, 504].includes(refused.status), refused.body);
      refused = await scene.ask(base);
    }
    assert.match(refused.json().message, /^SP_(?:POLICY|MASKING)_NOT_LOADED: .* stale/);
    assert.ok(Number(refused.headers['retry-after']) > 0);
    const metrics = (await scene.gateway.probe('/metrics')).body;
    const ages = [...metrics.matchAll(/^sallyport_watch_age_seconds\{informer="\w+"\} ([\d.]+)/gm)];
    assert.ok(
      ages.some((age) => Number(age[1]) > 10),
      'no metric tells the age',
    );

    // While it hears nothing, what it knew is revoked.
    await scene.cluster.admin('DELETE', `/apis/sallyport.dev/v1alpha1/agentpolicies/${scene.namespace}`);
    proxy.heal();
    await until('ready', async () => (await scene.gateway.probe('/readyz')).status === 200, 25_000);
    assert.match((await scene.ask(base)).json().message, /^SP_NO_POLICY/);
  });
});
