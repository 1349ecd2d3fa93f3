import type { Budget } from '../budget.ts';
import { declare, type FunctionDeclaration, method, overload } from '../declarations.ts';
import { TEXT_LIMIT } from '../operators.ts';
import { readOnce, readTwice, writeTwice } from '../sizes.ts';
import { codePointLength, codePoints, hasSurrogates } from '../text.ts';
import { INT, listOf, STRING } from '../types.ts';
import { type CelValue, type Fault, fault } from '../values.ts';

const outOfRange = (index: number | bigint): Fault => fault(`index out of range: ${index}`);

/** A string measured and cut by code points. */
function sliceable(text: string, budget: Budget): { length: number; slice(start: number, end: number): string } {
  budget.burn(text.length >> 6);
  if (!hasSurrogates(text)) return text;
  budget.burn(text.length >> 4);
  return {
    length: codePointLength(text),
    slice: (start, end) => {
      const from = unitOf(text, start);
      return text.slice(from, from + unitOf(text.slice(from), end - start));
    },
  };
}

function charAt(budget: Budget, text: string, index: number | bigint): CelValue {
  const points = sliceable(text, budget);
  const i = Number(index);
  if (i < 0 || i > points.length) return outOfRange(index);
  return points.slice(i, i + 1);
}

function substring(budget: Budget, text: string, start: number | bigint, end?: number | bigint): CelValue {
  const points = sliceable(text, budget);
  if (end !== undefined && start > end) return fault(`invalid substring range. start: ${start}, end: ${end}`);
  if (start < 0 || start > points.length) return outOfRange(start);
  if (end !== undefined && (end < 0 || end > points.length)) return outOfRange(end);
  return points.slice(Number(start), end === undefined ? points.length : Number(end));
}

/** The unit at which a code point begins. */
function unitOf(text: string, point: number): number {
  let unit = 0;
  for (let i = 0; i < point && unit < text.length; i++) unit += (text.codePointAt(unit) ?? 0) > 0xffff ? 2 : 1;
  return unit;
}

const pointOf = (text: string, unit: number): number => (unit < 0 ? -1 : codePointLength(text.slice(0, unit)));

function indexOf(budget: Budget, text: string, part: string, from: number | bigint = 0): CelValue {
  budget.burn((text.length + part.length) >> 4);
  if (from < 0) return outOfRange(from);
  const length = codePointLength(text);
  if (part === '') return from > length ? length : from;
  if (from >= length) return -1;
  return pointOf(text, text.indexOf(part, unitOf(text, Number(from))));
}

function lastIndexOf(budget: Budget, text: string, part: string, from?: number | bigint): CelValue {
  budget.burn((text.length + part.length) >> 4);
  if (from !== undefined && from < 0) return outOfRange(from);
  const length = codePointLength(text);
  if (part === '') return from === undefined || from > length ? length : from;
  if (from === undefined) return pointOf(text, text.lastIndexOf(part));
  return from >= length ? -1 : pointOf(text, text.lastIndexOf(part, unitOf(text, Number(from))));
}

/** Only the first `count` (all where it is negative), and never a pattern in the replacement. */
function replace(budget: Budget, text: string, old: string, by: string, count: number | bigint = -1): CelValue {
  budget.burn(text.length >> 4);
  if (count === 0 || old === by) return text;
  const pieces = old === '' ? ['', ...codePoints(text), ''] : text.split(old);
  const wanted = count < 0 ? pieces.length - 1 : Math.min(Number(count), pieces.length - 1);
  budget.allocate(text.length + wanted * by.length, TEXT_LIMIT);
  if (wanted === pieces.length - 1) return pieces.join(by);
  return [pieces.slice(0, wanted + 1).join(by), ...pieces.slice(wanted + 1)].join(old);
}

