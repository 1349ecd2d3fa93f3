import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readAccessReview, readTokenReview } from './review.ts';

test('only the boolean true is a yes', () => {
  for (const authenticated of ['true', 1, {}, [], null, undefined]) {
    assert.equal(readTokenReview({ status: { authenticated } }).authenticated, false);
    assert.equal(readAccessReview({ status: { allowed: authenticated } }).allowed, false);
  }
  assert.equal(readTokenReview({ status: { authenticated: true } }).authenticated, true);
  assert.equal(readAccessReview({ status: { allowed: true } }).allowed, true);
});

test('an answer that is no review is a no', () => {
  for (const answer of [undefined, null, 'x', [], {}, { status: 'yes' }, { status: [true] }, { status: null }]) {
    assert.deepEqual(readTokenReview(answer), { authenticated: false, audiences: [], error: '', user: undefined });
    assert.equal(readAccessReview(answer).allowed, false);
  }
});

test('a denial beats a permission', () => {
  assert.equal(readAccessReview({ status: { allowed: true, denied: true } }).allowed, false);
});

test('what has the wrong type counts as absent', () => {
  const { user, audiences } = readTokenReview({
    status: {
      authenticated: true,
      audiences: ['a', 1, null],
      user: { username: { toString: 'x' }, uid: 7, groups: ['g', {}, 3], extra: { k: ['v', 1], odd: 'v' } },
    },
  });
  assert.deepEqual(audiences, ['a']);
  assert.deepEqual(user, { username: '', uid: '', groups: ['g'], extra: { k: ['v'], odd: [] } });
});
