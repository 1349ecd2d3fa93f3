import type { Budget } from '../budget.ts';
import { declare, type FunctionDeclaration, method, type Overload, overload } from '../declarations.ts';
import { arithmetic, contains, negate, not, type Relation, relation } from '../operators.ts';
import { containsCost, joinedCost, readSecond, sizeOf, smallerCost } from '../sizes.ts';
import { codePointLength } from '../text.ts';
import {
  BOOL,
  BYTES,
  type CelType,
  DOUBLE,
  DURATION,
  DYN,
  INT,
  listOf,
  mapOf,
  optionalOf,
  param,
  STRING,
  TIMESTAMP,
  typeOf,
  UINT,
} from '../types.ts';
import { type AnyMap, type CelBytes, type CelValue, mapSize } from '../values.ts';

const A = param('A');
const K = param('K');
const V = param('V');

/** `f(A, A)` for each of some types. */
const same = (name: string, types: Readonly<Record<string, CelType>>): Overload[] =>
  Object.entries(types).map(([id, t]) => overload(`${name}_${id}`, [t, t], t));

const NUMBERS = { int64: INT, uint64: UINT, double: DOUBLE };

const operators: FunctionDeclaration[] = [
  declare('_?_:_', [overload('conditional', [BOOL, A, A], A)]),
  declare('_&&_', [overload('logical_and', [BOOL, BOOL], BOOL)]),
  declare('_||_', [overload('logical_or', [BOOL, BOOL], BOOL)]),
  declare('!_', [overload('logical_not', [BOOL], BOOL)], { implementation: not as never }),
  declare('_==_', [overload('equals', [A, A], BOOL)]),
  declare('_!=_', [overload('not_equals', [A, A], BOOL)]),
  declare(
    '_+_',
    [
      overload('add_bytes', [BYTES, BYTES], BYTES, undefined, { cost: joinedCost }),
      overload('add_double', [DOUBLE, DOUBLE], DOUBLE),
      overload('add_duration_duration', [DURATION, DURATION], DURATION),
      overload('add_duration_timestamp', [DURATION, TIMESTAMP], TIMESTAMP),
      overload('add_timestamp_duration', [TIMESTAMP, DURATION], TIMESTAMP),
      overload('add_int64', [INT, INT], INT),
      overload('add_list', [listOf(A), listOf(A)], listOf(A)),
      overload('add_string', [STRING, STRING], STRING, undefined, { cost: joinedCost }),
      overload('add_uint64', [UINT, UINT], UINT),
    ],
    { implementation: arithmetic('+') as never },
  ),
  declare(
    '_-_',
    [
      ...same('subtract', NUMBERS),
      overload('subtract_duration_duration', [DURATION, DURATION], DURATION),
      overload('subtract_timestamp_duration', [TIMESTAMP, DURATION], TIMESTAMP),
      overload('subtract_timestamp_timestamp', [TIMESTAMP, TIMESTAMP], DURATION),
    ],
    { implementation: arithmetic('-') as never },
  ),
  declare('_*_', same('multiply', NUMBERS), { implementation: arithmetic('*') as never }),
  declare('_/_', same('divide', NUMBERS), { implementation: arithmetic('/') as never }),
  declare('_%_', same('modulo', { int64: INT, uint64: UINT }), { implementation: arithmetic('%') as never }),
  declare('-_', [overload('negate_double', [DOUBLE], DOUBLE), overload('negate_int64', [INT], INT)], {
    implementation: negate as never,
  }),
  ...(['<', '<=', '>', '>='] as const).map(ordering),
  declare(
    '@in',
    [
      overload('in_list', [A, listOf(A)], BOOL, undefined, { cost: (_r, _e, list) => sizeOf(list!) }),
      overload('in_map', [A, mapOf(A, V)], BOOL),
    ],
    { implementation: contains as never },
  ),
  declare('_[_]', [
    overload('index_list', [listOf(A), INT], A),
    overload('index_map', [mapOf(K, V), K], V),
    overload('optional_list_index_int', [optionalOf(listOf(V)), INT], optionalOf(V)),
    overload('optional_map_index_value', [optionalOf(mapOf(K, V)), K], optionalOf(V)),
  ]),
  declare('_[?_]', [
    overload('list_optindex_optional_int', [listOf(V), INT], optionalOf(V)),
    overload('optional_list_optindex_optional_int', [optionalOf(listOf(V)), INT], optionalOf(V)),
    overload('map_optindex_optional_value', [mapOf(K, V), K], optionalOf(V)),
    overload('optional_map_optindex_optional_value', [optionalOf(mapOf(K, V)), K], optionalOf(V)),
  ]),
];

function ordering(sign: Relation): FunctionDeclaration {
  const numbers = [INT, UINT, DOUBLE];
  const kinds: [string, CelType][] = [
    ['bool', BOOL],
    ['string', STRING],
    ['bytes', BYTES],
    ['timestamp', TIMESTAMP],
    ['duration', DURATION],
  ];
  return declare(
    `_${sign}_`,
    [
      ...numbers.flatMap((a) => numbers.map((b) => overload(`${sign}_${a.kind}_${b.kind}`, [a, b], BOOL))),
      ...kinds.map(([id, t]) =>
        overload(
          `${sign}_${id}`,
          [t, t],
          BOOL,
          undefined,
          id === 'string' || id === 'bytes' ? { cost: smallerCost } : {},
        ),
      ),
    ],
    { implementation: relation(sign) as never },
  );
}

const textSize = (budget: Budget, text: string): CelValue => codePointLength(text, budget);
const bytesSize = (_: Budget, bytes: CelBytes): CelValue => bytes.value.length;
const listSize = (_: Budget, list: readonly CelValue[]): CelValue => list.length;
const countEntries = (_: Budget, map: AnyMap): CelValue => mapSize(map);

const functions: FunctionDeclaration[] = [
  declare('size', [
    overload('size_bytes', [BYTES], INT, bytesSize),
    method('bytes_size', [BYTES], INT, bytesSize),
    overload('size_list', [listOf(A)], INT, listSize),
    method('list_size', [listOf(A)], INT, listSize),
    overload('size_map', [mapOf(K, V)], INT, countEntries),
    method('map_size', [mapOf(K, V)], INT, countEntries),
    overload('size_string', [STRING], INT, textSize),
    method('string_size', [STRING], INT, textSize),
  ]),
  declare('type', [overload('type', [A], typeOf(A))]),
  declare('dyn', [overload('to_dyn', [A], DYN, (_: Budget, value: CelValue) => value)]),
  declare('contains', [
    method(
      'contains_string',
      [STRING, STRING],
      BOOL,
      (budget: Budget, text: string, part: string) => {
        budget.burn((text.length + part.length) >> 6);
        return text.includes(part);
      },
      { cost: containsCost },
    ),
  ]),
  declare('startsWith', [
    method(
      'starts_with_string',
      [STRING, STRING],
      BOOL,
      (_: Budget, text: string, part: string) => text.startsWith(part),
      {
        cost: readSecond,
      },
    ),
  ]),
  declare('endsWith', [
    method('ends_with_string', [STRING, STRING], BOOL, (_: Budget, text: string, part: string) => text.endsWith(part), {
      cost: readSecond,
    }),
  ]),
];

/** CEL's operators and the functions that are part of the language. */
export const standard: readonly FunctionDeclaration[] = [...operators, ...functions];
