import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { type Asked, POLICY_ALL, Scene } from '../../gateway/scene.ts';

const TABLE = 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json';
const METADATA = 'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io';
const METADATA_LIST = 'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io';

/** Every shape in which the API server shows an object, asked for through the gateway; the values are new in each run. */
describe('every shape of an answer', { timeout: 180_000 }, () => {
  let scene: Scene;
  let base: string;
  let customers: string;
  let group: string;
  const word = () => `v${randomBytes(6).toString('hex')}`;
  const secret = { password: word(), other: word() };
  const customer = {
    phone: word(),
    pin: 900_000_000 + Math.floor(Math.random() * 90_000_000),
    tail: `${word()}${word()}`,
  };
  const hidden = [...Object.values(secret), customer.phone, String(customer.pin), customer.tail].flatMap((value) => [
    value,
    Buffer.from(value).toString('base64').replace(/=+$/, ''),
  ]);

  before(async () => {
    scene = await Scene.open('shapes', {
      rules: `${POLICY_ALL}
    - name: tokens
      action: Allow
      match: {verbs: [create], apiGroups: [""], resources: [serviceaccounts/token]}`,
    });
    base = `/api/v1/namespaces/${scene.namespace}`;
    group = `${scene.namespace}.example`;
    customers = `/apis/${group}/v1/namespaces/${scene.namespace}/customers`;
    await scene.cluster.apply(CRD(group));
    await scene.cluster.kubectl(['wait', '--for=condition=Established', `crd/customers.${group}`]);
    await scene.cluster.apply(`
apiVersion: sallyport.dev/v1alpha1
kind: MaskingRule
metadata: {name: ${scene.namespace}}
spec:
  subjects: [{kind: Group, name: ${scene.group}}]
  match: {apiGroups: [${group}], resources: [customers]}
  fields: [{path: spec.phone}, {path: spec.pin}, {path: spec.tail, action: Partial}, {path: status.seen}]
`);
    await scene.cluster.kubectl(['apply', '-n', scene.namespace, '-f', '-'], {
      input: JSON.stringify({
        apiVersion: 'v1',
        kind: 'List',
        items: [
          { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'db' }, stringData: secret },
          {
            apiVersion: `${group}/v1`,
            kind: 'Customer',
            metadata: { name: 'ada' },
            spec: { ...customer, note: 'fine' },
          },
        ],
      }),
    });
    for (let i = 0; i < 100 && (await scene.ask(`${customers}/ada`)).body.includes(customer.phone); i++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  });
  after(async () => {
    await scene?.cluster.kubectl([
      'delete',
      `maskingrule/${scene.namespace}`,
      `crd/customers.${group}`,
      '--wait=false',
    ]);
    await scene?.close();
  });

  async function ask(path: string, accept: string, asked: Asked = {}) {
    const answer = await scene.ask(path, { ...asked, headers: ['Accept', accept, ...(asked.headers ?? [])] });
    for (const value of hidden)
      assert.ok(!answer.body.includes(value), `${path} shows ${value}: ${answer.body.slice(0, 2_000)}`);
    return answer;
  }

  const kubectl = async (...args: string[]) => {
    const result = await scene.cluster.kubectl(args, { kubeconfig: await scene.kubeconfig() });
    for (const value of hidden)
      assert.ok(!(result.stdout + result.stderr).includes(value), `${args.join(' ')}: ${result.stdout}`);
    return result;
  };

  describe('Tables', () => {
    interface Table {
      kind: string;
      columnDefinitions: { name: string }[] | null;
      rows: { cells: unknown[]; object: { kind: string; metadata: { name: string; uid: string } } | null }[];
    }

    it('cells of masked fields are masked, and rows hold what was asked for', async () => {
      const admin = (await scene.cluster.admin('GET', `${customers}/ada`)).json() as { metadata: { uid: string } };
      for (const [query, kind] of [
        ['', 'PartialObjectMetadata'],
        ['?includeObject=Metadata', 'PartialObjectMetadata'],
        ['?includeObject=Object', 'Customer'],
        ['?includeObject=None', undefined],
      ] as const) {
        for (const path of [`${customers}${query}`, `${customers}/ada${query}`]) {
          const { rows, columnDefinitions } = (await ask(path, TABLE)).json() as Table;
          assert.equal(rows.length, 1);
          const [row] = rows;
          assert.equal(row!.object?.kind, kind, path);
          if (kind !== undefined) assert.equal(row!.object!.metadata.uid, admin.metadata.uid);
          const cell = (name: string) => row!.cells[columnDefinitions!.findIndex((column) => column.name === name)];
          assert.equal(cell('Name'), 'ada');
          assert.equal(cell('Note'), 'fine');
          assert.match(String(cell('Phone')), /^sallyport\.masked\./);
          assert.equal(cell('Pin'), 0);
          assert.match(String(cell('Tail')), new RegExp(`${customer.tail.slice(-4)}$`));
          assert.match(String(cell('All')), /sallyport\.masked\./);
        }
      }
    });

    it('of Kubernetes’ own kinds are asked for as they were', async () => {
      await ask(`${base}/secrets`, TABLE);
      const heard = scene.arrived(`${base}/secrets`);
      assert.ok(heard.length > 0 && heard.every(({ requestURI }) => !requestURI.includes('includeObject')));
    });

    it('watched', async () => {
      const { body } = await ask(`${customers}?watch=1&timeoutSeconds=1`, TABLE);
      const [first] = body
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as { type: string; object: Table });
      assert.equal(first!.object.rows[0]!.object!.kind, 'PartialObjectMetadata');
      const initial = `${customers}?watch=1&timeoutSeconds=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true`;
      const events = (await ask(initial, TABLE)).body.trim().split('\n');
      assert.ok(
        events.some((event) => event.includes('k8s.io/initial-events-end')),
        events.join('\n'),
      );
    });
  });

  it('lists and objects: JSON whatever else is offered, and order and versions as they were', async () => {
    for (const accept of [
      'application/json',
      '*/*',
      'application/vnd.kubernetes.protobuf,application/json',
      'application/cbor,application/json;q=0.9',
    ]) {
      for (const path of [
        `${base}/secrets`,
        `${base}/secrets/db`,
        customers,
        `${customers}/ada`,
        `${customers}/ada/status`,
      ]) {
        const { status, headers, json } = await ask(path, accept);
        assert.equal(status, 200, `${path} ${accept}`);
        assert.equal(headers['content-type'], 'application/json');
        const admin = (await scene.cluster.admin('GET', path)).json() as {
          metadata: { resourceVersion: string };
          items?: unknown[];
        };
        const seen = json() as typeof admin;
        assert.equal(seen.items?.length, admin.items?.length);
        if (admin.items === undefined) assert.deepEqual(seen.metadata.resourceVersion, admin.metadata.resourceVersion);
      }
    }
  });

  it('a client that takes nothing that can be read gets a 406 that says what to send', async () => {
    for (const accept of [
      'application/vnd.kubernetes.protobuf',
      'application/cbor',
      'application/yaml',
      'application/json;q=0',
    ]) {
      const { status, body } = await ask(`${base}/secrets`, accept);
      assert.equal(status, 406, accept);
      assert.match(body, /SP_MASKING_NOT_ACCEPTABLE.*Accept: application\/json/);
    }
    // Discovery is free: it is what the client asked for.
    const openapi = 'application/com.github.proto-openapi.spec.v2@v1.0+protobuf';
    assert.match(String((await ask('/openapi/v2', openapi)).headers['content-type']), /protobuf/);
  });

  it('compressed answers are not asked for', async () => {
    await scene.cluster.admin('POST', `${base}/configmaps`, {
      metadata: { name: 'large' },
      data: { text: 'lorem ipsum '.repeat(20_000), password: secret.password },
    });
    const { headers } = await ask(`${base}/configmaps/large`, 'application/json', {
      headers: ['Accept-Encoding', 'gzip'],
    });
    assert.equal(headers['content-encoding'], undefined);
  });

  it('metadata alone, with the whole manifest in its last-applied-configuration', async () => {
    for (const [path, accept] of [
      [`${base}/secrets/db`, METADATA],
      [`${base}/secrets`, METADATA_LIST],
      [`${customers}/ada`, METADATA],
      [customers, METADATA_LIST],
      [`${customers}?watch=1&timeoutSeconds=1`, METADATA],
    ] as const) {
      const { status, body } = await ask(path, accept);
      assert.equal(status, 200);
      assert.match(body, /last-applied-configuration/);
      assert.match(body, /sallyport\.masked\./);
    }
  });

  it('watches: events in order, bookmarks and errors untouched', async () => {
    for (const path of [`${base}/secrets`, customers]) {
      const { body } = await ask(`${path}?watch=1&timeoutSeconds=1&allowWatchBookmarks=true`, 'application/json');
      assert.match(body, /^\{"type":"ADDED"/);
      const gone = await ask(`${path}?watch=1&resourceVersion=1&timeoutSeconds=1`, 'application/json');
      if (gone.body.includes('"ERROR"')) assert.match(gone.body, /too old resource version/);
      const initial = `${path}?watch=1&timeoutSeconds=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true`;
      assert.match((await ask(initial, 'application/json')).body, /"type":"BOOKMARK"[^\n]*k8s\.io\/initial-events-end/);
    }
  });

  it('echoes of what is written', async () => {
    const json = ['Content-Type', 'application/json'];
    const made = await ask(`${base}/secrets`, 'application/json', {
      method: 'POST',
      headers: json,
      body: JSON.stringify({ metadata: { name: 'mine' }, stringData: { own: secret.password } }),
    });
    assert.equal(made.status, 201);
    for (const [type, body] of [
      ['application/merge-patch+json', '{"metadata":{"labels":{"a":"b"}}}'],
      ['application/strategic-merge-patch+json', '{"metadata":{"labels":{"a":"c"}}}'],
      ['application/json-patch+json', '[{"op":"add","path":"/metadata/labels/d","value":"e"}]'],
    ] as const) {
      const patched = await ask(`${base}/secrets/db`, 'application/json', {
        method: 'PATCH',
        headers: ['Content-Type', type],
        body,
      });
      assert.equal(patched.status, 200, patched.body);
    }
    const apply = JSON.stringify({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'db', labels: { f: 'g' } } });
    const applied = await ask(`${base}/secrets/db?fieldManager=agent`, 'application/json', {
      method: 'PATCH',
      headers: ['Content-Type', 'application/apply-patch+yaml'],
      body: apply,
    });
    assert.equal(applied.status, 200, applied.body);
    const deleted = await ask(`${base}/secrets/mine`, 'application/json', { method: 'DELETE' });
    assert.equal(deleted.status, 200);
  });

  it('errors about kinds with masked fields repeat no value', async () => {
    const patch = (path: string, body: string, type = 'application/strategic-merge-patch+json') =>
      ask(path, 'application/json', { method: 'PATCH', headers: ['Content-Type', type], body });
    const echoes = await patch(`${base}/secrets/db`, '{"data":{"new":"no base64"}}', 'application/merge-patch+json');
    assert.ok(echoes.status >= 400, echoes.body);
    assert.ok((await patch(`${base}/secrets/db`, '{"data":{"new":7}}')).status >= 400);
    const invalid = await patch(`${customers}/ada`, '{"spec":{"note":7}}', 'application/merge-patch+json');
    assert.equal(invalid.status, 422, invalid.body);
    assert.match((await ask(`${base}/secrets/none`, 'application/json')).body, /secrets \\"none\\" not found/);
  });

  it('the token of a TokenRequest', async () => {
    await scene.cluster.admin('POST', `${base}/serviceaccounts`, { metadata: { name: 'robot' } });
    const path = `${base}/serviceaccounts/robot/token`;
    const answer = await ask(path, 'application/json', {
      method: 'POST',
      headers: ['Content-Type', 'application/json'],
      body: JSON.stringify({ apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} }),
    });
    assert.equal(answer.status, 201, answer.body);
    assert.match((answer.json() as { status: { token: string } }).status.token, /^sallyport\.masked\./);
  });

  it('Events, and what an object says of itself', async () => {
    await scene.cluster.admin('POST', `${base}/events`, {
      metadata: { name: 'one' },
      involvedObject: { kind: 'Pod', namespace: scene.namespace, name: 'a' },
      type: 'Warning',
      reason: 'Failed',
      message: `cannot connect to postgres://app:${secret.password}@db:5432/shop`,
    });
    for (const path of [`${base}/events`, `/apis/events.k8s.io/v1/namespaces/${scene.namespace}/events`]) {
      for (const accept of ['application/json', TABLE]) await ask(path, accept);
    }
    assert.match((await kubectl('get', 'events')).stdout, /sallyport\.masked\./);
  });

  it('kubectl in all of its outputs', async () => {
    for (const output of [
      'wide',
      'yaml',
      'json',
      'name',
      'jsonpath={.items[*].spec}',
      'custom-columns=P:.spec.phone,N:.spec.pin',
      'go-template={{.}}',
    ]) {
      const { code, stderr } = await kubectl('get', `customers.${group}`, '-o', output);
      assert.equal(code, 0, stderr);
    }
    for (const args of [
      ['get', 'secret', 'db', '-o', 'yaml'],
      ['describe', 'secret', 'db'],
      ['describe', `customers.${group}`, 'ada'],
      ['get', 'all', '-A'],
    ]) {
      const { code, stderr } = await kubectl(...args);
      assert.equal(code, 0, stderr);
    }
  });
});

const CRD = (group: string) => `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: customers.${group}}
spec:
  group: ${group}
  scope: Namespaced
  names: {kind: Customer, listKind: CustomerList, plural: customers, singular: customer}
  versions:
    - name: v1
      served: true
      storage: true
      subresources: {status: {}}
      additionalPrinterColumns:
        - {name: Phone, type: string, jsonPath: .spec.phone}
        - {name: Pin, type: integer, jsonPath: .spec.pin}
        - {name: Tail, type: string, jsonPath: .spec.tail}
        - {name: All, type: string, jsonPath: .spec}
        - {name: Note, type: string, jsonPath: .spec.note}
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec:
              type: object
              properties:
                phone: {type: string}
                pin: {type: integer}
                tail: {type: string}
                note: {type: string}
            status:
              type: object
              properties: {seen: {type: string}}
`;
