import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Body, deleteOptions, describeBody, MAX_BODY_LENGTH, parseBody, withDeleteOptions } from './body.ts';
import { parseRequest } from './request.ts';

const PODS = '/api/v1/namespaces/shop/pods';
const create = parseRequest('POST', PODS);
const patch = (contentType: string) => parseRequest('PATCH', `${PODS}/web`, { contentType });
const remove = parseRequest('DELETE', `${PODS}/web`);
const bytes = (text: string): Buffer => Buffer.from(text);

test('what kind of body a request carries', () => {
  const kinds: [method: string, target: string, kind: string, contentType?: string][] = [
    ['POST', PODS, 'object'],
    ['PUT', `${PODS}/web`, 'object'],
    ['PUT', `${PODS}/web/status`, 'object'],
    ['POST', `${PODS}/web/eviction`, 'object'],
    ['POST', '/api/v1/namespaces/shop/serviceaccounts/x/token', 'object'],
    ['PATCH', `${PODS}/web`, 'patch', 'application/json-patch+json'],
    ['PATCH', `${PODS}/web`, 'patch', 'application/apply-patch+yaml'],
    ['DELETE', `${PODS}/web`, 'options'],
    ['DELETE', PODS, 'options'],
    ['GET', PODS, 'none'],
    ['HEAD', `${PODS}/web`, 'none'],
    ['POST', `${PODS}/web/exec?command=ls`, 'none'],
    ['POST', `${PODS}/web/attach`, 'none'],
    ['POST', `${PODS}/web/portforward`, 'none'],
    ['POST', `${PODS}/web/proxy/x`, 'opaque'],
    ['PATCH', `${PODS}/web/proxy/x`, 'opaque', 'application/json-patch+json'],
    ['DELETE', '/api/v1/namespaces/shop/services/web/proxy/x', 'opaque'],
    ['POST', '/healthz', 'opaque'],
  ];
  for (const [method, target, kind, contentType] of kinds) {
    assert.equal(describeBody(parseRequest(method, target, { contentType })), kind, `${method} ${target}`);
  }
});

test('JSON passes byte for byte under its canonical type', () => {
  const text = '{ "a" : 9007199254740993, "b": 1.0 }\n';
  for (const type of [undefined, '', 'application/json', 'Application/JSON; charset=utf-16', ' application/json ']) {
    const body = parseBody(create, type, bytes(text));
    assert.equal(body.encoding, 'json');
    assert.equal(body.json, text);
    assert.equal(Buffer.from(body.bytes).toString(), text);
    assert.equal(body.contentType, 'application/json');
  }
});

test('YAML becomes JSON, which is decided on and forwarded', () => {
  const body = parseBody(create, 'application/yaml', bytes('kind: Pod\nspec: {replicas: 1.0}\n'));
  assert.equal(body.json, '{"kind":"Pod","spec":{"replicas":1}}');
  assert.equal(Buffer.from(body.bytes).toString(), body.json);
  assert.equal(body.contentType, 'application/json');
});

test('server-side apply keeps its content type; YAML and JSON under it are written as JSON', () => {
  const apply = patch('application/apply-patch+yaml');
  for (const text of [
    '{"data":{"a":"x\u2028y","b":"1"},"count":1.0,"big":9007199254740993}',
    '{data: {a: "x\\u2028y", b: \'1\'}, count: 1e0, big: 9007199254740993}',
  ]) {
    const body = parseBody(apply, 'application/apply-patch+yaml', bytes(text));
    assert.equal(body.json, '{"data":{"a":"x\\u2028y","b":"1"},"count":1,"big":9007199254740993}');
    assert.equal(Buffer.from(body.bytes).toString(), body.json);
    assert.equal(body.contentType, 'application/apply-patch+yaml');
  }
  assert.throws(() => parseBody(apply, undefined, bytes('{"data":{"<<":{"a":1}}}')), { code: 'SP_BAD_REQUEST' });
  assert.throws(() => parseBody(apply, undefined, bytes('{"a":1,"a":2}')), { code: 'SP_BAD_REQUEST' });
  // The same key in JSON proper is only a name.
  assert.equal(parseBody(create, undefined, bytes('{"data":{"<<":{"a":1}}}')).encoding, 'json');
});

test('protobuf and CBOR are known by type and magic, and not read', () => {
  const protobuf = Buffer.from('k8s\0rest');
  const cbor = Buffer.from([0xd9, 0xd9, 0xf7, 0xa0]);
  const cases: [Body, string][] = [
    [parseBody(create, 'application/vnd.kubernetes.protobuf', protobuf), 'protobuf'],
    [parseBody(create, 'application/cbor', cbor), 'cbor'],
    [parseBody(patch('application/apply-patch+cbor'), 'application/apply-patch+cbor', cbor), 'cbor'],
  ];
  for (const [body, encoding] of cases) {
    assert.equal(body.encoding, encoding);
    assert.equal(body.json, undefined);
    assert.equal(body.tree, undefined);
  }
  for (const [type, content] of [
    ['application/vnd.kubernetes.protobuf', cbor],
    ['application/cbor', protobuf],
    ['application/json', protobuf],
    ['application/json', cbor],
    ['application/yaml', protobuf],
    ['application/yaml', cbor],
    ['application/vnd.kubernetes.protobuf', bytes('{}')],
  ] as const) {
    assert.throws(() => parseBody(create, type, content), { code: 'SP_BAD_REQUEST' }, type);
  }
});

