import type { Budget } from '../budget.ts';
import { compareValues, isComparable } from '../compare.ts';
import { declare, type FunctionDeclaration, method, type Overload, overload } from '../declarations.ts';
import { CelDuration } from '../duration.ts';
import { arithmetic, LIST_LIMIT } from '../operators.ts';
import { listCost, sizeOf, traversalCost } from '../sizes.ts';
import {
  BOOL,
  BYTES,
  type CelType,
  DOUBLE,
  DURATION,
  DYN,
  INT,
  listOf,
  param,
  STRING,
  TIMESTAMP,
  UINT,
} from '../types.ts';
import { CelBytes, CelDouble, CelUint, type CelValue, celEquals, Fault, fault, NO_SUCH_OVERLOAD } from '../values.ts';

type List = readonly CelValue[];

const T = param('T');
const LIST = listOf(T);
const COMPARABLE = [INT, UINT, DOUBLE, BOOL, DURATION, TIMESTAMP, STRING, BYTES];

const perType = (name: string, types: readonly CelType[], make: (t: CelType) => Overload): FunctionDeclaration =>
  declare(name, types.map(make), { cost: (_result, list) => traversalCost(list!) });

function isSorted(budget: Budget, list: List): CelValue {
  budget.burn(list.length);
  for (let i = 0; i < list.length; i++) {
    if (!isComparable(list[i]!)) return NO_SUCH_OVERLOAD;
    if (i > 0 && compareValues(list[i - 1]!, list[i]!, budget) === 1) return false;
  }
  return true;
}

const add = arithmetic('+');

function sumFrom(zero: CelValue): (budget: Budget, list: List) => CelValue {
  return (budget, list) => {
    budget.burn(list.length);
    let total = zero;
    for (const element of list) {
      total = add(budget, total, element);
      if (total instanceof Fault) return total;
    }
    return total;
  };
}

/** An element that cannot be compared with the one held (NaN, another type) never replaces it. */
function extreme(name: string, preferred: -1 | 1): (budget: Budget, list: List) => CelValue {
  return (budget, list) => {
    budget.burn(list.length);
    let best: CelValue | undefined;
    for (const element of list) {
      if (!isComparable(element)) return NO_SUCH_OVERLOAD;
      if (best === undefined || compareValues(best, element, budget) === preferred) best = element;
    }
    return best ?? fault(`${name} called on empty list`);
  };
}

function indexOf(budget: Budget, list: List, item: CelValue): CelValue {
  budget.burn(list.length);
  return list.findIndex((element) => celEquals(element, item, budget));
}

function lastIndexOf(budget: Budget, list: List, item: CelValue): CelValue {
  budget.burn(list.length);
  return list.findLastIndex((element) => celEquals(element, item, budget));
}

function range(budget: Budget, count: number | bigint): CelValue {
  if (count < 0) return fault(`lists.range: size must be non-negative, got ${count}`);
  budget.allocate(Number(count), LIST_LIMIT);
  return Array.from({ length: Number(count) }, (_, i) => i);
}

function slice(_: Budget, list: List, start: number | bigint, end: number | bigint): CelValue {
  const asked = `cannot slice(${start}, ${end})`;
  if (start < 0 || end < 0) return fault(`${asked}, negative indexes not supported`);
  if (start > end) return fault(`${asked}, start index must be less than or equal to end index`);
  if (end > list.length) return fault(`${asked}, list is length ${list.length}`);
  return list.slice(Number(start), Number(end));
}

function flatten(budget: Budget, list: List, depth: number | bigint = 1): CelValue {
  if (!Array.isArray(list) || (typeof depth !== 'number' && typeof depth !== 'bigint')) return NO_SUCH_OVERLOAD;
  if (depth < 0) return fault('level must be non-negative');
  const flat: CelValue[] = [];
  const walk = (elements: List, left: number): void => {
    budget.allocate(flat.length + elements.length, LIST_LIMIT);
    budget.burn(elements.length);
    for (const element of elements) {
      if (left > 0 && Array.isArray(element)) walk(element as List, left - 1);
      else flat.push(element);
    }
  };
  walk(list, Math.min(Number(depth), 1000));
  return flat;
}

function distinct(budget: Budget, list: List): CelValue {
  const unique: CelValue[] = [];
  for (const element of list) {
    budget.burn(unique.length + 1);
    if (!unique.some((known) => celEquals(element, known, budget))) unique.push(element);
  }
  return unique;
}

