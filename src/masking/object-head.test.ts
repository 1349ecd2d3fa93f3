import assert from 'node:assert/strict';
import { test } from 'node:test';
import { JsonCursor } from './json-cursor.ts';
import { readHead } from './object-head.ts';

const head = (json: string, known = '', wanted: 'all' | 'names' = 'all') =>
  readHead(new JsonCursor(Buffer.from(json)), known, wanted);

test('of what metadata says twice the first counts, however much of the object is read', () => {
  const json = '{"metadata":{"name":"a","uid":"u","name":"b","namespace":"n","uid":"v"},"spec":{},"kind":"Pod"}';
  for (const found of [head(json), head(json, 'Pod'), head(json, 'Secret'), head(json, '', 'names')]) {
    assert.deepEqual([found.name, found.namespace, found.uid], ['a', 'n', 'u']);
  }
});

test('what stands behind name, namespace and uid is not read, where nothing behind metadata is', () => {
  const cut = '{"apiVersion":"v1","metadata":{"name":"a","namespace":"n","uid":"u","managedFields":[{"manag';
  assert.equal(head(cut, 'Pod').uid, 'u');
  assert.equal(head(cut, '', 'names').uid, 'u');
  assert.throws(() => head(cut));
  assert.throws(() => head(cut, 'Secret'));
});

test('an object of no namespace is known too', () => {
  assert.equal(head('{"metadata":{"name":"a","uid":"u","labels":{"x":"y"}}}', 'Node').uid, 'u');
});
