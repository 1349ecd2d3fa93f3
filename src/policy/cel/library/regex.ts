import type { Budget } from '../budget.ts';
import { type AnyImplementation, declare, type FunctionDeclaration, method, overload } from '../declarations.ts';
import { Pattern, patternOf } from '../pattern.ts';
import { regexCost } from '../sizes.ts';
import { BOOL, INT, listOf, STRING } from '../types.ts';
import { type CelValue, fault, NO_SUCH_OVERLOAD } from '../values.ts';

type Use = (budget: Budget, pattern: Pattern, text: string, limit: number) => CelValue;

const matches: Use = (budget, pattern, text) => pattern.test(text, budget);
const find: Use = (budget, pattern, text) => pattern.find(text, budget);
const findAll: Use = (budget, pattern, text, limit) => pattern.findAll(text, limit, budget);

const limitOf = (limit: CelValue | undefined): number =>
  limit === undefined || Number(limit) < 0 ? -1 : Number(limit);

const implementation =
  (use: Use, prefix = '') =>
  (budget: Budget, text: string, source: string, limit?: number | bigint): CelValue => {
    let pattern: Pattern;
    try {
      pattern = patternOf(source, budget);
    } catch (error) {
      if (error instanceof Error && error.message.startsWith('error parsing regexp'))
        return fault(prefix + error.message);
      throw error;
    }
    return use(budget, pattern, text, limitOf(limit));
  };

const prepare =
  (use: Use) =>
  (literals: readonly (CelValue | undefined)[]): AnyImplementation | undefined => {
    const source = literals[1];
    if (typeof source !== 'string') return undefined;
    const pattern = new Pattern(source);
    return (budget, text, _source, limit) =>
      typeof text === 'string' ? use(budget, pattern, text, limitOf(limit)) : NO_SUCH_OVERLOAD;
  };

/** `matches` of the language, `find` and `findAll` of Kubernetes, in RE2 syntax. */
export const regex: readonly FunctionDeclaration[] = [
  declare('matches', [
    overload('matches', [STRING, STRING], BOOL, implementation(matches), {
      cost: regexCost,
      prepare: prepare(matches),
    }),
    method('matches_string', [STRING, STRING], BOOL, implementation(matches), {
      cost: regexCost,
      prepare: prepare(matches),
    }),
  ]),
  declare(
    'find',
    [
      method('string_find_string', [STRING, STRING], STRING, implementation(find, 'Illegal regex: '), {
        prepare: prepare(find),
      }),
    ],
    { cost: regexCost },
  ),
  declare(
    'findAll',
    [
      method('string_find_all_string', [STRING, STRING], listOf(STRING), implementation(findAll, 'Illegal regex: '), {
        prepare: prepare(findAll),
      }),
      method(
        'string_find_all_string_int',
        [STRING, STRING, INT],
        listOf(STRING),
        implementation(findAll, 'Illegal regex: '),
        { prepare: prepare(findAll) },
      ),
    ],
    { cost: regexCost },
  ),
];
