import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Body, parseBody } from '../../request/body.ts';
import type { Operation } from '../../request/operation.ts';
import { parseRequest } from '../../request/request.ts';
import { type Guarded, Permit } from './permit.ts';
import { guard, mustBeGuardable } from './precondition.ts';
import type { Found } from './target.ts';

const MAPS = '/api/v1/namespaces/shop/configmaps';
const MAP = `${MAPS}/settings`;
const APPLY = 'application/apply-patch+yaml';
const MERGE = 'application/merge-patch+json';
const JSON_PATCH = 'application/json-patch+json';
const PROTOBUF = 'application/vnd.kubernetes.protobuf';
const there = { target: { uid: 'u', resourceVersion: '7' }, state: 'There' } as const;
const absent = { target: {}, state: 'Absent' } as const;

function guardOf(
  found: Pick<Found, 'target' | 'state' | 'collectionVersion'>,
  method: string,
  target: string,
  contentType?: string,
  body?: string | Buffer,
): Guarded | undefined {
  const operation = parseRequest(method, target, { contentType });
  return guard(operation, bodyOf(operation, contentType, body), found);
}
function bodyOf(operation: Operation, contentType?: string, body?: string | Buffer): Body | undefined {
  return body === undefined ? undefined : parseBody(operation, contentType, Buffer.from(body));
}
const sent = (guarded: Guarded | undefined): unknown => JSON.parse(guarded!.body!.toString());
const metadata = (guarded: Guarded | undefined): unknown => (sent(guarded) as { metadata: unknown }).metadata;

test('what was there is met by uid and version, and never made anew', () => {
  assert.deepEqual(metadata(guardOf(there, 'PUT', MAP, 'application/json', '{"data":{}}')), {
    resourceVersion: '7',
    uid: 'u',
  });
  assert.deepEqual(metadata(guardOf(there, 'PATCH', `${MAP}?fieldManager=a`, APPLY, 'data: {}')), {
    resourceVersion: '7',
    uid: 'u',
  });
  // Another patch makes nothing; the scale of an object is no object of its own.
  assert.deepEqual(metadata(guardOf(there, 'PATCH', MAP, MERGE, '{}')), { resourceVersion: '7' });
  const scale = '/apis/apps/v1/namespaces/shop/deployments/web/scale';
  assert.deepEqual(metadata(guardOf(there, 'PUT', scale, 'application/json', '{}')), { resourceVersion: '7' });
});

test('what was absent must be absent still', () => {
  assert.deepEqual(metadata(guardOf(absent, 'PUT', MAP, 'application/json', '{"metadata":{"name":"settings"}}')), {
    name: 'settings',
    resourceVersion: '1',
  });
  assert.deepEqual(metadata(guardOf(absent, 'PATCH', `${MAP}?fieldManager=a`, APPLY, 'data: {}')), {
    resourceVersion: '1',
  });
  assert.equal(guardOf(absent, 'POST', MAPS, 'application/json', '{}'), undefined, 'a create makes or fails');
});

test('what the caller has named stays, unless it means nothing', () => {
  const put = (named: object) =>
    metadata(guardOf(there, 'PUT', MAP, 'application/json', JSON.stringify({ metadata: named })));
  assert.deepEqual(put({ resourceVersion: '5' }), { resourceVersion: '5', uid: 'u' });
  assert.deepEqual(put({ uid: 'mine', resourceVersion: '' }), { uid: 'mine', resourceVersion: '7' });
  assert.deepEqual(put({ resourceVersion: '0' }), { resourceVersion: '7', uid: 'u' });
});

test('a JSON patch ends with the version, whatever it does before', () => {
  const patch = '[{"op":"remove","path":"/metadata/resourceVersion"},{"op":"replace","path":"","value":{}}]';
  const guarded = sent(guardOf(there, 'PATCH', MAP, JSON_PATCH, patch)) as object[];
  assert.equal(guarded.length, 3);
  assert.deepEqual(guarded.at(-1), { op: 'add', path: '/metadata/resourceVersion', value: '7' });
});

