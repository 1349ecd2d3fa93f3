import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { timestampOf } from './timestamp.ts';

test('a moment is written as Date writes it, whichever came before', () => {
  const moment = fc.oneof(
    fc.integer({ min: 1_700_000_000_000, max: 1_700_000_003_000 }),
    fc.double({ min: 1_700_000_000_000, max: 1_700_000_003_000, noNaN: true }),
    fc.integer({ min: 0, max: 253_402_300_799_999 }),
  );
  fc.assert(
    fc.property(fc.array(moment, { minLength: 1, maxLength: 8 }), (moments) => {
      for (const time of moments) assert.equal(timestampOf(time), new Date(Math.floor(time)).toISOString());
    }),
    { numRuns: 2_000 },
  );
});

test('no moment is no text', () => {
  assert.throws(() => timestampOf(Number.NaN), RangeError);
});
