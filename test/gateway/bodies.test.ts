import assert from 'node:assert/strict';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { POLICY_ALL, Scene } from './scene.ts';

const RULES = `${POLICY_ALL}
    - name: nothing-forbidden
      action: Deny
      match: {verbs: [create, update, patch], apiGroups: [""], resources: [configmaps]}
      matchConditions: [{name: forbidden, expression: "'forbidden' in object.?data.orValue({})"}]
    - name: leases-are-given
      action: Deny
      match: {verbs: [create], apiGroups: [coordination.k8s.io], resources: [leases]}
    - name: no-new-secrets
      action: Deny
      match: {verbs: [create], apiGroups: [""], resources: [secrets]}
    - name: no-real-delete
      action: Deny
      match: {verbs: [delete], apiGroups: [""], resources: [secrets]}
      matchConditions: [{name: real, expression: "!request.dryRun"}]
    - name: keep-the-precious
      action: Deny
      match: {verbs: [delete, deletecollection], apiGroups: [""], resources: [configmaps], resourceNames: [precious]}`;

/** A rule that reads the object sees the object that would be stored, in whatever form the request wraps it. */
describe('bodies and the objects they make', { timeout: 120_000 }, () => {
  let scene: Scene;
  let base: string;
  let kubeconfig: string;

  before(async () => {
    scene = await Scene.open('bodies', { rules: RULES });
    base = `/api/v1/namespaces/${scene.namespace}/configmaps`;
    kubeconfig = await scene.kubeconfig();
    for (const name of ['present', 'precious', 'other']) {
      await scene.cluster.admin('POST', base, { metadata: { name }, data: { a: 'b' } });
    }
    const secrets = base.replace('configmaps', 'secrets');
    await scene.cluster.admin('POST', secrets, { metadata: { name: 'present' }, stringData: { a: 'b' } });
  });
  after(async () => {
    await scene?.close();
  });

  const configMap = (name: string, data: Record<string, string>) => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name },
    data,
  });
  const post = (body: string | Buffer, type: string, more: string[] = []) =>
    scene.ask(base, { method: 'POST', body, headers: ['Content-Type', type, ...more] });
  const kubectl = (args: string[], options: { input?: string; env?: Record<string, string> } = {}) =>
    scene.cluster.kubectl(args, { kubeconfig, ...options });
  const stored = async (name: string) => (await scene.cluster.admin('GET', `${base}/${name}`)).json();

  function denied(result: { code: number | null; stderr: string }, rule = 'nothing-forbidden'): void {
    assert.equal(result.code, 1, result.stderr);
    assert.match(result.stderr, /SP_POLICY_DENIED/);
    assert.match(result.stderr, new RegExp(rule));
  }

  describe('a create', () => {
    it('in JSON and in YAML', async () => {
      assert.equal((await post(JSON.stringify(configMap('json', { fine: '1' })), 'application/json')).status, 201);
      assert.equal((await post(JSON.stringify(configMap('j2', { forbidden: '1' })), 'application/json')).status, 403);
      const yaml = (key: string) =>
        `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: yaml-${key}}\ndata:\n  ? ${key}\n  : "1"\n`;
      assert.equal((await post(yaml('fine'), 'application/yaml')).status, 201);
      assert.equal((await post(yaml('forbidden'), 'application/yaml')).status, 403);
    });

    it('that two parsers could read differently is refused', async () => {
      const twice =
        '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"twice"},"data":{"forbidden":"1"},"data":{}}';
      for (const [what, body] of [
        ['duplicate keys', twice],
        ['duplicate keys behind an escape', twice.replace('"data":{}', '"d\\u0061ta":{}')],
        ['no JSON', '{"apiVersion":'],
        ['two documents', '{}{}'],
        ['a list', '[]'],
        ['not UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])],
        ['empty', ' '],
        ['too deep', `{"a":${'['.repeat(20_000)}`],
      ] as const) {
        const answer = await post(body, 'application/json');
        assert.equal(answer.status, 400, `${what}: ${answer.body}`);
        assert.match(answer.json().message, /^SP_BAD_REQUEST/, what);
      }
    });

    it('in an encoding that cannot be judged is refused', async () => {
      const zipped = await post(gzipSync(JSON.stringify(configMap('zip', { forbidden: '1' }))), 'application/json', [
        'Content-Encoding',
        'gzip',
      ]);
      assert.equal(zipped.status, 415, zipped.body);
      const unknown = await post('<ConfigMap/>', 'application/xml');
      assert.equal(unknown.status, 415);
      assert.match(unknown.json().message, /^SP_UNSUPPORTED_MEDIA_TYPE/);
    });

    it('in protobuf: the API server’s dry run shows what it makes', async () => {
      const type = 'application/vnd.kubernetes.protobuf';
      const fine = await post(protobufConfigMap('proto-fine', { fine: '1' }), type);
      assert.equal(fine.status, 201, fine.body);
      assert.deepEqual((await stored('proto-fine')).data, { fine: '1' });
      const refused = await post(protobufConfigMap('proto-bad', { forbidden: '1' }), type);
      assert.equal(refused.status, 403, refused.body);
      assert.equal((await stored('proto-bad')).code, 404);
      assert.equal((await post('not protobuf', type)).status, 400);
    });

    it('in CBOR: the same, as far as the API server speaks it', async () => {
      // {"apiVersion":"v1"} behind the self-described tag; without its feature gate the API server answers 415.
      const body = Buffer.concat([
        Buffer.from('d9d9f7a14a', 'hex'),
        Buffer.from('apiVersion'),
        Buffer.from('427631', 'hex'),
      ]);
      const answer = await post(body, 'application/cbor');
      assert.ok([400, 415, 422].includes(answer.status), answer.body);
      assert.match(answer.body, /"kind":"Status"/);
    });
  });

  describe('a patch of each kind is judged by its result', () => {
    for (const [type, good, bad] of [
      [
        'json',
        '[{"op":"add","path":"/data/fine","value":"1"}]',
        '[{"op":"copy","from":"/data/a","path":"/data/forbidden"}]',
      ],
      ['merge', '{"data":{"fine":"2"}}', '{"data":{"forbidden":"1"}}'],
      ['strategic', '{"data":{"fine":"3"}}', '{"data":{"forbidden":"1"}}'],
    ] as const) {
      it(`kubectl patch --type=${type}`, async () => {
        const allowed = await kubectl(['patch', 'configmap', 'present', `--type=${type}`, '-p', good]);
        assert.equal(allowed.code, 0, allowed.stderr);
        denied(await kubectl(['patch', 'configmap', 'present', `--type=${type}`, '-p', bad]));
        assert.ok(!('forbidden' in (await stored('present')).data));
      });
    }

    it('kubectl apply, on the server’s side and on the client’s', async () => {
      for (const flags of [['--server-side', '--force-conflicts'], []]) {
        const name = flags.length > 0 ? 'ssa' : 'csa';
        const apply = (data: Record<string, string>) =>
          kubectl(['apply', ...flags, '-f', '-'], { input: JSON.stringify(configMap(name, data)) });
        const made = await apply({ fine: '1' });
        assert.equal(made.code, 0, made.stderr);
        const changed = await apply({ fine: '2' });
        assert.equal(changed.code, 0, changed.stderr);
        denied(await apply({ fine: '2', forbidden: '1' }));
        assert.deepEqual((await stored(name)).data, { fine: '2' });
      }
    });

    it('kubectl edit and replace', async () => {
      const editor = join(scene.gateway.directory, 'editor');
      writeFileSync(editor, '#!/bin/sh\nsed -i "s/a: b/a: b\\n  forbidden: x/" "$1"\n');
      chmodSync(editor, 0o755);
      const edited = await kubectl(['edit', 'configmap', 'other'], { env: { KUBE_EDITOR: editor } });
      assert.match(edited.stderr, /SP_POLICY_DENIED/);
      const replace = (data: Record<string, string>) =>
        kubectl(['replace', '-f', '-'], { input: JSON.stringify(configMap('other', data)) });
      denied(await replace({ forbidden: '1' }));
      const fine = await replace({ a: 'c' });
      assert.equal(fine.code, 0, fine.stderr);
      assert.deepEqual((await stored('other')).data, { a: 'c' });
    });

    it('what the API server itself refuses is told in its own words', async () => {
      const conflict = await scene.ask(`${base}/present`, {
        method: 'PATCH',
        body: '[{"op":"test","path":"/data/a","value":"wrong"}]',
        headers: ['Content-Type', 'application/json-patch+json'],
      });
      assert.equal(conflict.status, 422, conflict.body);
      assert.match(conflict.json().message, /server rejected our request|testing value|test/i);
      assert.doesNotMatch(conflict.json().message, /^SP_/);
    });
  });

  describe('what creates is judged as a create', () => {
    it('a PUT of something that is not there', async () => {
      const leases = `/apis/coordination.k8s.io/v1/namespaces/${scene.namespace}/leases`;
      const lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name: 'l' }, spec: {} };
      const put = (body: unknown) =>
        scene.ask(`${leases}/l`, {
          method: 'PUT',
          body: JSON.stringify(body),
          headers: ['Content-Type', 'application/json'],
        });
      const refused = await put(lease);
      assert.equal(refused.status, 403, refused.body);
      assert.match(refused.json().message, /leases-are-given/);
      const made = await scene.cluster.admin('POST', leases, lease);
      assert.equal(made.status, 201, made.body);
      const updated = await put({ ...made.json(), spec: { holderIdentity: 'x' } });
      assert.equal(updated.status, 200, updated.body);
    });

    it('an apply of something that is not there', async () => {
      const secret = (name: string) =>
        JSON.stringify({ apiVersion: 'v1', kind: 'Secret', metadata: { name }, stringData: { k: 'v' } });
      const apply = (name: string) =>
        kubectl(['apply', '--server-side', '--force-conflicts', '-f', '-'], { input: secret(name) });
      denied(await apply('fresh'), 'no-new-secrets');
      const known = await apply('present');
      assert.equal(known.code, 0, known.stderr);
    });
  });

  describe('a delete', () => {
    it('is a dry run only if its body, where it has one, says so', async () => {
      const target = `/api/v1/namespaces/${scene.namespace}/secrets/present`;
      const remove = (query: string, body?: string) =>
        scene.ask(`${target}${query}`, {
          method: 'DELETE',
          ...(body === undefined ? {} : { body, headers: ['Content-Type', 'application/json'] }),
        });
      assert.equal((await remove('?dryRun=All')).status, 200);
      assert.equal((await remove('', '{"dryRun":["All"]}')).status, 200);
      for (const refused of [
        await remove(''),
        await remove('?dryRun=All', '{}'),
        await remove('?dryRun=All', '{"dryRun":[]}'),
      ]) {
        assert.equal(refused.status, 403, refused.body);
        assert.match(refused.json().message, /no-real-delete/);
      }
      assert.equal((await scene.cluster.admin('GET', target)).status, 200);
    });

    it('of a collection counts for every object that it could touch', async () => {
      const all = await kubectl(['delete', 'configmaps', '--all']);
      assert.match(all.stderr, /keep-the-precious/);
      for (const query of ['', '?labelSelector=a=b', '?fieldSelector=metadata.name!=other']) {
        const answer = await scene.ask(`${base}${query}`, { method: 'DELETE' });
        assert.equal(answer.status, 403, query);
        assert.match(answer.json().message, /keep-the-precious/);
      }
      const one = await scene.ask(`${base}?fieldSelector=metadata.name%3Dnobody`, { method: 'DELETE' });
      assert.equal(one.status, 200, one.body);
      assert.equal((await scene.cluster.admin('GET', `${base}/precious`)).status, 200);
    });
  });

  it('a read over all namespaces leaves the gateway’s own out', async () => {
    const { namespace } = scene.gateway;
    for (const args of [
      ['get', 'secrets', '-A'],
      ['get', 'secrets', '-A', '-o', 'json'],
      ['get', 'secrets', '-A', '--field-selector=type=Opaque', '-o', 'yaml'],
      ['get', 'secrets', '-A', '--watch', '--request-timeout=1s'],
      ['get', '--raw', '/api/v1/secrets'],
      ['get', '--raw', '/api/v1/watch/secrets?timeoutSeconds=1'],
    ]) {
      const read = await kubectl(args);
      assert.match(read.stdout, new RegExp(scene.namespace), `${args.join(' ')}: ${read.stderr}`);
      assert.ok(!read.stdout.includes(namespace), args.join(' '));
    }
    const inside = await kubectl(['get', 'secrets', '-n', namespace]);
    assert.match(inside.stderr, /SP_BEDROCK/);
  });
});

/** `k8s\0` and runtime.Unknown {typeMeta, raw} (k8s.io/apimachinery/pkg/runtime/generated.proto). */
function protobufConfigMap(name: string, data: Record<string, string>): Buffer {
  const field = (number: number, bytes: Buffer | string) => {
    const content = Buffer.from(bytes);
    return Buffer.concat([Buffer.from([(number << 3) | 2, content.length]), content]);
  };
  const entries = Object.entries(data).map(([key, value]) => field(2, Buffer.concat([field(1, key), field(2, value)])));
  const object = Buffer.concat([field(1, field(1, name)), ...entries]);
  const type = Buffer.concat([field(1, 'v1'), field(2, 'ConfigMap')]);
  return Buffer.concat([Buffer.from('k8s\0'), field(1, type), field(2, object)]);
}
