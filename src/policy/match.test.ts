import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compileGlobs } from './glob.ts';
import { compileSelector } from './label-selector.ts';
import { compileMatch } from './match.ts';
import { subjectProblem } from './subjects.ts';

test('a glob is its regular expression', () => {
  const part = fc.string({ unit: fc.constantFrom('a', 'b', '*', '-'), maxLength: 6 });
  const name = fc.string({ unit: fc.constantFrom('a', 'b', '-'), maxLength: 8 });
  fc.assert(
    fc.property(fc.array(part, { minLength: 1, maxLength: 3 }), name, (patterns, text) => {
      const expected = patterns.some((pattern) => new RegExp(`^${pattern.replaceAll('*', '.*')}$`).test(text));
      assert.equal(compileGlobs(patterns).test(text), expected);
    }),
    { numRuns: 5000 },
  );
});

test('a glob of many stars is answered at once', () => {
  const started = performance.now();
  assert.equal(compileGlobs([`${'a*'.repeat(60)}b`]).test('a'.repeat(253)), false);
  assert.ok(performance.now() - started < 50);
});

test('selectors as Kubernetes means them', () => {
  const labels = new Map([
    ['env', 'dev'],
    ['empty', ''],
  ]);
  const test1 = (key: string, operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist', ...values: string[]) =>
    compileSelector({ matchExpressions: [{ key, operator, values }] }).test(labels);
  assert.deepEqual(
    [test1('env', 'In', 'dev', 'qa'), test1('env', 'In', 'qa'), test1('gone', 'In', ''), test1('empty', 'In', '')],
    [true, false, false, true],
  );
  assert.deepEqual([test1('env', 'NotIn', 'dev'), test1('gone', 'NotIn', 'dev')], [false, true]);
  assert.deepEqual(
    [test1('env', 'Exists'), test1('gone', 'Exists'), test1('gone', 'DoesNotExist')],
    [true, false, true],
  );
  assert.equal(compileSelector({}).everything, true);
  assert.throws(() => compileSelector({ matchExpressions: [{ key: 'a', operator: 'In' }] }), /values do not go/);
  assert.throws(() => compileSelector({ matchExpressions: [{ key: 'a', operator: 'Near' as 'In', values: ['x'] }] }));
});

test('a match that is none is refused, not read as everything', () => {
  const whole = { verbs: ['get'], apiGroups: [''], resources: ['pods'] };
  for (const bad of [
    { verbs: [] },
    { apiGroups: undefined },
    { resources: [] },
    { namespaces: [] },
    { namespaces: 'shop' },
    { resourceNames: [7] },
    { nonResourceURLs: ['/x'] },
    { verbs: 'get' },
  ]) {
    assert.throws(() => compileMatch({ ...whole, ...bad } as never), /match/, JSON.stringify(bad));
  }
});

test('subjects that mean everyone', () => {
  for (const name of [
    'authenticated',
    'unauthenticated',
    'serviceaccounts',
    'serviceaccounts:',
    'serviceaccounts:kube-system',
    'nodes',
    'masters',
    'x',
  ]) {
    assert.notEqual(subjectProblem({ kind: 'Group', name: `system:${name}` }), undefined, name);
  }
  for (const name of ['kube-scheduler', 'node:a', 'serviceaccount:kube-system:x', 'anonymous', 'serviceaccounts:x']) {
    assert.notEqual(subjectProblem({ kind: 'User', name: `system:${name}` }), undefined, name);
  }
  assert.notEqual(subjectProblem({ kind: 'ServiceAccount', namespace: 'kube-system', name: 'x' }), undefined);
  assert.notEqual(subjectProblem({ kind: 'User', name: '' }), undefined);
  assert.notEqual(subjectProblem(null as never), undefined);
  assert.equal(subjectProblem({ kind: 'Group', name: 'system:serviceaccounts:ci' }), undefined);
  assert.equal(subjectProblem({ kind: 'User', name: 'system:serviceaccount:ci:x' }), undefined);
  assert.equal(subjectProblem({ kind: 'Agent', name: 'cursor' }), undefined);
});
