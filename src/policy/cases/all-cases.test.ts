import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compile } from '../policy-set.ts';
import type { Leg } from '../verbs.ts';
import { ALL_CASES } from './all-cases.ts';
import { type DecisionCase, notation, optionsOf, questionOf } from './case.ts';

function run(one: DecisionCase, leg: Leg, expected: string): void {
  const question = questionOf(one, leg);
  if (question === undefined) return;
  const options = optionsOf(one);
  const decision = compile(one.policies, options).decide(question);
  assert.equal(notation(decision), expected, decision.reason);
  assert.doesNotMatch(decision.reason, /[\n\r]/);
  assert.equal(notation(compile([...one.policies].reverse(), options).decide(question)), expected, 'in another order');
}

describe('gateway', () => {
  for (const one of ALL_CASES) test(one.name, () => run(one, 'Gateway', one.expect));
});

describe('admission', () => {
  for (const one of ALL_CASES) {
    if (one.admission === null || questionOf(one, 'Admission') === undefined) continue;
    test(one.name, () => run(one, 'Admission', one.admission ?? one.expect));
  }
});

test('names are unique', () => {
  assert.equal(new Set(ALL_CASES.map(({ name }) => name)).size, ALL_CASES.length);
});
