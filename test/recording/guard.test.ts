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

  it('lets what is sealed change by being sealed again alone, and never take lines back', async () => {
    const spec = {
      user: { username: 'alice' },
      caller: { method: 'x', issuer: 'y' },
      replica: 'r',
      startTime: '2026-01-02T03:04:05Z',
    };
    const object = { apiVersion: 'sallyport.dev/v1alpha1', kind: 'SessionRecording', metadata: { name: 'two' }, spec };
    assert.equal((await bench.send(gateway, 'POST', path, object)).status, 201);
    const says = async (status: Record<string, unknown>): Promise<number> =>
      (await bench.send(gateway, 'PATCH', `${path}/two/status`, { status }, merge)).status;
    const chains = { a: { replica: 'r', lines: 4 } };
    assert.equal(await says({ phase: 'Open', lines: 3, chains }), 200);
    assert.equal(await says({ phase: 'Sealed', lines: 4, seals: 1 }), 200);
    assert.equal(await says({ phase: 'Open' }), 422, 'what another replica meant to say before');
    assert.equal(await says({ lines: 9 }), 422);
    assert.equal(await says({ lines: 3, seals: 2 }), 422);
    assert.equal(await says({ phase: 'Sealed', lines: 9, seals: 2 }), 200);
    assert.equal(await says({ phase: 'Sealed', lines: 9, seals: 1 }), 422);
    assert.equal((await bench.send(gateway, 'DELETE', `${path}/two`)).status, 200);
  });
});
