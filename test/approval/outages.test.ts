import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Cluster, startCluster } from '../cluster/cluster.ts';
import { guardOfTests } from '../gateway/gateway-process.ts';
import { type Answer, type Asked, Scene } from '../gateway/scene.ts';
import { ApiServerProcess } from '../kubernetes/api-server-process.ts';
import { People } from './people.ts';
import { WRITES_WAIT } from './writes-wait.ts';

/** With an API server of its own, from which things are taken away. */
describe('approvals, when what they stand on is gone', { timeout: 200_000 }, () => {
  let cluster: Cluster;
  let scene: Scene;
  let people: People;
  let server: ApiServerProcess | undefined;
  let counter = 0;

  before(async () => {
    cluster = await startCluster();
    scene = await Scene.open('outages', { rules: WRITES_WAIT, cluster });
    people = new People(cluster);
  });
  after(async () => {
    await scene?.close();
    await server?.kill();
    await cluster?.stop();
  });

  const maps = () => `/api/v1/namespaces/${scene.namespace}/configmaps`;
  const creation = (): Asked & { name: string } => {
    const name = `map-${++counter}`;
    const body = JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name } });
    return { name, method: 'POST', headers: ['Content-Type', 'application/json'], body };
  };
  const approved = async (asked: Asked): Promise<string> => {
    const answer = await scene.ask(maps(), asked);
    assert.equal(answer.status, 403, answer.body);
    const { name } = answer.json().details;
    await people.approve(scene.namespace, name);
    return name;
  };
  const uses = async (name: string) => (await people.get(scene.namespace, name)).status?.uses;
  /** Until it is not refused as unavailable any more. */
  const again = async (asked: Asked): Promise<Answer> => {
    const end = Date.now() + 60_000;
    for (;;) {
      const answer = await scene.ask(maps(), asked);
      if (answer.status === 201 || Date.now() > end) return answer;
      // Its rights too are read anew by an API server that has just started.
      assert.ok([403, 429, 500, 502, 503].includes(answer.status), answer.body);
      await sleep(100);
    }
  };

  it('the guard: what says that it is approved could be anybody’s word, so nothing passes', async () => {
    const asked = creation();
    const name = await approved(asked);
    const removed = await cluster.kubectl(['delete', 'validatingadmissionpolicybinding', 'sallyport-decisions']);
    assert.equal(removed.code, 0, removed.stderr);
    const refused = await scene.ask(maps(), asked);
    assert.equal(refused.status, 503, refused.body);
    assert.match(
      refused.json().message,
      /^SP_APPROVAL_UNAVAILABLE: what guards approvals in the API server is not in force \(kubectl apply -f crds\/guards\.yaml\); nothing was done: try again/,
    );
    assert.equal(await uses(name), undefined);
    assert.equal((await scene.ask(maps())).status, 200, 'what needs no approval passes');
    await cluster.apply(guardOfTests());
    const passed = await again(asked);
    assert.equal(passed.status, 201, passed.body);
    assert.equal((await uses(name))?.length, 1);
  });

  it('the API server, killed between approval and use: nothing is used, nothing passes, and then it runs once', async () => {
    const asked = creation();
    const name = await approved(asked);
    server = new ApiServerProcess(cluster);
    await server.kill();
    for (let i = 0; i < 5; i++) {
      const refused = await scene.ask(maps(), asked);
      assert.ok(refused.status === 503 || refused.status === 502, refused.body);
      assert.match(refused.json().message, /^SP_(?:APPROVAL_UNAVAILABLE|UPSTREAM_UNREACHABLE): /);
    }
    await server.start();
    const passed = await again(asked);
    assert.equal(passed.status, 201, passed.body);
    assert.equal((await uses(name))?.length, 1);
    const made = scene.heard(
      ({ verb, objectRef, requestURI, responseStatus }) =>
        verb === 'create' &&
        objectRef?.name === asked.name &&
        responseStatus?.code === 201 &&
        !requestURI.includes('dryRun'),
    );
    assert.equal(new Set(made.map(({ auditID }) => auditID)).size, 1);
    assert.equal((await scene.ask(maps(), asked)).status, 403, 'it is used up');
  });
});
