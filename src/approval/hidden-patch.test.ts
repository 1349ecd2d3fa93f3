import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { hidePatch } from './hidden-patch.ts';
import { objectDiff } from './object-diff.ts';

const secret = randomBytes(12).toString('hex');
const shown = (resource: string, patch: unknown): string =>
  objectDiff(undefined, { patch: hidePatch(resource, patch) }).text;

const HIDES: Record<string, [string, unknown]> = {
  'a merge patch of a Secret': ['secrets', { data: { password: secret } }],
  'a merge patch of a Secret by stringData': ['secrets', { stringData: { any: secret } }],
  'a JSON patch of a Secret': ['secrets', [{ op: 'add', path: '/data/any', value: secret }]],
  'a guess at a Secret': ['secrets', [{ op: 'test', path: '/data/any', value: secret }]],
  'a whole Secret by JSON patch': ['secrets', [{ op: 'replace', path: '', value: { data: { a: secret } } }]],
  'an environment': ['pods', { spec: { containers: [{ name: 'c', env: [{ name: 'A', value: secret }] }] } }],
  'an environment by JSON patch': [
    'deployments',
    [{ op: 'add', path: '/spec/template/spec/containers/0/env/-', value: { name: 'A', value: secret } }],
  ],
  'a member named like a secret': ['configmaps', [{ op: 'add', path: '/data/db-password', value: secret }]],
  'arguments by JSON patch': ['pods', [{ op: 'add', path: '/spec/containers/0/args', value: ['-p', secret] }]],
  'a path that is none': ['pods', [{ op: 'add', path: 7, value: secret }]],
};
for (const [what, [resource, patch]] of Object.entries(HIDES)) {
  test(`hides ${what}`, () => {
    assert.ok(!shown(resource, patch).includes(secret), shown(resource, patch));
    assert.match(shown(resource, patch), /<hidden>/);
  });
}

test('shows what is no secret, and which members a patch would touch', () => {
  assert.match(shown('deployments', { spec: { replicas: 3 } }), /replicas: 3/);
  assert.match(shown('deployments', [{ op: 'replace', path: '/spec/replicas', value: 3 }]), /value: 3/);
  assert.match(shown('secrets', [{ op: 'remove', path: '/data/password' }]), /path: \/data\/password/);
  assert.match(shown('secrets', { data: { password: secret } }), /password: <hidden>/);
  assert.equal(hidePatch('pods', 'text'), 'text');
});
