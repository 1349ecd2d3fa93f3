import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Cluster, startCluster } from '../cluster/cluster.ts';
import { type Answer, type Asked, Scene } from '../gateway/scene.ts';
import { AggregatedServer } from './aggregated-server.ts';
import { People } from './people.ts';
import { WRITES_WAIT } from './writes-wait.ts';

describe('approvals of what an aggregated server serves', { timeout: 120_000 }, () => {
  let cluster: Cluster;
  let scene: Scene;
  let people: People;
  let server: AggregatedServer;

  before(async () => {
    // Of its own: a group that is not served well slows the discovery of all.
    cluster = await startCluster();
    scene = await Scene.open('aggregated', { rules: WRITES_WAIT, cluster });
    people = new People(cluster);
    server = await AggregatedServer.start(cluster, scene.namespace);
  });
  after(async () => {
    await server?.stop(cluster);
    await scene?.close();
    await cluster?.stop();
  });

  const path = (name: string): string => `/apis/things.example/v1/namespaces/${scene.namespace}/things/${name}`;
  const put = (name: string, says: string): Asked => ({
    method: 'PUT',
    headers: ['Content-Type', 'application/json'],
    body: JSON.stringify({ apiVersion: 'things.example/v1', kind: 'Thing', metadata: { name }, says }),
  });
  const approved = async (name: string, asked: Asked) => {
    const answer = await scene.ask(path(name), asked);
    assert.equal(answer.status, 403, answer.body);
    assert.match(answer.json().message, /^SP_APPROVAL_REQUIRED: /);
    return await people.approve(scene.namespace, answer.json().details.name);
  };
  const voided = (answer: Answer): void => {
    assert.equal(answer.status, 403, answer.body);
    assert.match(answer.json().message, /^SP_APPROVAL_VOID: .* the object is not the one it was when this was asked/);
  };

  it('nothing is tried out; the object’s uid is bound, and its version goes with the change', async () => {
    const { metadata } = server.make(scene.namespace, 'one', 'before');
    const { spec } = await approved('one', put('one', 'after'));
    assert.match(spec.summary, /^note: no dry run: things\.example is served by an aggregated server/m);
    assert.match(spec.diff ?? '', /^-says: before\n\+says: after$/m);
    assert.equal(spec.target?.uid, metadata.uid);
    assert.equal(server.writes.length, 0, 'it was only looked at');
    const passed = await scene.ask(path('one'), put('one', 'after'));
    assert.equal(passed.status, 200, passed.body);
    const [write, ...others] = server.writes.splice(0);
    assert.deepEqual(others, []);
    const { uid, resourceVersion } = metadata;
    assert.deepEqual(JSON.parse(write!.body).metadata, { name: 'one', resourceVersion, uid });
  });

  it('another object under the same name is not the one that was approved', async () => {
    server.make(scene.namespace, 'two', 'before');
    await approved('two', put('two', 'after'));
    await approved('two', { method: 'DELETE' });
    server.make(scene.namespace, 'two', 'before');
    voided(await scene.ask(path('two'), put('two', 'after')));
    voided(await scene.ask(path('two'), { method: 'DELETE' }));
    assert.equal(server.writes.length, 0);
  });

  it('where nothing was there, nothing is overwritten; a deletion names the uid', async () => {
    await approved('three', put('three', 'mine'));
    server.make(scene.namespace, 'three', 'someone else’s');
    voided(await scene.ask(path('three'), put('three', 'mine')));
    assert.equal(server.writes.length, 0);
    await approved('four', put('four', 'mine'));
    assert.equal((await scene.ask(path('four'), put('four', 'mine'))).status, 201);
    assert.equal(JSON.parse(server.writes.splice(0)[0]!.body).metadata.resourceVersion, '1', 'no object has it');
    await approved('four', { method: 'DELETE' });
    const { uid } = server.things.get(`${scene.namespace}/four`)!.metadata;
    assert.equal((await scene.ask(path('four'), { method: 'DELETE' })).status, 200);
    assert.match(server.writes[0]!.url, new RegExp(`[?&]uid=${uid}$`));
  });
});
