import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { SAMPLE_IDENTITY } from '../../src/recording/cases/sample-recording.ts';
import { Bench, gateway, type Person } from '../approval/bench.ts';

const admin: Person = { username: 'root@shop.example', groups: ['system:masters'] };
const agent: Person = { username: 'sallyport:alice@shop.example', groups: ['system:masters'] };

describe('the guard of the index of recordings inside the API server', { timeout: 180_000 }, () => {
  let bench: Bench;
  let path: string;
  const merge = 'application/merge-patch+json';

  before(async () => {
    bench = await Bench.start();
    path = `/apis/sallyport.dev/v1alpha1/namespaces/${bench.namespace}/sessionrecordings`;
  });
  after(() => bench?.stop());

  it('only the gateway makes and fills it; an administrator may delete', async () => {
    const { user, caller, replica, startTime } = SAMPLE_IDENTITY;
    const object = {
      apiVersion: 'sallyport.dev/v1alpha1',
      kind: 'SessionRecording',
      metadata: { name: 'one' },
      spec: { user, caller, replica, startTime },
    };
    for (const person of [admin, agent]) {
      const refused = await bench.send(person, 'POST', path, object);
      assert.equal(refused.status, 403, refused.body);
    }
    assert.equal((await bench.send(gateway, 'POST', path, object)).status, 201);
    const status = { status: { phase: 'Open', counts: { requests: 3 } } };
    assert.match(
      (await bench.send(admin, 'PATCH', `${path}/one/status`, status, merge)).body,
      /only the gateway writes/,
    );
    assert.equal((await bench.send(gateway, 'PATCH', `${path}/one/status`, status, merge)).status, 200);
    const labels = { metadata: { labels: { sealed: 'yes' } } };
    assert.match((await bench.send(admin, 'PATCH', `${path}/one`, labels, merge)).body, /only the gateway changes/);
    assert.equal((await bench.send(agent, 'DELETE', `${path}/one`)).status, 403);
    assert.equal((await bench.send(admin, 'DELETE', `${path}/one`)).status, 200);
  });
});
