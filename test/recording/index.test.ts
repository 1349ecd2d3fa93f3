import assert from 'node:assert/strict';
import { existsSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { SAMPLE_IDENTITY } from '../../src/recording/cases/sample-recording.ts';
import type { SessionRecordingStatus } from '../../src/recording/session-recording.generated.ts';
import { Scene } from '../gateway/scene.ts';
import { storedRecordings, storeOf, verifyStored } from './recorded.ts';

describe('the kind SessionRecording', () => {
  let scene: Scene;
  const path = (name = ''): string =>
    `/apis/sallyport.dev/v1alpha1/namespaces/${scene.gateway.namespace}/sessionrecordings${name}`;

  before(async () => {
    scene = await Scene.open('index', { recording: true });
  });
  after(() => scene?.close());

  it('once sealed nothing of it changes, by whomever; before that its spec does not', async () => {
    const { cluster } = scene;
    const { user, caller, replica, startTime } = SAMPLE_IDENTITY;
    const object = {
      apiVersion: 'sallyport.dev/v1alpha1',
      kind: 'SessionRecording',
      metadata: { name: 'one' },
      spec: { user, caller, replica, startTime },
    };
    const made = await cluster.admin('POST', path(), object);
    assert.equal(made.status, 201, made.body);
    const patch = (what: object, sub = '') =>
      cluster.admin('PATCH', path(`/one${sub}`), what, 'application/merge-patch+json');
    assert.match((await patch({ spec: { replica: 'x' } })).body, /the spec of a recording is immutable/);
    assert.equal((await patch({ status: { phase: 'Open', lines: 3 } }, '/status')).status, 200);
    assert.equal((await patch({ status: { phase: 'Sealed', lines: 4 } }, '/status')).status, 200);
    for (const change of [{ lines: 5 }, { phase: 'Open' }, { location: 'file:///elsewhere' }, { lines: null }]) {
      const refused = await patch({ status: change }, '/status');
      assert.equal(refused.status, 422, refused.body);
      assert.match(refused.body, /a sealed recording does not change/);
    }
    assert.match((await patch({ status: null }, '/status')).body, /a sealed recording does not change/);
    assert.equal((await cluster.admin('DELETE', path('/one'))).status, 200);
  });

  it('kubectl shows who, what, how much', async () => {
    await scene.ask(`/api/v1/namespaces/${scene.namespace}/configmaps`);
    for (let attempt = 0; attempt < 100; attempt += 1) {
      const { stdout } = await scene.cluster.kubectl(['get', 'sessionrecordings', '-n', scene.gateway.namespace]);
      if (/Open/.test(stdout)) {
        assert.match(stdout, /^NAME +CALLER +AGENT +PHASE +REQUESTS +DENIED +MASKED +STARTED +AGE\n/);
        assert.match(stdout, new RegExp(`${scene.user} +Open +\\d+ +0 +\\d+`));
        return;
      }
      await sleep(100);
    }
    assert.fail('no SessionRecording');
  });

  interface Shown {
    readonly metadata: { readonly name: string; readonly uid: string };
    readonly spec: { readonly user: { readonly username: string } };
    readonly status?: SessionRecordingStatus;
  }

  /** The object of the scene's agent, once it meets the condition. */
  async function shown(what: string, condition: (object: Shown) => boolean): Promise<Shown> {
    for (const late = performance.now() + 120_000; performance.now() < late; await sleep(100)) {
      const { items } = (await scene.cluster.admin('GET', path())).json() as { items: Shown[] };
      const found = items.find((each) => each.spec.user.username.endsWith(scene.user) && condition(each));
      if (found !== undefined) return found;
    }
    throw new Error(`in vain: ${what}`);
  }

  const write = async (name: string): Promise<void> => {
    const { status, body } = await scene.ask(`/api/v1/namespaces/${scene.namespace}/configmaps`, {
      method: 'POST',
      headers: ['Content-Type', 'application/json'],
      body: JSON.stringify({ metadata: { name } }),
    });
    assert.equal(status, 201, body);
  };

  it('the condition Stored turns False soon after the store has gone, says why, and turns True again', async () => {
    const stored = ({ status }: Shown) => status?.conditions?.[0];
    await write('before');
    await shown('that it is stored', (object) => stored(object)?.status === 'True');
    const store = storeOf(scene.gateway);
    for (; !existsSync(store); await sleep(50));
    // Root writes through permissions; a file where the folder was is in anyone's way.
    renameSync(store, `${store}.away`);
    writeFileSync(store, '');
    const begun = performance.now();
    try {
      await write('during');
      const condition = stored(await shown('that it is not', (object) => stored(object)?.status === 'False'))!;
      assert.ok(performance.now() - begun < 50_000, 'before its interval is over');
      assert.equal(condition.reason, 'StoreUnavailable');
      assert.match(condition.message!, /^the store does not take what is recorded: \S/);
    } finally {
      rmSync(store);
      renameSync(`${store}.away`, store);
    }
    const after = stored(await shown('that it is again', (object) => stored(object)?.status === 'True'))!;
    assert.equal(after.reason, 'Storing');
  });

  it('deleting the object deletes nothing of the recording, which goes on', async () => {
    await write('kept');
    const { metadata } = await shown('the object', () => true);
    assert.equal((await scene.cluster.admin('DELETE', path(`/${metadata.name}`))).status, 200);
    await write('kept-after');
    await scene.gateway.kill('SIGTERM');
    assert.ok(storedRecordings(scene.gateway).includes(metadata.name));
    assert.ok((await verifyStored(scene.gateway, metadata.name)).lines > 4);
    assert.equal((await scene.cluster.admin('GET', path(`/${metadata.name}`))).status, 404, 'it stays deleted');
  });

  it('what ended longer ago than index.maxAge goes when a gateway starts, and what is younger stays', async () => {
    const { user, caller, replica, startTime } = SAMPLE_IDENTITY;
    const made = async (name: string, endTime: string): Promise<void> => {
      const object = {
        apiVersion: 'sallyport.dev/v1alpha1',
        kind: 'SessionRecording',
        metadata: { name },
        spec: { user, caller, replica, startTime },
      };
      assert.equal((await scene.cluster.admin('POST', path(), object)).status, 201);
      const status = { status: { phase: 'Sealed', endTime } };
      const type = 'application/merge-patch+json';
      assert.equal((await scene.cluster.admin('PATCH', path(`/${name}/status`), status, type)).status, 200);
    };
    const hour = 3_600_000;
    await made('too-old', new Date(Date.now() - 721 * hour).toISOString());
    await made('young', new Date(Date.now() - 719 * hour).toISOString());
    await scene.gateway.launch();
    for (let status = 200; status !== 404; await sleep(100)) {
      ({ status } = await scene.cluster.admin('GET', path('/too-old')));
    }
    assert.equal((await scene.cluster.admin('GET', path('/young'))).status, 200);
  });
});
