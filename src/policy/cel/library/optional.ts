import type { Budget } from '../budget.ts';
import { declare, type FunctionDeclaration, method, overload } from '../declarations.ts';
import { CelDuration } from '../duration.ts';
import { BOOL, listOf, optionalOf, param } from '../types.ts';
import { CelBytes, CelDouble, CelOptional, CelUint, type CelValue, fault, isMap, mapSize } from '../values.ts';

const V = param('V');
const OPTIONAL = optionalOf(V);
const LIST = listOf(V);

const DEREFERENCE = fault('optional.none() dereference');

/** Whether a value is the zero of its type: null, false, 0, empty. */
function isZero(value: CelValue): boolean {
  if (value === null || value === false || value === 0 || value === '') return true;
  if (typeof value !== 'object') return false;
  if (Array.isArray(value)) return value.length === 0;
  if (value instanceof CelDouble) return value.value === 0;
  if (value instanceof CelUint) return value.value === 0n;
  if (value instanceof CelBytes) return value.value.length === 0;
  if (value instanceof CelDuration) return value.nanoseconds === 0n;
  return isMap(value) && mapSize(value) === 0;
}

function unwrap(budget: Budget, list: readonly CelValue[]): CelValue {
  budget.burn(list.length);
  const values: CelValue[] = [];
  for (const element of list) {
    if (!(element instanceof CelOptional)) return fault('value is not optional');
    if (element.value !== undefined) values.push(element.value);
  }
  return values;
}

const at = (list: readonly CelValue[], index: number): CelValue => {
  const value = list.at(index);
  return value === undefined ? CelOptional.NONE : CelOptional.of(value);
};

/** Optional values, but `or` and `orValue`, which do not evaluate what they do not need: those the compiler knows. */
export const optional: readonly FunctionDeclaration[] = [
  declare('optional.of', [overload('optional_of', [V], OPTIONAL, (_: Budget, v: CelValue) => CelOptional.of(v))]),
  declare('optional.ofNonZeroValue', [
    overload('optional_ofNonZeroValue', [V], OPTIONAL, (_: Budget, v: CelValue) =>
      isZero(v) ? CelOptional.NONE : CelOptional.of(v),
    ),
  ]),
  declare('optional.none', [overload('optional_none', [], OPTIONAL, () => CelOptional.NONE)]),
  declare('value', [
    method('optional_value', [OPTIONAL], V, (_: Budget, o: CelOptional) =>
      o.value === undefined ? DEREFERENCE : o.value,
    ),
  ]),
  declare('hasValue', [
    method('optional_hasValue', [OPTIONAL], BOOL, (_: Budget, o: CelOptional) => o.value !== undefined),
  ]),
  declare('or', [method('optional_or_optional', [OPTIONAL, OPTIONAL], OPTIONAL)]),
  declare('orValue', [method('optional_orValue_value', [OPTIONAL, V], V)]),
  declare('first', [method('list_first', [LIST], OPTIONAL, (_: Budget, list: readonly CelValue[]) => at(list, 0))]),
  declare('last', [method('list_last', [LIST], OPTIONAL, (_: Budget, list: readonly CelValue[]) => at(list, -1))]),
  declare('optional.unwrap', [overload('optional_unwrap', [listOf(OPTIONAL)], LIST, unwrap)]),
  declare('unwrapOpt', [method('optional_unwrapOpt', [listOf(OPTIONAL)], LIST, unwrap)]),
];