test('other types, wrong roots, empty and over-long bodies are refused', () => {
  for (const type of [
    'text/plain',
    'application/x-www-form-urlencoded',
    'application/json, text/plain',
    'multipart/form-data; boundary=x',
  ]) {
    assert.throws(() => parseBody(create, type, bytes('{}')), { code: 'SP_UNSUPPORTED_MEDIA_TYPE' }, type);
  }
  for (const [operation, text] of [
    [create, '[]'],
    [create, 'null'],
    [create, ''],
    [create, '{}{}'],
    [patch('application/json-patch+json'), '{}'],
    [patch('application/merge-patch+json'), '[]'],
    [patch('application/apply-patch+yaml'), '- a'],
    [patch('application/merge-patch+json'), 'a: b'],
    [remove, '[]'],
    [parseRequest('POST', `${PODS}/web/exec`), '{}'],
    [parseRequest('GET', PODS), '{}'],
  ] as const) {
    assert.throws(() => parseBody(operation, undefined, bytes(text)), { code: 'SP_BAD_REQUEST' }, text);
  }
  assert.throws(() => parseBody(create, undefined, Buffer.alloc(MAX_BODY_LENGTH + 1, 0x20)), {
    code: 'SP_BODY_TOO_LARGE',
  });
});

test('opaque bodies are left alone', () => {
  const body = parseBody(parseRequest('POST', `${PODS}/web/proxy/`), 'text/plain', bytes('{"a":1,"a":2}'));
  assert.deepEqual(
    [body.encoding, body.contentType, Buffer.from(body.bytes).toString()],
    ['opaque', undefined, '{"a":1,"a":2}'],
  );
});

test('a delete is a dry run only where the API server takes it for one', () => {
  const dry = parseRequest('DELETE', `${PODS}/web?dryRun=All`);
  const real = parseRequest('DELETE', `${PODS}/web`);
  const body = (text: string): Body => parseBody(real, undefined, bytes(text));
  assert.equal(dry.dryRun, false, 'before the body is known, a delete is real');
  assert.equal(withDeleteOptions(dry, undefined).dryRun, true);
  assert.equal(withDeleteOptions(dry, parseBody(dry, undefined, bytes(''))).dryRun, true);
  // A body silences the query: this deletes.
  assert.equal(withDeleteOptions(dry, body('{}')).dryRun, false);
  assert.equal(withDeleteOptions(dry, body('{"dryRun":[]}')).dryRun, false);
  assert.equal(withDeleteOptions(dry, body('{"dryRun":null}')).dryRun, false);
  assert.equal(withDeleteOptions(dry, body('{"DryRun":["All"]}')).dryRun, false);
  assert.equal(withDeleteOptions(real, body('{"dryRun":["All"]}')).dryRun, true);
  assert.equal(withDeleteOptions(real, body('{"dryRun":["All","All"]}')).dryRun, true);
  for (const text of [
    '{"dryRun":"All"}',
    '{"dryRun":["None"]}',
    '{"dryRun":["All",""]}',
    '{"dryRun":true}',
    '{"dryRun":{}}',
  ]) {
    assert.throws(() => withDeleteOptions(real, body(text)), { code: 'SP_BAD_REQUEST' }, text);
  }
  const protobuf = parseBody(dry, 'application/vnd.kubernetes.protobuf', Buffer.from('k8s\0x'));
  assert.equal(withDeleteOptions(dry, protobuf).dryRun, false);
  const yaml = parseBody(real, 'application/yaml', bytes('dryRun: [All]'));
  assert.equal(withDeleteOptions(real, yaml).dryRun, true);
  assert.equal(withDeleteOptions(create, undefined), create);
});

test('preconditions come from where the API server takes them', () => {
  const body = parseBody(remove, undefined, bytes('{"preconditions":{"uid":"u","resourceVersion":"7"}}'));
  assert.deepEqual(deleteOptions(remove, body).preconditions, { uid: 'u', resourceVersion: '7' });
  const query = parseRequest('DELETE', `${PODS}/web?uid=u&resourceVersion=7`);
  assert.deepEqual(deleteOptions(query, undefined).preconditions, { uid: 'u', resourceVersion: '7' });
  assert.deepEqual(deleteOptions(query, parseBody(query, undefined, bytes('{}'))).preconditions, {
    uid: undefined,
    resourceVersion: undefined,
  });
  assert.throws(() => deleteOptions(remove, parseBody(remove, undefined, bytes('{"preconditions":{"uid":7}}'))), {
    code: 'SP_BAD_REQUEST',
  });
});
