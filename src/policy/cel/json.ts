import { CelDouble, type CelValue, smallInt } from './values.ts';

/**
 * JSON as the API server reads it: digits alone, within 64 bits, are an int; `2.0`, `1e3` and what is larger are doubles.
 *
 * `JSON.parse` forgets which a number was, and its reviver, which can tell, makes it many times slower. But nearly
 * no object holds a number that is not a plain integer of up to 15 digits, and one pass of a regular expression over
 * the text (less than half the time of parsing it) proves that: then the parsed tree is the CEL value, nothing wrapped,
 * nothing copied. Only a text that might hold another number is parsed with the reviver. "Might" errs on the safe side:
 * `"a,1.5"` inside a string is such a text too.
 */
const ODD_NUMBER = /(?:"\s*:|[[,])\s*(?:-0|-?(?:\d+[.eE]|\d{16}))/;
const BARE_NUMBER = /^\s*-?\d/;

const INT64_MAX = 9223372036854775807n;
const INT64_MIN = -9223372036854775808n;

/**
 * The CEL value of a JSON text.
 * @throws SyntaxError the text is no JSON
 */
export function parseJson(text: string): CelValue {
  if (!ODD_NUMBER.test(text) && !BARE_NUMBER.test(text)) return JSON.parse(text) as CelValue;
  // The reviver's third argument is newer than TypeScript's declaration of it.
  const revive = (_key: string, value: unknown, context: { source?: string }): unknown =>
    typeof value === 'number' ? numberOf(context.source ?? String(value)) : value;
  return JSON.parse(text, revive as never) as CelValue;
}

function numberOf(source: string): CelValue {
  if (!/^-?[0-9]+$/.test(source)) return new CelDouble(Number(source));
  if (source.length < 16) return Number(source) + 0;
  if (source.length > 20) return new CelDouble(Number(source));
  const value = BigInt(source);
  return value > INT64_MAX || value < INT64_MIN ? new CelDouble(Number(source)) : smallInt(value);
}

/**
 * The CEL value of a tree that was already parsed, by `JSON.parse` or from YAML: whole numbers are ints (2.0 too, its
 * point is gone), other numbers doubles. The tree itself, where it holds none; the copy shares what it need not change.
 */
export function fromJson(value: unknown): CelValue {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? value : new CelDouble(value);
  if (typeof value !== 'object' || value === null) return (value ?? null) as CelValue;
  if (Array.isArray(value)) {
    let copy: CelValue[] | undefined;
    for (let i = 0; i < value.length; i++) {
      const converted = fromJson(value[i]);
      if (converted !== value[i]) (copy ??= [...(value as CelValue[])])[i] = converted;
    }
    return copy ?? (value as CelValue[]);
  }
  const object = value as Record<string, CelValue>;
  let copy: Record<string, CelValue> | undefined;
  for (const key of Object.keys(object)) {
    const converted = fromJson(object[key]);
    if (converted === object[key]) continue;
    copy ??= { ...object };
    // Not assignment: a key `__proto__` must stay a key.
    Object.defineProperty(copy, key, { value: converted, enumerable: true, configurable: true, writable: true });
  }
  return copy ?? object;
}
