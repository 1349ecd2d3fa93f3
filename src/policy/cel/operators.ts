import type { Budget } from './budget.ts';
import { compareValues } from './compare.ts';
import { CelDuration } from './duration.ts';
import {
  doubleArithmetic,
  INT_OVERFLOW,
  intArithmetic,
  negateInt,
  type Operation,
  smallArithmetic,
  uintArithmetic,
} from './numbers.ts';
import { CelTimestamp } from './timestamp.ts';
import {
  CelBytes,
  CelDouble,
  CelMap,
  CelUint,
  type CelValue,
  celEquals,
  fault,
  isInt,
  isMap,
  mapGet,
  NO_SUCH_OVERLOAD,
} from './values.ts';

/** What operators do, by the values they meet: behind `dyn` only these decide. */
export const LIST_LIMIT = 1_000_000;
export const TEXT_LIMIT = 10_000_000;

const TIMESTAMP_OVERFLOW = fault('timestamp overflow');

export function arithmetic(operation: Operation): (budget: Budget, a: CelValue, b: CelValue) => CelValue {
  return (budget, a, b) => {
    if (typeof a === 'number' && typeof b === 'number') {
      return smallArithmetic(operation, a, b) ?? intArithmetic(operation, a, b);
    }
    if (isInt(a)) return isInt(b) ? intArithmetic(operation, a, b) : NO_SUCH_OVERLOAD;
    if (a instanceof CelDouble) {
      return (b instanceof CelDouble && doubleArithmetic(operation, a.value, b.value)) || NO_SUCH_OVERLOAD;
    }
    if (a instanceof CelUint) {
      return b instanceof CelUint ? uintArithmetic(operation, a.value, b.value) : NO_SUCH_OVERLOAD;
    }
    if (operation === '+') return plus(budget, a, b);
    return operation === '-' ? minus(a, b) : NO_SUCH_OVERLOAD;
  };
}

function plus(budget: Budget, a: CelValue, b: CelValue): CelValue {
  if (typeof a === 'string') {
    if (typeof b !== 'string') return NO_SUCH_OVERLOAD;
    budget.allocate(a.length + b.length, TEXT_LIMIT);
    return a + b;
  }
  if (Array.isArray(a)) {
    if (!Array.isArray(b)) return NO_SUCH_OVERLOAD;
    budget.allocate(a.length + b.length, LIST_LIMIT);
    return a.concat(b);
  }
  if (a instanceof CelBytes) {
    if (!(b instanceof CelBytes)) return NO_SUCH_OVERLOAD;
    budget.allocate(a.value.length + b.value.length, TEXT_LIMIT);
    return new CelBytes(Buffer.concat([a.value, b.value]));
  }
  if (a instanceof CelDuration) {
    if (b instanceof CelDuration) return CelDuration.of(a.nanoseconds + b.nanoseconds) ?? INT_OVERFLOW;
    return b instanceof CelTimestamp ? (b.plus(a) ?? TIMESTAMP_OVERFLOW) : NO_SUCH_OVERLOAD;
  }
  if (a instanceof CelTimestamp && b instanceof CelDuration) return a.plus(b) ?? TIMESTAMP_OVERFLOW;
  return NO_SUCH_OVERLOAD;
}

function minus(a: CelValue, b: CelValue): CelValue {
  if (a instanceof CelDuration) {
    return b instanceof CelDuration
      ? (CelDuration.of(a.nanoseconds - b.nanoseconds) ?? INT_OVERFLOW)
      : NO_SUCH_OVERLOAD;
  }
  if (!(a instanceof CelTimestamp)) return NO_SUCH_OVERLOAD;
  if (b instanceof CelTimestamp) return a.minus(b) ?? INT_OVERFLOW;
  if (!(b instanceof CelDuration)) return NO_SUCH_OVERLOAD;
  return a.plus(new CelDuration(-b.nanoseconds)) ?? TIMESTAMP_OVERFLOW;
}

export function negate(_budget: Budget, a: CelValue): CelValue {
  if (isInt(a)) return negateInt(a);
  if (a instanceof CelDouble) return new CelDouble(-a.value);
  if (a instanceof CelDuration) return CelDuration.of(-a.nanoseconds) ?? INT_OVERFLOW;
  return NO_SUCH_OVERLOAD;
}

export const not = (_budget: Budget, a: CelValue): CelValue => (typeof a === 'boolean' ? !a : NO_SUCH_OVERLOAD);

export type Relation = '<' | '<=' | '>' | '>=';

export function relation(sign: Relation): (budget: Budget, a: CelValue, b: CelValue) => CelValue {
  const [whenLess, whenEqual, whenGreater] = [sign[0] === '<', sign.length === 2, sign[0] === '>'];
  return (budget, a, b) => {
    const order = compareValues(a, b, budget);
    if (typeof order !== 'number') return order;
    return order < 0 ? whenLess : order > 0 ? whenGreater : whenEqual;
  };
}

export function contains(budget: Budget, element: CelValue, container: CelValue): CelValue {
  if (Array.isArray(container)) return listContains(container as readonly CelValue[], element, budget);
  if (!isMap(container) || (element instanceof CelBytes && container instanceof CelMap)) return NO_SUCH_OVERLOAD;
  return mapGet(container, element) !== undefined;
}

export function listContains(list: readonly CelValue[], element: CelValue, budget: Budget): boolean {
  budget.burn(list.length);
  for (const candidate of list) if (celEquals(element, candidate, budget)) return true;
  return false;
}
