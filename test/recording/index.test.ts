import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { IndexWriter } from '../../src/gateway/recording/index-writer.ts';
import { SAMPLE_IDENTITY } from '../../src/recording/cases/sample-recording.ts';
import { NO_COUNTS } from '../../src/recording/counts.ts';
import type { SessionRecordingStatus } from '../../src/recording/session-recording.generated.ts';
import type { Own, OwnObject } from '../../src/upstream/own.ts';
import { Scene } from '../gateway/scene.ts';

/** The gateway's own client before an API server that counts, and holds as many objects as asked: no real one is to be filled. */
class CountingServer {
  readonly objects = new Map<string, OwnObject>();
  most = 0;
  creates = 0;
  patches = 0;
  deletes = 0;

  readonly own: Pick<Own, 'create' | 'get' | 'patchStatus' | 'list' | 'delete'> = {
    get: async (_kind, { name }) => this.objects.get(name),
    create: async (_kind, draft) => {
      this.creates += 1;
      const object = { metadata: { name: draft.name, uid: draft.name, resourceVersion: '1' } } as unknown as OwnObject;
      this.objects.set(draft.name, object);
      this.most = Math.max(this.most, this.objects.size);
      return object;
    },
    patchStatus: async (_kind, { name }, status) => {
      this.patches += 1;
      const object = { ...this.objects.get(name)!, status } as OwnObject;
      this.objects.set(name, object);
      return object;
    },
    list: async () => [...this.objects.values()],
    delete: async (_kind, { name }) => {
      this.deletes += 1;
      return this.objects.delete(name);
    },
  };
}

function writer(
  server: CountingServer,
  maxObjects = 2_000,
  statusInterval = 60_000,
): { index: IndexWriter; full: string[] } {
  const full: string[] = [];
  const index = new IndexWriter({
    own: server.own,
    statusInterval,
    maxObjects,
    maxAge: 3_600_000,
    stored: () => ({ ok: true, message: '' }),
    onError: (error) => assert.fail(error),
    onFull: (name) => full.push(name),
  });
  return { index, full };
}

const recording = (name: string) => ({ identity: { ...SAMPLE_IDENTITY, name }, counts: NO_COUNTS, seq: 1, hash: 'h' });
const sealed = (endTime: string): SessionRecordingStatus => ({ phase: 'Sealed', endTime, counts: NO_COUNTS });

describe('the index of recordings', () => {
  it('ten thousand sessions do not fill etcd: never more objects than the cap, the oldest sealed go first', async () => {
    const server = new CountingServer();
    const { index } = writer(server, 100, 1_000);
    index.start();
    for (let number = 0; number < 10_000; number += 1) {
      const one = recording(`r-${number}`);
      index.opened(one);
      index.sealed(one, sealed(new Date(number * 1_000).toISOString()));
    }
    await index.stop(60_000);
    assert.ok(server.most <= 100, `${server.most} at once`);
    const left = [...server.objects.keys()].map((name) => Number(name.slice(2)));
    assert.ok(Math.min(...left) > 9_000, 'what is left is what ended last');
  });

  it('open ones are never taken away: beyond the cap none is made, and that is said', async () => {
    const server = new CountingServer();
    const { index, full } = writer(server, 20);
    index.start();
    for (let number = 0; number < 50; number += 1) index.opened(recording(`r-${number}`));
    for (let wait = 0; wait < 100 && full.length < 30; wait += 1) await sleep(100);
    await index.stop(0);
    assert.equal(server.objects.size, 20);
    assert.ok(full.length >= 30);
    assert.equal(server.deletes, 0);
  });

  it('a status that changes all the time is written once in an interval', async () => {
    const server = new CountingServer();
    const { index } = writer(server);
    index.start();
    let seq = 0;
    const busy = {
      ...recording('busy'),
      get seq() {
        seq += 1;
        return seq;
      },
    };
    index.opened(busy);
    await sleep(3_500);
    await index.stop(0);
    assert.equal(server.creates, 1);
    assert.equal(server.patches, 1);
  });
});

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
});
