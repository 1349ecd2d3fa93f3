import type { Budget } from './budget.ts';
import { CelDuration } from './duration.ts';
import { compareStrings } from './text.ts';
import { CelTimestamp } from './timestamp.ts';
import {
  CelBytes,
  CelDouble,
  CelUint,
  type CelValue,
  compareBytes,
  type Fault,
  fault,
  isNumeric,
  NO_SUCH_OVERLOAD,
  numericForms,
} from './values.ts';

const NAN = fault('NaN values cannot be ordered');

/** -1, 0 or 1, or the error of comparing what has no order. Numbers compare across their types. */
export function compareValues(a: CelValue, b: CelValue, budget?: Budget): number | Fault {
  if (typeof a === 'number' && typeof b === 'number') return a < b ? -1 : a > b ? 1 : 0;
  if (typeof a === 'string') return typeof b === 'string' ? compareStrings(a, b, budget) : NO_SUCH_OVERLOAD;
  if (typeof a === 'boolean') return typeof b === 'boolean' ? Number(a) - Number(b) : NO_SUCH_OVERLOAD;
  if (isNumeric(a)) {
    if (!isNumeric(b)) return NO_SUCH_OVERLOAD;
    const [x, y] = numericForms(a, b);
    if (x < y) return -1;
    if (x > y) return 1;
    return Number.isNaN(x) || Number.isNaN(y) ? NAN : 0;
  }
  if (a instanceof CelTimestamp) return b instanceof CelTimestamp ? a.compare(b) : NO_SUCH_OVERLOAD;
  if (a instanceof CelDuration && b instanceof CelDuration) {
    return a.nanoseconds < b.nanoseconds ? -1 : a.nanoseconds > b.nanoseconds ? 1 : 0;
  }
  if (a instanceof CelBytes && b instanceof CelBytes) {
    budget?.burn(Math.min(a.value.length, b.value.length) >> 6);
    return compareBytes(a.value, b.value);
  }
  return NO_SUCH_OVERLOAD;
}

/** Whether values of this kind have an order at all. */
export const isComparable = (v: CelValue): boolean =>
  typeof v === 'string' ||
  typeof v === 'boolean' ||
  typeof v === 'number' ||
  typeof v === 'bigint' ||
  v instanceof CelDouble ||
  v instanceof CelUint ||
  v instanceof CelTimestamp ||
  v instanceof CelDuration ||
  v instanceof CelBytes;
