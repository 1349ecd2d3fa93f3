import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { ApprovalRequest } from '../../src/approval/approval-request.generated.ts';
import type { Answer, Asked, Scene } from '../gateway/scene.ts';
import { People } from './people.ts';
import { configMap, deleteOptions, limitRange } from './protobuf.ts';
import { TappedScene } from './tapped-scene.ts';

const JSON_TYPE = ['Content-Type', 'application/json'];
const MERGE = ['Content-Type', 'application/merge-patch+json'];
const JSON_PATCH = ['Content-Type', 'application/json-patch+json'];
const APPLY = ['Content-Type', 'application/apply-patch+yaml'];
const PROTOBUF = ['Content-Type', 'application/vnd.kubernetes.protobuf'];

describe('what is approved meets what the person saw, or nothing', { timeout: 240_000 }, () => {
  let scene: Scene;
  let people: People;
  let tapped: TappedScene;
  let counter = 0;

  before(async () => {
    tapped = await TappedScene.open('meets');
    scene = tapped.scene;
    people = new People(scene.cluster);
  });
  after(() => tapped?.close());

  const maps = (name = ''): string =>
    `/api/v1/namespaces/${scene.namespace}/configmaps${name === '' ? '' : `/${name}`}`;
  /** Of a kind that a PUT makes, too. */
  const ranges = (name = ''): string =>
    `/api/v1/namespaces/${scene.namespace}/limitranges${name === '' ? '' : `/${name}`}`;
  const fresh = (): string => `thing-${++counter}`;
  const make = async (path: string, object: object): Promise<void> => {
    const { status, body } = await scene.cluster.admin('POST', path, object);
    assert.equal(status, 201, body);
  };
  const map = (name: string, data: object = { a: 'b' }, labels: object = {}): object => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, labels },
    data,
  });
  const range = (name: string, says: string): object => ({
    apiVersion: 'v1',
    kind: 'LimitRange',
    metadata: { name, labels: { says } },
    spec: { limits: [] },
  });
  const admin = (method: string, path: string): Promise<Answer> =>
    scene.cluster.admin(method, path) as unknown as Promise<Answer>;
  const approved = async (target: string, asked: Asked): Promise<ApprovalRequest> => {
    const answer = await scene.ask(target, asked);
    assert.equal(answer.status, 403, answer.body);
    assert.match(answer.json().message, /^SP_APPROVAL_REQUIRED: /);
    return await people.approve(scene.namespace, answer.json().details.name);
  };
  /** Between the last look and the first byte of the forward something happens, once. */
  const asksWhile = async (target: string, asked: Asked, happens: () => Promise<unknown>): Promise<Answer> => {
    const path = target.split('?', 1)[0]!;
    let happened = false;
    tapped.meddle = (text) => {
      const line = text.slice(0, text.indexOf('\r\n'));
      const isForward = line.startsWith(`${asked.method} ${path}`) && text.includes('sallyport.dev%2Fapproved');
      if (happened || !isForward) return undefined;
      happened = true;
      return happens().then(() => 'Pass');
    };
    try {
      const answer = await scene.ask(target, asked);
      assert.ok(happened, `nothing was forwarded: ${answer.body}`);
      return answer;
    } finally {
      tapped.meddle = () => undefined;
    }
  };
  const voided = (answer: Answer, what: string): void => {
    assert.equal(answer.status, 403, `${what}: ${answer.body}`);
    assert.match(answer.json().message, /^SP_APPROVAL_VOID: /, what);
  };
  /** Writes that make what they name, where it is not there: [how, path, request]. */
  const upserts = (name: string): [string, string, Asked][] => [
    ['PUT', ranges(name), { method: 'PUT', headers: JSON_TYPE, body: JSON.stringify(range(name, 'approved')) }],
    [
      'PUT in protobuf',
      ranges(`${name}-protobuf`),
      { method: 'PUT', headers: PROTOBUF, body: limitRange(scene.namespace, `${name}-protobuf`, 'approved') },
    ],
    [
      'apply',
      `${maps(name)}?fieldManager=me&force=true`,
      { method: 'PATCH', headers: APPLY, body: JSON.stringify({ ...map(name), data: { a: 'approved' } }) },
    ],
  ];
  const create = async (how: string, name: string): Promise<void> => {
    if (how === 'apply') await make(maps(), map(name, { a: 'another' }));
    else await make(ranges(), range(how === 'PUT' ? name : `${name}-protobuf`, 'another'));
  };
  const content = (how: string, answer: Answer): string =>
    how === 'apply' ? answer.json().data.a : answer.json().metadata.labels.says;

  it('approved as a creation it creates, and never changes what was made meanwhile', async () => {
    for (const [how, path, asked] of upserts(fresh())) {
      await approved(path, asked);
      const passed = await scene.ask(path, asked);
      assert.equal(passed.status, 201, `${how}: ${passed.body}`);
    }
    const name = fresh();
    for (const [how, path, asked] of upserts(name)) {
      const { metadata } = await approved(path, asked);
      voided(await asksWhile(path, asked, () => create(how, name)), how);
      assert.equal(content(how, await admin('GET', path.split('?')[0]!)), 'another', how);
      const use = await people.outcome(scene.namespace, metadata.name);
      assert.deepEqual([use.outcome, use.code], ['Failed', 409], how);
    }
    const other = fresh();
    for (const [how, path, asked] of upserts(other)) {
      await approved(path, asked);
      await create(how, other);
      voided(await scene.ask(path, asked), `${how}, made before the look`);
    }
  });

  it('approved as a change it changes, and never makes anew what was deleted meanwhile', async () => {
    const name = fresh();
    for (const [how, path, asked] of upserts(name)) {
      await create(how, name);
      await approved(path, asked);
      const [object] = path.split('?') as [string];
      voided(await asksWhile(path, asked, () => admin('DELETE', object)), how);
      assert.equal((await admin('GET', object)).status, 404, how);
      await create(how, name);
      await approved(path, asked);
      const passed = await scene.ask(path, asked);
      assert.deepEqual([passed.status, content(how, passed)], [200, 'approved'], how);
    }
  });

  it('approved as a refusal it is one: nothing is done where it would succeed by now', async () => {
    const name = fresh();
    const patch: Asked = { method: 'PATCH', headers: MERGE, body: '{"data":{"a":"c"}}' };
    const { spec } = await approved(maps(name), patch);
    assert.match(spec.summary, /^note: the API server would refuse this as things are: HTTP 404 NotFound$/m);
    const refused = await scene.ask(maps(name), patch);
    assert.equal(refused.status, 404, refused.body);
    assert.match(refused.json().message, /^configmaps "thing-\d+" not found$/, 'the API server’s own words');
    await approved(maps(name), patch);
    voided(await asksWhile(maps(name), patch, () => make(maps(), map(name))), 'patch');
    assert.equal((await admin('GET', maps(name))).json().data.a, 'b');
    const creation: Asked = { method: 'POST', headers: JSON_TYPE, body: JSON.stringify(map(name, { a: 'mine' })) };
    await approved(maps(), creation);
    voided(await asksWhile(maps(), creation, () => admin('DELETE', maps(name))), 'create');
    assert.equal((await admin('GET', maps(name))).status, 404);
  });

  it('a JSON patch cannot talk itself out of the version', async () => {
    const name = fresh();
    await make(maps(), map(name));
    const patches = [
      [{ op: 'remove', path: '/metadata/resourceVersion' }],
      [{ op: 'replace', path: '/metadata/resourceVersion', value: '' }],
      [{ op: 'copy', from: '/metadata', path: '/metadata' }],
    ];
    for (const [index, operations] of patches.entries()) {
      const body = JSON.stringify([{ op: 'add', path: '/data/n', value: `${index}` }, ...operations]);
      const asked = { method: 'PATCH', headers: JSON_PATCH, body };
      await approved(maps(name), asked);
      const touch = { data: { n: 'someone else’s', [`t${index}`]: '' } };
      const touching = () => scene.cluster.admin('PATCH', maps(name), touch, 'application/merge-patch+json');
      voided(await asksWhile(maps(name), asked, touching), body);
      assert.equal((await admin('GET', maps(name))).json().data.n, 'someone else’s');
      await approved(maps(name), asked);
      const passed = await scene.ask(maps(name), asked);
      assert.equal(passed.status, 200, `${body}: ${passed.body}`);
      assert.equal(passed.json().data.n, `${index}`);
    }
  });

  it('a deletion of a collection meets the objects that were seen, and none that came later', async () => {
    const labels = { part: fresh() };
    const collection = `${maps()}?labelSelector=part%3D${labels.part}`;
    const remove: Asked = { method: 'DELETE' };
    const [one, two, late] = [fresh(), fresh(), fresh()];
    await make(maps(), map(one, {}, labels));
    await make(maps(), map(two, {}, labels));
    const first = await approved(collection, remove);
    assert.match(first.spec.summary, /^note: 2 objects would be deleted$/m);
    await make(maps(), map(late, {}, labels));
    voided(await scene.ask(collection, remove), 'one more than was seen');
    const second = await approved(collection, remove);
    assert.match(second.spec.summary, /^note: 3 objects would be deleted$/m);
    await admin('DELETE', maps(late));
    await make(maps(), map(late, {}, labels));
    voided(await scene.ask(collection, remove), 'another of the same name');
    await approved(collection, remove);
    const later = fresh();
    const deleted = await asksWhile(collection, remove, () => make(maps(), map(later, {}, labels)));
    assert.equal(deleted.status, 200, deleted.body);
    const left = (await admin('GET', collection)).json().items.map((item: ApprovalRequest) => item.metadata.name);
    assert.deepEqual(left, [later], 'what came between the look and the deletion stays');
  });

  it('Kubernetes protobuf takes the precondition as JSON does', async () => {
    const name = fresh();
    await make(maps(), map(name));
    const put = (value: string): Asked => ({
      method: 'PUT',
      headers: PROTOBUF,
      body: configMap(scene.namespace, name, { a: value }),
    });
    await approved(maps(name), put('passed'));
    const passed = await scene.ask(maps(name), put('passed'));
    assert.deepEqual([passed.status, passed.json().data], [200, { a: 'passed' }]);
    await approved(maps(name), put('void'));
    const touch = { data: { a: 'someone else’s' } };
    const touching = () => scene.cluster.admin('PATCH', maps(name), touch, 'application/merge-patch+json');
    // The whole object is in the body, so the result is the same, and it passes with the version of now.
    const again = await asksWhile(maps(name), put('void'), touching);
    assert.deepEqual([again.status, again.json().data], [200, { a: 'void' }]);
    await approved(maps(name), put('gone'));
    const gone = await asksWhile(maps(name), put('gone'), () => admin('DELETE', maps(name)));
    assert.equal(gone.status, 404, gone.body);
    assert.equal((await admin('GET', maps(name))).status, 404);
    await make(maps(), map(name));
    const remove: Asked = { method: 'DELETE', headers: PROTOBUF, body: deleteOptions('Background') };
    await approved(maps(name), remove);
    const replaced = async (): Promise<void> => {
      await admin('DELETE', maps(name));
      await make(maps(), map(name));
    };
    voided(await asksWhile(maps(name), remove, replaced), 'another of the same name');
    assert.equal((await admin('GET', maps(name))).status, 200);
    await approved(maps(name), remove);
    assert.equal((await scene.ask(maps(name), remove)).status, 200);
    assert.equal((await admin('GET', maps(name))).status, 404);
  });

  it('a body into which nothing can be written is refused before anybody is asked, and says what to send', async () => {
    const name = fresh();
    await make(maps(), map(name));
    const waiting = (await people.all(scene.namespace)).length;
    const cbor = Buffer.from([0xd9, 0xd9, 0xf7, 0xa0]);
    const answer = await scene.ask(maps(name), {
      method: 'PUT',
      headers: ['Content-Type', 'application/cbor'],
      body: cbor,
    });
    assert.equal(answer.status, 415, answer.body);
    assert.match(
      answer.json().message,
      /^SP_UNSUPPORTED_MEDIA_TYPE: .*send it as JSON, YAML or Kubernetes protobuf \(client-go: ContentType "application\/json"\) \(request /,
    );
    assert.equal((await people.all(scene.namespace)).length, waiting);
  });

  it('replays of an exec with other words, another container or input ask anew', async () => {
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'web' },
      spec: { containers: [{ name: 'app', image: 'x' }] },
    };
    await make(`/api/v1/namespaces/${scene.namespace}/pods`, pod);
    const exec = (query: string): string => `/api/v1/namespaces/${scene.namespace}/pods/web/exec?${query}`;
    const asked: Asked = { method: 'POST' };
    const { metadata, spec } = await approved(exec('command=nginx&command=-t&stdout=true'), asked);
    assert.deepEqual(spec.operation.command, ['nginx', '-t']);
    const names = new Set([metadata.name]);
    const replays = [
      'command=nginx+-t&stdout=true',
      'command=-t&command=nginx&stdout=true',
      'command=nginx&command=-t&command=&stdout=true',
      'command=nginx&command=-T&stdout=true',
      'command=nginx&command=-t&stdout=true&stdin=true',
      'command=nginx&command=-t&stdout=true&tty=true',
      'command=nginx&command=-t&stdout=true&container=app',
    ];
    for (const query of replays) {
      const answer = await scene.ask(exec(query), asked);
      assert.match(answer.json().message, /^SP_APPROVAL_REQUIRED: /, query);
      names.add(answer.json().details.name);
    }
    assert.equal(names.size, replays.length + 1);
    assert.equal((await people.get(scene.namespace, metadata.name)).status?.uses, undefined, 'nothing was used');
  });
});
