import type { Budget } from '../budget.ts';
import { type Cost, declare, type FunctionDeclaration, overload } from '../declarations.ts';
import { listContains } from '../operators.ts';
import { sizeOf } from '../sizes.ts';
import { BOOL, listOf, param } from '../types.ts';
import type { CelValue } from '../values.ts';

type List = readonly CelValue[];

const LIST = listOf(param('T'));

const containsAll = (budget: Budget, list: List, part: List): boolean =>
  part.every((element) => listContains(list, element, budget));

const cost =
  (factor: number): Cost =>
  (_result, a, b) =>
    1 + sizeOf(a!) * sizeOf(b!) * factor;

/** cel-go's sets extension: lists taken as sets. */
export const sets: readonly FunctionDeclaration[] = [
  declare('sets.contains', [overload('list_sets_contains_list', [LIST, LIST], BOOL, containsAll, { cost: cost(1) })]),
  declare('sets.equivalent', [
    overload(
      'list_sets_equivalent_list',
      [LIST, LIST],
      BOOL,
      (budget: Budget, a: List, b: List) => containsAll(budget, a, b) && containsAll(budget, b, a),
      { cost: cost(2) },
    ),
  ]),
  declare('sets.intersects', [
    overload(
      'list_sets_intersects_list',
      [LIST, LIST],
      BOOL,
      (budget: Budget, a: List, b: List) => a.some((element) => listContains(b, element, budget)),
      { cost: cost(1) },
    ),
  ]),
];
