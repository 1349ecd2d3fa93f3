import type { Budget } from '../budget.ts';
import { declare, type FunctionDeclaration, method } from '../declarations.ts';
import { parseDouble } from '../numbers.ts';
import { TEXT_LIMIT } from '../operators.ts';
import { readOnce } from '../sizes.ts';
import { FormatError, formatFixed, formatScientific, formatString, typeNameOf } from '../text-format.ts';
import { DYN, listOf, STRING } from '../types.ts';
import { CelBytes, CelDouble, CelUint, type CelValue, fault, isInt } from '../values.ts';

export type Clause = 's' | 'd' | 'f' | 'e' | 'b' | 'x' | 'X' | 'o';

/** Types that each clause takes, for the check of literal formats. */
export const CLAUSE_TYPES: Readonly<Record<Clause, { readonly kinds: readonly string[]; readonly complaint: string }>> =
  {
    s: {
      kinds: 'list map object int uint double bool string timestamp bytes duration type null'.split(' '),
      complaint:
        'string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps',
    },
    d: { kinds: ['int', 'uint'], complaint: 'decimal clause can only be used on integers' },
    f: { kinds: ['double', 'string'], complaint: 'fixed-point clause can only be used on doubles' },
    e: { kinds: ['double', 'string'], complaint: 'scientific clause can only be used on doubles' },
    b: { kinds: ['int', 'uint', 'bool'], complaint: 'only integers and bools can be formatted as binary' },
    x: {
      kinds: ['int', 'uint', 'string', 'bytes'],
      complaint: 'only integers, byte buffers, and strings can be formatted as hex',
    },
    X: {
      kinds: ['int', 'uint', 'string', 'bytes'],
      complaint: 'only integers, byte buffers, and strings can be formatted as hex',
    },
    o: { kinds: ['int', 'uint'], complaint: 'octal clause can only be used on integers' },
  };

const DEFAULT_PRECISION = 6;
/** Kubernetes has no bound here; a hundred thousand zeros are no message. */
const MAX_PRECISION = 1_000;

export type Piece = string | { readonly clause: Clause; readonly precision: number };

/** Cuts a format into literal text and clauses. `count` is the number of arguments there are. */
export function parseFormat(format: string, count: number): Piece[] {
  const pieces: Piece[] = [];
  let at = 0;
  let argument = 0;
  while (at < format.length) {
    const percent = format.indexOf('%', at);
    if (percent === -1) {
      pieces.push(format.slice(at));
      break;
    }
    if (percent > at) pieces.push(format.slice(at, percent));
    if (format[percent + 1] === '%') {
      pieces.push('%');
      at = percent + 2;
      continue;
    }
    if (argument++ >= count) throw new FormatError(`index ${argument - 1} out of range`);
    const found = /^%(?:\.([0-9]*))?(.)?/su.exec(format.slice(percent, percent + 32))!;
    const [all, digits, letter] = found;
    if (letter === undefined) throw new FormatError('unexpected end of string');
    const clause = 'could not parse formatting clause';
    if (digits === '') throw new FormatError(`${clause}: error while parsing precision: no digits`);
    const precision = digits === undefined ? DEFAULT_PRECISION : Number(digits);
    if (precision > MAX_PRECISION) throw new FormatError(`${clause}: precision ${precision} exceeds ${MAX_PRECISION}`);
    if (!Object.hasOwn(CLAUSE_TYPES, letter)) {
      throw new FormatError(`${clause}: unrecognized formatting clause "${letter}"`);
    }
    pieces.push({ clause: letter as Clause, precision });
    at = percent + all.length;
  }
  return pieces;
}

function formatClause(clause: Clause, precision: number, value: CelValue, budget: Budget): string {
  if (clause === 's') return formatString(value, budget);
  const integer = isInt(value) ? BigInt(value) : value instanceof CelUint ? value.value : undefined;
  switch (clause) {
    case 'd':
      if (integer !== undefined) return String(integer);
      break;
    case 'o':
      if (integer !== undefined) return integer.toString(8);
      break;
    case 'b':
      if (typeof value === 'boolean') return value ? '1' : '0';
      if (integer !== undefined) return integer.toString(2);
      break;
    case 'x':
    case 'X': {
      let hex: string | undefined;
      if (integer !== undefined) hex = integer.toString(16);
      else if (typeof value === 'string') hex = Buffer.from(value, 'utf8').toString('hex');
      else if (value instanceof CelBytes) hex = Buffer.from(value.value).toString('hex');
      if (hex !== undefined) return clause === 'x' ? hex : hex.toUpperCase();
      break;
    }
    default: {
      const special = typeof value === 'string' && /^(?:NaN|-?Infinity)$/.test(value) ? parseDouble(value) : value;
      if (special instanceof CelDouble)
        return (clause === 'f' ? formatFixed : formatScientific)(special.value, precision);
    }
  }
  throw new FormatError(`${CLAUSE_TYPES[clause].complaint}, was given ${typeNameOf(value)}`);
}

function format(budget: Budget, text: string, args: readonly CelValue[]): CelValue {
  budget.burn(text.length >> 3);
  try {
    let argument = 0;
    let out = '';
    for (const piece of parseFormat(text, args.length)) {
      if (typeof piece === 'string') out += piece;
      else {
        try {
          out += formatClause(piece.clause, piece.precision, args[argument++]!, budget);
        } catch (error) {
          if (error instanceof FormatError) return fault(`error during formatting: ${error.message}`);
          throw error;
        }
      }
      budget.allocate(out.length, TEXT_LIMIT);
    }
    return out;
  } catch (error) {
    if (error instanceof FormatError) return fault(error.message);
    throw error;
  }
}

export const textFormat: readonly FunctionDeclaration[] = [
  declare('format', [method('string_format', [STRING, listOf(DYN)], STRING, format, { cost: readOnce })]),
];
