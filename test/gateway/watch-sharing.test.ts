import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Scene } from './scene.ts';
import { Watcher } from './watcher.ts';

describe('watches that share a connection to the API server', { timeout: 120_000 }, () => {
  let scene: Scene;

  before(async () => {
    scene = await Scene.open('sharing');
  });
  after(async () => {
    await scene?.close();
  });

  it('each runs under its own caller’s name, and each group is a group', async () => {
    const path = `/api/v1/namespaces/${scene.namespace}/configmaps?watch=1`;
    const people = ['one', 'two', 'three'].map((name) => ({
      name: `${name}-${scene.namespace}`,
      groups: [scene.group, `${name}-first`, `${name}, second`],
    }));
    const watchers: Watcher[] = [];
    try {
      for (const { name, groups } of people) {
        const watcher = new Watcher(scene, path, await scene.gateway.token({ sub: name, groups }));
        watchers.push(watcher);
        await watcher.until('its head', ({ status }) => status === 200);
      }
      const events = scene.cluster.auditEvents(
        (one) => one.verb === 'watch' && one.stage === 'ResponseStarted' && one.requestURI.startsWith(path),
      );
      for (const { name, groups } of people) {
        const [event] = events.filter((one) => one.impersonatedUser?.username === `sallyport:${name}`);
        assert.ok(event, `no watch of ${name} arrived`);
        const arrived = event.impersonatedUser?.groups?.filter((group) => group.startsWith('sallyport:'));
        assert.deepEqual(new Set(arrived), new Set(groups.map((group) => `sallyport:${group}`)));
      }
    } finally {
      for (const watcher of watchers) watcher.close();
    }
  });
});
