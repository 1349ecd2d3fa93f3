import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resolveIdentities } from './identities.ts';
import type { Step } from './step.ts';

const uid = (digit: number): string => `${String(digit).repeat(8)}-0000-4000-8000-000000000000`;
const [RECORDED, OTHER] = [uid(1), uid(2)];
const ONE = '/api/v1/namespaces/shop/configmaps/one';
const POD = '/api/v1/namespaces/shop/pods/web-0';
const KINDS: Readonly<Record<string, { plural: string; namespaced: boolean }>> = {
  'v1 ConfigMap': { plural: 'configmaps', namespaced: true },
  'v1 Pod': { plural: 'pods', namespaced: true },
  'v1 Node': { plural: 'nodes', namespaced: false },
  'apps/v1 Deployment': { plural: 'deployments', namespaced: true },
};

/** What the other cluster has. */
const THERE = new Map([
  [ONE, { uid: uid(3), resourceVersion: '33' }],
  [POD, { uid: uid(4), resourceVersion: '44' }],
  ['/api/v1/nodes/n1', { uid: uid(5), resourceVersion: '55' }],
  ['/apis/apps/v1/namespaces/shop/deployments/web', { uid: uid(6), resourceVersion: '66' }],
]);

interface Request {
  readonly method?: string;
  readonly target?: string;
  readonly resource?: string;
  readonly subresource?: string;
  readonly contentType?: string;
}

async function resolved(body: unknown, request: Request = {}): Promise<unknown> {
  const { method = 'PATCH', target = ONE, resource = 'configmaps', subresource } = request;
  const step: Step = {
    auditID: 'a',
    command: '',
    method,
    target,
    writes: true,
    contentType: request.contentType ?? 'application/json',
    body: Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)),
    objectRef: { resource, namespace: 'shop', apiVersion: 'v1', subresource },
    recorded: { code: 200, body: undefined },
  };
  // What the recording names becomes a path: no part of it leads elsewhere.
  const asked: string[] = [];
  const lookUp = async (path: string) => {
    asked.push(path);
    return THERE.get(path);
  };
  const mapping = async (apiVersion: string, kind: string) => {
    asked.push(apiVersion);
    return KINDS[`${apiVersion} ${kind}`];
  };
  const result = await resolveIdentities(step, lookUp, mapping);
  for (const path of asked) assert.doesNotMatch(path, /\.\.|a\/b/);
  if ('skipped' in result) return result.skipped;
  const text = result.body!.toString('utf8');
  // Whatever the case: nothing of the recorded cluster is in what is sent.
  assert.ok(!text.includes(RECORDED) && !text.includes(OTHER) && !text.includes('"11"'), text);
  return typeof body === 'string' ? text : JSON.parse(text);
}

test('JSON Patch: the object’s own uid and revision are looked up, wherever a value holds them', async () => {
  const patch = (op: string, path: string, value: unknown) => [{ op, path, value }];
  for (const [path, mine, there] of [
    ['/metadata/resourceVersion', '11', '33'],
    ['/metadata/uid', RECORDED, uid(3)],
    ['/metadata', { uid: RECORDED, resourceVersion: '11' }, { uid: uid(3), resourceVersion: '33' }],
    ['', { metadata: { resourceVersion: '11' }, data: {} }, { metadata: { resourceVersion: '33' }, data: {} }],
  ] as const) {
    for (const op of ['test', 'add', 'replace'])
      assert.deepEqual(await resolved(patch(op, path, mine)), patch(op, path, there), `${op} ${path}`);
  }
  const status = { target: `${ONE}/status`, subresource: 'status' };
  assert.deepEqual(
    await resolved(patch('test', '/metadata/uid', RECORDED), status),
    patch('test', '/metadata/uid', uid(3)),
  );
  assert.equal(
    await resolved(patch('test', '/metadata/uid', RECORDED), { target: `${ONE}-gone` }),
    'the object that it names is not there',
  );
});

test('JSON Patch: owners and other references are looked up, and one that nothing names is not sent', async () => {
  const owner = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web', uid: RECORDED };
  for (const [path, value, there] of [
    ['/metadata/ownerReferences', [owner], [{ ...owner, uid: uid(6) }]],
    ['/metadata/ownerReferences/-', owner, { ...owner, uid: uid(6) }],
    ['/involvedObject', { kind: 'Pod', name: 'web-0', uid: RECORDED }, { kind: 'Pod', name: 'web-0', uid: uid(4) }],
  ] as const)
    assert.deepEqual(await resolved([{ op: 'add', path, value }]), [{ op: 'add', path, value: there }]);
  assert.equal(
    await resolved([{ op: 'replace', path: '/metadata/ownerReferences/0/uid', value: RECORDED }]),
    '/metadata/ownerReferences/0/uid is of the recorded cluster, and nothing says whose it is',
  );
  assert.equal(
    await resolved([{ op: 'add', path: '/metadata/ownerReferences', value: [{ ...owner, name: 'gone' }] }]),
    'its owner Deployment/gone is not there',
  );
  const text = [
    { op: 'add', path: '/metadata/annotations/a~1uid', value: 'x' },
    { op: 'remove', path: '/data/uid' },
  ];
  assert.deepEqual(await resolved(text), text);
});

