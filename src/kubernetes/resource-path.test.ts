import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { pathOf } from './resource-path.ts';

const PODS = { group: '', version: 'v1', resource: 'pods' } as const;

test('paths are those of the API', () => {
  assert.equal(pathOf({ ...PODS, namespace: 'shop' }), '/api/v1/namespaces/shop/pods');
  assert.equal(
    pathOf({
      group: 'sallyport.dev',
      version: 'v1alpha1',
      resource: 'agentpolicies',
      name: 'a.b',
      subresource: 'status',
    }),
    '/apis/sallyport.dev/v1alpha1/agentpolicies/a.b/status',
  );
  assert.equal(
    pathOf({ group: 'rbac.authorization.k8s.io', version: 'v1', resource: 'clusterroles', name: 'system:node' }),
    '/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode',
  );
});

test('no part can become another segment, a query or another object', () => {
  for (const odd of [
    '',
    '.',
    '..',
    'a/b',
    'a%2Fb',
    'a?b',
    'a#b',
    'a b',
    'ä',
    'a\n',
    '\u0000',
    '../x',
    'a\\b',
    'x'.repeat(300),
  ]) {
    assert.throws(() => pathOf({ ...PODS, name: odd }), RangeError, `name ${odd}`);
    assert.throws(() => pathOf({ ...PODS, namespace: odd, name: 'x' }), RangeError, `namespace ${odd}`);
    assert.throws(() => pathOf({ ...PODS, resource: odd }), RangeError, `resource ${odd}`);
    assert.throws(() => pathOf({ ...PODS, version: odd }), RangeError, `version ${odd}`);
    if (odd !== '') assert.throws(() => pathOf({ ...PODS, group: odd }), RangeError, `group ${odd}`);
    assert.throws(() => pathOf({ ...PODS, name: 'x', subresource: odd }), RangeError, `subresource ${odd}`);
  }
  assert.throws(() => pathOf({ ...PODS, subresource: 'log' }), RangeError);
  assert.throws(() => pathOf({ ...PODS, name: ['a'] as unknown as string }), RangeError);
});

test('whatever is accepted stays one segment', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 40 }), (name) => {
      let path: string;
      try {
        path = pathOf({ ...PODS, namespace: 'n', name });
      } catch (error) {
        assert.ok(error instanceof RangeError);
        return;
      }
      const url = new URL(path, 'https://a');
      assert.equal(url.pathname, path);
      assert.equal(decodeURIComponent(url.pathname.split('/').at(-1)!), name);
      assert.equal(url.pathname.split('/').length, 7);
    }),
  );
});
