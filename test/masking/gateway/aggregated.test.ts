import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer as createHttp, type Server } from 'node:http';
import { createServer as createHttps } from 'node:https';
import type { AddressInfo } from 'node:net';
import { networkInterfaces } from 'node:os';
import { after, before, describe, it } from 'node:test';
import { CertificateAuthority } from '../../cluster/certificates.ts';
import { POLICY_ALL, Scene } from '../../gateway/scene.ts';

const MASKED = /sallyport\.masked\.[a-z2-7]{26}/;

/** An API server of our own behind the real one, and a program that it proxies to: what they say is masked as well. */
describe('aggregated APIs and proxied programs', { timeout: 120_000 }, () => {
  let scene: Scene;
  let aggregated: Server;
  let program: Server;
  const group = `g${randomBytes(4).toString('hex')}.example`;
  const token = `ghp_${randomBytes(18).toString('hex')}`;
  const received: string[] = [];
  const objects = `/apis/${group}/v1/namespaces`;

  const thing = (name: string, version: number) => ({
    apiVersion: `${group}/v1`,
    kind: 'Thing',
    metadata: { name, namespace: 'any', uid: `u-${name}`, resourceVersion: String(version) },
    spec: { note: `use ${token}`, env: [{ name: 'DB_PASSWORD', value: 'Xk29fjq8' }] },
  });

  function answers(path: string, query: string): unknown {
    const resource = {
      name: 'things',
      singularName: 'thing',
      namespaced: true,
      kind: 'Thing',
      verbs: ['get', 'list', 'watch'],
    };
    if (path === `/apis/${group}/v1`)
      return { kind: 'APIResourceList', apiVersion: 'v1', groupVersion: `${group}/v1`, resources: [resource] };
    if (/\/things\/missing$/.test(path))
      return { kind: 'Status', apiVersion: 'v1', status: 'Failure', code: 404, message: `no ${token} here` };
    if (/\/things\/[^/]+$/.test(path)) return thing('one', 1);
    if (query.includes('watch=')) return undefined;
    return {
      kind: 'ThingList',
      apiVersion: `${group}/v1`,
      metadata: { resourceVersion: '9' },
      items: [thing('a', 1), thing('b', 2)],
    };
  }

  before(async () => {
    const authority = await CertificateAuthority.create('aggregated');
    const { certPem, keyPem } = await authority.server('aggregated', ['localhost', '127.0.0.1']);
    aggregated = createHttps({ cert: certPem, key: keyPem }, (request, response) => {
      const [path = '', query = ''] = (request.url ?? '').split('?', 2);
      const answer = answers(path, query);
      response.setHeader('Content-Type', 'application/json');
      if (answer !== undefined) {
        const { code } = answer as { code?: number };
        response.writeHead(code ?? 200).end(JSON.stringify(answer));
        return;
      }
      for (const version of [3, 4])
        response.write(`${JSON.stringify({ type: 'ADDED', object: thing('w', version) })}\n`);
      response.end();
    });
    aggregated.listen(0, '127.0.0.1');
    program = createHttp((request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString('latin1')));
      request.on('end', () => {
        received.push(body);
        if (request.url?.endsWith('/json')) {
          response.setHeader('Content-Type', 'application/json');
          response.end(JSON.stringify({ apiKey: token, level: 'info' }));
        } else response.end(`TOKEN=${token}\nLEVEL=info\n`);
      });
    });
    // The API server refuses endpoints on the loopback.
    program.listen(0, '0.0.0.0');
    await Promise.all([once(aggregated, 'listening'), once(program, 'listening')]);
    scene = await Scene.open('aggregated', {
      rules: `${POLICY_ALL}
    - name: proxied
      action: Allow
      match: {verbs: ["*"], apiGroups: [""], resources: [services/proxy]}`,
    });
    const port = (aggregated.address() as AddressInfo).port;
    await scene.cluster.apply(`
apiVersion: v1
kind: Service
metadata: {name: things, namespace: ${scene.namespace}}
spec: {type: ExternalName, externalName: localhost}
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1.${group}}
spec:
  group: ${group}
  version: v1
  groupPriorityMinimum: 100
  versionPriority: 100
  insecureSkipTLSVerify: true
  service: {name: things, namespace: ${scene.namespace}, port: ${port}}
`);
    const deadline = performance.now() + 60_000;
    for (;;) {
      const { status } = await scene.cluster.admin('GET', `${objects}/any/things/one`);
      if (status === 200) break;
      assert.ok(performance.now() < deadline, `the aggregated API does not come up: HTTP ${status}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  });
  after(async () => {
    await scene?.cluster.admin('DELETE', `/apis/apiregistration.k8s.io/v1/apiservices/v1.${group}`);
    aggregated?.close();
    program?.close();
    await scene?.close();
  });

  it('an object, a list, a watch and an error of an aggregated API', async () => {
    for (const path of ['any/things/one', 'any/things', 'any/things?watch=true', 'any/things/missing']) {
      const { status, body } = await scene.ask(`${objects}/${path}`);
      assert.equal(status, path.endsWith('missing') ? 404 : 200, body);
      assert.ok(!body.includes(token) && !body.includes('Xk29fjq8'), `${path}: ${body}`);
      assert.match(body, MASKED, path);
    }
    const list = (await scene.ask(`${objects}/any/things`)).json();
    assert.deepEqual(
      list.items.map(({ metadata }: { metadata: { name: string; resourceVersion: string } }) => [
        metadata.name,
        metadata.resourceVersion,
      ]),
      [
        ['a', '1'],
        ['b', '2'],
      ],
    );
    const real = await scene.cluster.admin('GET', `${objects}/any/things/one`);
    assert.ok(real.body.includes(token), 'without the gateway all is seen');
  });

  it('a program behind services/proxy: its answers are masked, a placeholder does not reach it', async (t) => {
    const address = Object.values(networkInterfaces())
      .flatMap((all) => all ?? [])
      .find(({ family, internal }) => family === 'IPv4' && !internal)?.address;
    if (address === undefined) return t.skip('no address but the loopback');
    const port = (program.address() as AddressInfo).port;
    // The API server proxies to the address of a Pod only: this one runs nowhere, and says that it has the machine's.
    const pods = `/api/v1/namespaces/${scene.namespace}/pods`;
    const made = await scene.cluster.admin('POST', pods, {
      metadata: { name: 'program' },
      spec: { schedulerName: 'nobody', containers: [{ name: 'main', image: 'sallyport.test/none' }] },
    });
    assert.equal(made.status, 201, made.body);
    const { metadata, ...pod } = JSON.parse(made.body) as { metadata: { uid: string } };
    const status = { podIP: address, podIPs: [{ ip: address }] };
    const said = await scene.cluster.admin('PUT', `${pods}/program/status`, { ...pod, metadata, status });
    assert.equal(said.status, 200, said.body);
    const target = `{kind: Pod, name: program, namespace: ${scene.namespace}, uid: ${metadata.uid}}`;
    await scene.cluster.apply(`
apiVersion: v1
kind: Service
metadata: {name: program, namespace: ${scene.namespace}}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Endpoints
metadata: {name: program, namespace: ${scene.namespace}}
subsets: [{addresses: [{ip: ${address}, targetRef: ${target}}], ports: [{name: http, port: ${port}}]}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: program-1, namespace: ${scene.namespace}, labels: {kubernetes.io/service-name: program}}
addressType: IPv4
endpoints: [{addresses: [${address}], conditions: {ready: true}, targetRef: ${target}}]
ports: [{name: http, port: ${port}}]
`);
    const proxy = `/api/v1/namespaces/${scene.namespace}/services/program:http/proxy`;
    const deadline = performance.now() + 30_000;
    let answer = await scene.ask(`${proxy}/`);
    while (answer.status === 503 && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 200));
      answer = await scene.ask(`${proxy}/`);
    }
    assert.equal(answer.status, 200, answer.body);
    assert.match(answer.body, /^TOKEN=sallyport\.masked\.[a-z2-7]{26}\nLEVEL=info\n$/);
    const json = await scene.ask(`${proxy}/json`);
    assert.ok(!json.body.includes(token) && json.json().level === 'info', json.body);
    const posted = await scene.ask(`${proxy}/`, { method: 'POST', body: `plain ${token}` });
    assert.equal(posted.status, 200, posted.body);
    assert.equal(received.at(-1), `plain ${token}`);
    const [placeholder] = MASKED.exec(answer.body)!;
    const before = received.length;
    for (const text of [
      `a=${placeholder}`,
      Buffer.from(`x${placeholder}`).toString('base64'),
      Buffer.from(placeholder, 'utf16le'),
    ]) {
      const refused = await scene.ask(`${proxy}/`, { method: 'POST', body: text });
      assert.equal(refused.status, 422, refused.body);
      assert.match(refused.body, /SP_MASKING_PLACEHOLDER/);
    }
    assert.ok(
      received.slice(before).every((body) => body === ''),
      'nothing of a refused body arrived as a whole',
    );
  });
});