/** The order of equal keys is kept, where Kubernetes leaves it open. */
function sortByKeys(budget: Budget, list: List, keys: List): CelValue {
  if (list.length !== keys.length) return fault('@sortByAssociatedKeys() expected lists of the same size');
  if (list.length === 0) return list;
  if (!isComparable(keys[0]!)) return fault('list elements must be comparable');
  const kind = orderKind(keys[0]!);
  if (list.length > 1 && keys.some((key) => orderKind(key) !== kind)) {
    return fault('list elements must have the same type');
  }
  const order = keys.map((_, i) => i);
  order.sort((i, j) => {
    budget.burn(1);
    const result = compareValues(keys[i]!, keys[j]!, budget);
    return typeof result === 'number' ? result : 0;
  });
  return order.map((i) => list[i]!);
}

function orderKind(key: CelValue): string {
  if (typeof key === 'number' || typeof key === 'bigint') return 'int';
  if (typeof key !== 'object' || key === null) return typeof key;
  if (key instanceof CelDouble || key instanceof CelUint || key instanceof CelBytes) return key.typeName;
  return 'typeName' in key && typeof key.typeName === 'string' ? key.typeName : 'object';
}

const compared = (list: CelValue | undefined): number => {
  if (!Array.isArray(list)) return 0;
  const size = list.length;
  const first = list[0] as CelValue | undefined;
  return listCost(size * size, typeof first === 'string' || first instanceof CelBytes ? 2.1 : 2);
};

/** Kubernetes' list functions and version 3 of cel-go's list extension. */
export const lists: readonly FunctionDeclaration[] = [
  perType('isSorted', COMPARABLE, (t) => method(`list_${t.kind}_is_sorted_bool`, [listOf(t)], BOOL, isSorted)),
  perType('sum', [INT, UINT, DOUBLE, DURATION], (t) => {
    const zero = { int: 0, uint: new CelUint(0n), double: new CelDouble(0), duration: new CelDuration(0n) };
    return method(`list_${t.kind}_sum_${t.kind}`, [listOf(t)], t, sumFrom(zero[t.kind as keyof typeof zero]));
  }),
  perType('max', COMPARABLE, (t) => method(`list_${t.kind}_max_${t.kind}`, [listOf(t)], t, extreme('max', -1))),
  perType('min', COMPARABLE, (t) => method(`list_${t.kind}_min_${t.kind}`, [listOf(t)], t, extreme('min', 1))),
  declare('indexOf', [method('list_a_index_of_int', [LIST, T], INT, indexOf)], {
    cost: (_result, list) => traversalCost(list!),
  }),
  declare('lastIndexOf', [method('list_a_last_index_of_int', [LIST, T], INT, lastIndexOf)], {
    cost: (_result, list) => traversalCost(list!),
  }),
  declare('lists.range', [
    overload('lists_range', [INT], listOf(INT), range, { cost: (result) => listCost(sizeOf(result)) }),
  ]),
  declare('slice', [
    method('list_slice', [LIST, INT, INT], LIST, slice, { cost: (result) => listCost(sizeOf(result)) }),
  ]),
  declare('reverse', [
    method('list_reverse', [LIST], LIST, (_: Budget, list: List) => list.toReversed(), {
      cost: (result) => listCost(sizeOf(result)),
    }),
  ]),
  declare(
    'flatten',
    [
      method('list_flatten', [listOf(LIST)], LIST, flatten, { cost: (_result, list) => listCost(sizeOf(list!)) }),
      method('list_flatten_int', [listOf(DYN), INT], listOf(DYN), flatten, {
        cost: (_result, list, depth) => listCost(sizeOf(list!), Math.abs(Number(depth))),
      }),
    ],
    { unguarded: true },
  ),
  declare('distinct', [method('list_distinct', [LIST], LIST, distinct, { cost: (_result, list) => compared(list) })]),
  declare(
    'sort',
    COMPARABLE.map((t) =>
      method(`list_${t.kind}_sort`, [listOf(t)], listOf(t), undefined, { cost: (_result, list) => compared(list) }),
    ),
    {
      implementation: ((budget: Budget, list: CelValue) =>
        Array.isArray(list) ? sortByKeys(budget, list as List, list as List) : NO_SUCH_OVERLOAD) as never,
    },
  ),
  declare(
    '@sortByAssociatedKeys',
    COMPARABLE.map((t) =>
      method(`list_${t.kind}_sortByAssociatedKeys`, [LIST, listOf(t)], LIST, undefined, {
        cost: (_result, _list, keys) => compared(keys),
      }),
    ),
    {
      implementation: ((budget: Budget, list: CelValue, keys: CelValue) =>
        Array.isArray(list) && Array.isArray(keys)
          ? sortByKeys(budget, list as List, keys as List)
          : NO_SUCH_OVERLOAD) as never,
    },
  ),
];