/** At most `limit` pieces, the last one with the rest; all where the limit is negative. */
function split(budget: Budget, text: string, separator: string, limit: number | bigint = -1): CelValue {
  budget.burn(text.length >> 2);
  if (limit === 0) return [];
  const pieces = separator === '' ? codePoints(text) : text.split(separator);
  if (limit < 0 || pieces.length <= limit) return pieces;
  const n = Number(limit);
  return [...pieces.slice(0, n - 1), pieces.slice(n - 1).join(separator)];
}

function join(budget: Budget, list: readonly CelValue[], separator = ''): CelValue {
  budget.burn(list.length);
  let length = separator.length * Math.max(list.length - 1, 0);
  for (const element of list) {
    if (typeof element !== 'string') return fault(`join: invalid input: ${String(element)}`);
    length += element.length;
  }
  budget.allocate(length, TEXT_LIMIT);
  return list.join(separator);
}

/** Unicode's White_Space, as Go's TrimSpace: U+0085 is one, U+FEFF and U+200B are none. */
const BLANK = '\\t-\\r \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
const LEADING = new RegExp(`^[${BLANK}]+`);
const BLANK_UNIT = new RegExp(`[${BLANK}]`);

function trim(budget: Budget, text: string): CelValue {
  budget.burn(text.length >> 6);
  const start = text.replace(LEADING, '');
  let end = start.length;
  while (end > 0 && BLANK_UNIT.test(start[end - 1]!)) end--;
  return start.slice(0, end);
}

const lower = (budget: Budget, text: string): CelValue => {
  budget.burn(text.length >> 4);
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
};
const upper = (budget: Budget, text: string): CelValue => {
  budget.burn(text.length >> 4);
  return text.replace(/[a-z]+/g, (letters) => letters.toUpperCase());
};

const QUOTED: Readonly<Record<string, string>> = {
  '\x07': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
  '\\': '\\\\',
  '"': '\\"',
};

function quote(budget: Budget, text: string): CelValue {
  budget.burn(text.length >> 4);
  return `"${text.toWellFormed().replace(/[\x07\b\f\n\r\t\v\\"]/g, (c) => QUOTED[c]!)}"`;
}

/** cel-go's string extension, version 2 (`format` is in `format-text.ts`). Indices count code points. */
export const strings: readonly FunctionDeclaration[] = [
  declare('charAt', [method('string_char_at_int', [STRING, INT], STRING, charAt)]),
  declare('indexOf', [
    method('string_index_of_string', [STRING, STRING], INT, indexOf),
    method('string_index_of_string_int', [STRING, STRING, INT], INT, indexOf),
  ]),
  declare('lastIndexOf', [
    method('string_last_index_of_string', [STRING, STRING], INT, lastIndexOf),
    method('string_last_index_of_string_int', [STRING, STRING, INT], INT, lastIndexOf),
  ]),
  declare('lowerAscii', [method('string_lower_ascii', [STRING], STRING, lower)], { cost: readOnce }),
  declare('upperAscii', [method('string_upper_ascii', [STRING], STRING, upper)], { cost: readOnce }),
  declare('trim', [method('string_trim', [STRING], STRING, trim)], { cost: readOnce }),
  declare(
    'replace',
    [
      method('string_replace_string_string', [STRING, STRING, STRING], STRING, replace),
      method('string_replace_string_string_int', [STRING, STRING, STRING, INT], STRING, replace),
    ],
    { cost: readTwice },
  ),
  declare(
    'split',
    [
      method('string_split_string', [STRING, STRING], listOf(STRING), split),
      method('string_split_string_int', [STRING, STRING, INT], listOf(STRING), split),
    ],
    { cost: readTwice },
  ),
  declare(
    'substring',
    [
      method('string_substring_int', [STRING, INT], STRING, substring),
      method('string_substring_int_int', [STRING, INT, INT], STRING, substring),
    ],
    { cost: readOnce },
  ),
  declare(
    'join',
    [
      method('list_join', [listOf(STRING)], STRING, join),
      method('list_join_string', [listOf(STRING), STRING], STRING, join),
    ],
    { cost: writeTwice },
  ),
  declare('strings.quote', [overload('strings_quote', [STRING], STRING, quote, { cost: readOnce })]),
];
