import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Subject } from '../policy/agent-policy.ts';
import { compile, DYN, fromJson } from '../policy/cel/engine.ts';
import { governedExpression } from './governed-expression.ts';

const governs = (subjects: readonly Subject[], userInfo: Record<string, unknown>): boolean => {
  const program = compile(governedExpression(subjects), { variables: { request: DYN }, functions: [] });
  return program.evaluate({ request: fromJson({ userInfo }) }) === true;
};

const SUBJECTS: readonly Subject[] = [
  { kind: 'User', name: 'alice' },
  { kind: 'Group', name: 'ai-agents' },
  { kind: 'ServiceAccount', namespace: 'ci', name: 'deployer' },
  { kind: 'Agent', name: 'cursor' },
  { kind: 'Group', name: 'system:authenticated' },
  { kind: 'User', name: 'system:kube-controller-manager' },
];

test('governed are those that policies name, what comes through the gate, and who brings its extras', () => {
  assert.ok(governs(SUBJECTS, { username: 'alice', groups: ['system:authenticated'] }));
  assert.ok(governs(SUBJECTS, { username: 'bob', groups: ['dev', 'ai-agents'] }));
  assert.ok(governs(SUBJECTS, { username: 'system:serviceaccount:ci:deployer' }));
  assert.ok(governs(SUBJECTS, { username: 'sallyport:carol', groups: [] }));
  assert.ok(governs(SUBJECTS, { username: 'bob', extra: { 'sallyport.dev/via': ['x'] } }));
});

test('nobody else is, also where a policy says everyone', () => {
  for (const username of [
    'bob',
    'cursor',
    'ai-agents',
    'system:kube-controller-manager',
    'system:serviceaccount:ci:x',
  ]) {
    assert.ok(!governs(SUBJECTS, { username, groups: ['system:authenticated', 'alice'], extra: { other: ['x'] } }));
  }
  assert.ok(!governs(SUBJECTS, { username: 'bob' }));
  assert.ok(!governs([], { username: 'alice', groups: ['ai-agents'] }));
});

test('no name changes what the expression says', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary', minLength: 1, maxLength: 40 }),
      fc.string({ maxLength: 10 }),
      (name, other) => {
        const wellFormed = name.toWellFormed().replaceAll('\0', 'x');
        const subjects: Subject[] = [{ kind: 'Group', name: `g-${wellFormed}` }];
        assert.ok(governs(subjects, { username: 'bob', groups: [`g-${wellFormed}`] }));
        assert.ok(!governs(subjects, { username: 'bob', groups: [`h-${other}`] }));
      },
    ),
    { numRuns: 300 },
  );
});

test('the same subjects are the same text; too many are refused', () => {
  assert.equal(governedExpression(SUBJECTS), governedExpression([...SUBJECTS].reverse()));
  const many = Array.from({ length: 5_001 }, (_, i): Subject => ({ kind: 'User', name: `u${i}` }));
  assert.throws(() => governedExpression(many), RangeError);
});
