import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { SallyportError } from '../../errors.ts';
import { LiteralLimit } from './literal-limit.ts';

const HOUR = 3_600_000;
const isLimit = (error: unknown): boolean =>
  error instanceof SallyportError && error.code === 'SP_MASKING_LITERAL_LIMIT';

suite('new values over masked ones', () => {
  test('so many in any hour, for each pair of caller and object', () => {
    let now = 1_000_000;
    const limit = new LiteralLimit({ perHour: 2, remembered: 100, now: () => now });
    limit.take('a');
    now += HOUR / 2;
    limit.take('a');
    assert.throws(() => limit.take('a'), isLimit);
    assert.throws(() => limit.check('a'), /next may be in 30 min/);
    limit.take('b');
    now += HOUR / 2;
    limit.take('a');
    assert.throws(() => limit.take('a'), isLimit);
  });

  test('none at all, where the configuration says so', () => {
    assert.throws(() => new LiteralLimit({ perHour: 0, remembered: 100 }).check('a'), isLimit);
  });

  test('replicas together allow no more than one would', () => {
    for (const [perHour, replicas, share] of [
      [5, 2, 2],
      [6, 3, 2],
      [5, 6, 0],
    ] as const) {
      const limits = Array.from({ length: replicas }, () => new LiteralLimit({ perHour, replicas, remembered: 100 }));
      for (const limit of limits) {
        for (let i = 0; i < share; i++) limit.take('a');
        assert.throws(() => limit.take('a'), isLimit);
      }
      assert.ok(share * replicas <= perHour);
    }
  });

  test('a flood of objects gives no guess back: what still counts is not forgotten, and what is new is refused', () => {
    let now = 0;
    const limit = new LiteralLimit({ perHour: 1, remembered: 3, now: () => now });
    for (const key of ['a', 'b', 'c']) {
      limit.take(key);
      now += 1000;
    }
    assert.throws(() => limit.take('d'), isLimit);
    assert.throws(() => limit.take('a'), isLimit);
    now = HOUR + 500;
    limit.take('d');
    assert.equal(limit.size, 3);
    assert.throws(() => limit.take('b'), isLimit);
  });
});