test('preconditions, of a delete and inside an eviction', async () => {
  const preconditions = { uid: RECORDED, resourceVersion: '11' };
  const there = { uid: uid(3), resourceVersion: '33' };
  assert.deepEqual(await resolved({ preconditions }, { method: 'DELETE' }), { preconditions: there });
  const eviction = { method: 'POST', target: `${POD}/eviction`, resource: 'pods', subresource: 'eviction' };
  const body = { kind: 'Eviction', apiVersion: 'policy/v1', metadata: { name: 'web-0' } };
  assert.deepEqual(await resolved({ ...body, deleteOptions: { preconditions } }, eviction), {
    ...body,
    deleteOptions: { preconditions: { uid: uid(4), resourceVersion: '44' } },
  });
  assert.equal(
    await resolved({ ...body, deleteOptions: { preconditions } }, { ...eviction, target: `${POD}9/eviction` }),
    'the object that it names is not there',
  );
});

test('what is posted or put below an object has that object’s identity: Binding, Scale', async () => {
  const binding = { method: 'POST', target: `${POD}/binding`, resource: 'pods', subresource: 'binding' };
  assert.deepEqual(
    await resolved(
      { metadata: { name: 'web-0', uid: RECORDED }, target: { kind: 'Node', name: 'n1', uid: OTHER } },
      binding,
    ),
    { metadata: { name: 'web-0', uid: uid(4) }, target: { kind: 'Node', name: 'n1', uid: uid(5) } },
  );
  const web = '/apis/apps/v1/namespaces/shop/deployments/web';
  const scale = { method: 'PUT', target: `${web}/scale`, resource: 'deployments', subresource: 'scale' };
  assert.deepEqual(
    await resolved({ metadata: { name: 'web', uid: RECORDED, resourceVersion: '11' }, spec: { replicas: 2 } }, scale),
    { metadata: { name: 'web', uid: uid(6), resourceVersion: '66' }, spec: { replicas: 2 } },
  );
});

test('Events name what they are about; what is not there is named', async () => {
  const create = { method: 'POST', target: '/api/v1/namespaces/shop/events', resource: 'events' };
  const about = {
    kind: 'Pod',
    namespace: 'shop',
    name: 'web-0',
    apiVersion: 'v1',
    uid: RECORDED,
    resourceVersion: '11',
  };
  const there = { ...about, uid: uid(4), resourceVersion: '44' };
  for (const name of ['involvedObject', 'regarding', 'related'])
    assert.deepEqual(await resolved({ metadata: { name: 'e' }, [name]: about }, create), {
      metadata: { name: 'e' },
      [name]: there,
    });
  for (const wrong of [{ name: 'gone' }, { kind: 'Unheard' }, { name: '..' }, { name: 'a/b' }, { apiVersion: 'a/b/c' }])
    assert.equal(
      await resolved({ regarding: { ...about, ...wrong } }, create),
      `what it names, ${wrong.kind ?? 'Pod'}/${wrong.name ?? 'web-0'} is not there`,
    );
});

test('an identity that nothing names is not sent; what is only called so is', async () => {
  const put = { method: 'PUT' };
  for (const body of [
    { spec: { uid: RECORDED } },
    { spec: { template: { metadata: { uid: RECORDED } } } },
    { uid: OTHER },
  ])
    assert.match(String(await resolved(body, put)), /^\/\S*uid is of the recorded cluster/);
  assert.match(String(await resolved({ spec: { resourceVersion: '11' } }, put)), /^\/spec\/resourceVersion is of/);
  const harmless = {
    metadata: { name: 'one', labels: { uid: uid(9) } },
    spec: { uid: 'www', resourceVersion: 'v2' },
    data: { uid: uid(9), resourceVersion: '12' },
  };
  assert.deepEqual(await resolved(harmless, put), harmless);
});

test('a uid that labels and selectors hold again goes with the object’s own', async () => {
  const labels = { 'batch.kubernetes.io/controller-uid': RECORDED };
  assert.deepEqual(
    await resolved({ metadata: { uid: RECORDED }, spec: { selector: { matchLabels: labels } } }, { method: 'PUT' }),
    {
      metadata: { uid: uid(3) },
      spec: { selector: { matchLabels: { 'batch.kubernetes.io/controller-uid': uid(3) } } },
    },
  );
});

test('YAML of an apply is sent as it was, unless it holds an identity, however that is written', async () => {
  const request = { contentType: 'application/apply-patch+yaml' };
  const plain = 'metadata:\n  name: one\ndata: {a: yes}\n';
  assert.equal(await resolved(plain, request), plain);
  for (const wrong of [
    `metadata:\n  uid: ${RECORDED}\n`,
    'metadata: {"resourceVersion": "11"}\n',
    `metadata:\n  ownerReferences:\n  - uid: ${RECORDED}\n`,
    'metadata: {"\\u0075id": x}\n',
  ])
    assert.equal(await resolved(wrong, request), 'its YAML holds a uid or resourceVersion of the recorded cluster');
  assert.equal(await resolved('a: [', request), 'its YAML cannot be read');
});