test('protobuf takes them behind its own fields; CBOR takes none, and nobody is asked in vain', () => {
  const protobuf = Buffer.concat([Buffer.from('k8s\0'), Buffer.from([0x12, 2, 0x0a, 0])]);
  const { body } = guardOf(there, 'PUT', MAP, PROTOBUF, protobuf)!;
  assert.deepEqual(
    body,
    Buffer.concat([Buffer.from('k8s\0\x0a\0\x12\x0a\x0a\0\x0a\x06\x2a\x01u\x32\x017\x1a\0\x22\0')]),
  );
  const cbor = Buffer.from([0xd9, 0xd9, 0xf7, 0xa0]);
  const operation = parseRequest('PUT', MAP, { contentType: 'application/cbor' });
  const refused = /SP_UNSUPPORTED_MEDIA_TYPE|send it as JSON, YAML or Kubernetes protobuf/;
  assert.throws(() => mustBeGuardable(operation, bodyOf(operation, 'application/cbor', cbor)), refused);
  const broken = parseRequest('PUT', MAP, { contentType: PROTOBUF });
  assert.throws(() => mustBeGuardable(broken, bodyOf(broken, PROTOBUF, 'k8s\0')), refused);
  const creation = parseRequest('POST', MAPS, { contentType: 'application/cbor' });
  mustBeGuardable(creation, bodyOf(creation, 'application/cbor', cbor));
});

test('a deletion meets the object that was seen, a collection the objects of that moment', () => {
  assert.equal(guardOf(there, 'DELETE', `${MAP}?gracePeriodSeconds=0`)!.query, 'gracePeriodSeconds=0&uid=u');
  assert.deepEqual(sent(guardOf(there, 'DELETE', MAP, 'application/json', '{}')), { preconditions: { uid: 'u' } });
  assert.equal(guardOf(there, 'DELETE', `${MAP}?uid=mine`), undefined);
  const collection = `${MAPS}?labelSelector=a%3Db&gracePeriodSeconds=5&propagationPolicy=Orphan`;
  const seen = { target: {}, collectionVersion: '9' };
  const guarded = guardOf(seen, 'DELETE', collection)!;
  assert.match(guarded.query!, /^labelSelector=a%3Db&.*&resourceVersion=9&resourceVersionMatch=Exact$/);
  assert.equal(guarded.contentType, 'application/json');
  const options = { kind: 'DeleteOptions', apiVersion: 'v1', gracePeriodSeconds: 5, propagationPolicy: 'Orphan' };
  assert.deepEqual(sent(guarded), options);
  const named = sent(guardOf(seen, 'DELETE', `${MAPS}?resourceVersion=5&dryRun=All`)) as Record<string, unknown>;
  assert.deepEqual([named['preconditions'], named['dryRun']], [{ resourceVersion: '5' }, ['All']]);
  const { query, body } = guardOf(seen, 'DELETE', MAPS, 'application/json', '{}')!;
  assert.deepEqual([query, body], ['resourceVersion=9&resourceVersionMatch=Exact', undefined]);
  assert.equal(guardOf({ target: {} }, 'DELETE', collection), undefined);
});

test('what was approved as a refusal is sent so that it can do nothing, and a success is not believed', () => {
  const guarded = guardOf({ target: {}, state: 'Refused' }, 'PATCH', `${MAP}?fieldManager=a`, MERGE, '{}')!;
  assert.deepEqual(guarded, { query: 'fieldManager=a&dryRun=All', mustFail: true });
  const permit = (what: Guarded | undefined) =>
    new Permit({ kind: 'Use', request: undefined!, guarded: what, settle: () => {}, stream: () => () => {} });
  const mustFail = permit(guarded);
  for (const status of [404, 409, 422, 403]) assert.equal(mustFail.repeats(status), false);
  for (let i = 0; i < 9; i++) assert.equal(mustFail.repeats(200), true);
  const bound = permit({ query: '' });
  assert.deepEqual(
    [409, 409, 409, 409, 200].map((status) => bound.repeats(status)),
    [true, true, true, false, false],
  );
  assert.equal(permit(undefined).repeats(409), false);
});
