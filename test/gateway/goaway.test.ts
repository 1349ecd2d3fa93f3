import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { startCluster } from '../cluster/cluster.ts';
import { Scene } from './scene.ts';
import { Watcher } from './watcher.ts';

/** Each that is opened is told GOAWAY with a chance of 2 in 100, the most that kube-apiserver offers: of so many, some are. */
const WATCHES = 300;

describe('an API server that ends connections now and then (--goaway-chance)', { timeout: 120_000 }, () => {
  let scene: Scene;

  before(async () => {
    const cluster = await startCluster({ apiServerFlags: ['--goaway-chance=0.02'] });
    const limits = { requestsPerSecond: 10_000, burst: 10_000, parallelRequests: 1_000 };
    scene = await Scene.open('goaway', { cluster, configuration: { limits } });
  });
  after(async () => {
    await scene?.close();
    await scene?.cluster.stop();
  });

  it('breaks no watch, and fails no request', async () => {
    const base = `/api/v1/namespaces/${scene.namespace}/configmaps`;
    const watchers: Watcher[] = [];
    try {
      for (let begun = 0; begun < WATCHES; begun += 25) {
        const batch = Array.from({ length: 25 }, () => new Watcher(scene, `${base}?watch=1`));
        watchers.push(...batch);
        const answers = await Promise.all(batch.map(() => scene.ask(base)));
        assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
        await Promise.all(batch.map((one) => one.until('its head', ({ status }) => status === 200, 25_000)));
      }
      const body = { metadata: { name: 'told' } };
      assert.equal((await scene.cluster.admin('POST', base, body)).status, 201);
      await Promise.all(watchers.map((one) => one.until('the event', () => one.sees('told', 'ADDED'), 25_000)));
      assert.equal(watchers.filter(({ ended, broken }) => ended || broken).length, 0);
    } finally {
      for (const one of watchers) one.close();
    }
  });
});
