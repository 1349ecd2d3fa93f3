import type { Budget } from './budget.ts';
import { CelDuration } from './duration.ts';
import { formatDouble } from './numbers.ts';
import { TEXT_LIMIT } from './operators.ts';
import { CelTimestamp } from './timestamp.ts';
import { CelBytes, CelDouble, CelTypeValue, CelUint, type CelValue, isMap, mapEntries } from './values.ts';

/** Why a value cannot be printed so. */
export class FormatError extends Error {}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export function typeNameOf(value: CelValue): string {
  if (value === null) return 'null_type';
  switch (typeof value) {
    case 'boolean':
      return 'bool';
    case 'string':
      return 'string';
    case 'number':
    case 'bigint':
      return 'int';
    default:
      if (Array.isArray(value)) return 'list';
      return 'typeName' in value && typeof value.typeName === 'string' && !isMap(value) ? value.typeName : 'map';
  }
}

/** `%s` */
export function formatString(value: CelValue, budget: Budget): string {
  budget.burn(1);
  if (value === null) return 'null';
  if (typeof value !== 'object') return String(value);
  if (Array.isArray(value)) return formatList(value as readonly CelValue[], budget);
  if (isMap(value)) return formatMap(value, budget);
  if (value instanceof CelDouble) return formatDouble(value.value);
  if (value instanceof CelUint) return String(value.value);
  if (value instanceof CelTimestamp) return value.format();
  if (value instanceof CelDuration) return value.format();
  if (value instanceof CelTypeValue) return value.name;
  if (value instanceof CelBytes) return decode(value);
  throw new FormatError(
    `string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps, was given ${typeNameOf(value)}`,
  );
}

function decode(bytes: CelBytes): string {
  try {
    return utf8.decode(bytes.value);
  } catch {
    throw new FormatError('could not convert argument to string');
  }
}

/** A value inside a list or map, printed as Kubernetes prints it there: quoted, doubles with six digits. */
function formatMember(value: CelValue, budget: Budget): string {
  if (typeof value === 'string') {
    budget.burn(value.length >> 2);
    return quoteGo(value);
  }
  if (value instanceof CelDouble) {
    if (!Number.isFinite(value.value))
      return quoteGo(Number.isNaN(value.value) ? 'NaN' : value.value > 0 ? '+Inf' : '-Inf');
    return fixed(value.value, 6);
  }
  if (value instanceof CelBytes) return `b${quoteGo(decode(value))}`;
  if (value instanceof CelTimestamp) return `timestamp(${quoteGo(value.format())})`;
  if (value instanceof CelDuration) return `duration(${quoteGo(value.format())})`;
  return formatString(value, budget);
}

function formatList(list: readonly CelValue[], budget: Budget): string {
  return `[${joined(
    list.map((element) => formatMember(element, budget)),
    budget,
  )}]`;
}

function formatMap(map: Parameters<typeof mapEntries>[0], budget: Budget): string {
  const entries = mapEntries(map).map(([k, v]) => [formatMember(k, budget), formatMember(v, budget)] as const);
  entries.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return `{${joined(
    entries.map(([k, v]) => `${k}:${v}`),
    budget,
  )}}`;
}

function joined(parts: readonly string[], budget: Budget): string {
  budget.allocate(
    parts.reduce((length, part) => length + part.length + 2, 0),
    TEXT_LIMIT,
  );
  return parts.join(', ');
}

const GO_ESCAPES: Readonly<Record<string, string>> = {
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

/** As Go's %q: what does not print is escaped. */
export function quoteGo(text: string): string {
  const body = text.toWellFormed().replace(/[\\"]|[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/gu, (c) => {
    const known = GO_ESCAPES[c];
    if (known !== undefined) return known;
    const code = c.codePointAt(0)!;
    if (code < 0x80) return `\\x${code.toString(16).padStart(2, '0')}`;
    return code > 0xffff ? `\\U${code.toString(16).padStart(8, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`;
  });
  return `"${body}"`;
}

/** Fixed point, exact, halves to even (JavaScript's toFixed rounds them up, and stops at 100 digits). */
export function fixed(value: number, precision: number): string {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  const bits = view.getBigUint64(0);
  const exponentBits = Number((bits >> 52n) & 0x7ffn);
  const fraction = bits & 0xfffffffffffffn;
  const mantissa = exponentBits === 0 ? fraction : fraction | (1n << 52n);
  const exponent = (exponentBits === 0 ? 1 : exponentBits) - 1075;
  let scaled = mantissa * 10n ** BigInt(precision);
  if (exponent >= 0) scaled <<= BigInt(exponent);
  else scaled = roundShift(scaled, BigInt(-exponent));
  const digits = scaled.toString().padStart(precision + 1, '0');
  const whole = digits.slice(0, digits.length - precision);
  const sign = bits >> 63n === 1n ? '-' : '';
  return precision === 0 ? sign + whole : `${sign}${whole}.${digits.slice(-precision)}`;
}

function roundShift(value: bigint, by: bigint): bigint {
  const quotient = value >> by;
  const rest = value - (quotient << by);
  const half = 1n << (by - 1n);
  return rest > half || (rest === half && (quotient & 1n) === 1n) ? quotient + 1n : quotient;
}

const SUPERSCRIPTS = '⁰¹²³⁴⁵⁶⁷⁸⁹';

/** `%f`, in en_US: thousands in groups. */
export function formatFixed(value: number, precision: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '∞' : '-∞';
  const [whole = '', fraction] = fixed(value === 0 ? 0 : value, precision).split('.');
  const grouped = whole.replace(/\B(?=(?:[0-9]{3})+$)/g, ',');
  return fraction === undefined ? grouped : `${grouped}.${fraction}`;
}

/** `%e`, in en_US: `1.234568×10⁰³`. Kubernetes takes the precision for a width: there are always six digits. */
export function formatScientific(value: number, width: number): string {
  if (Number.isNaN(value)) return 'NaN'.padStart(width);
  if (!Number.isFinite(value)) return (value > 0 ? '∞' : '-∞').padStart(width);
  const [mantissa = '', exponent = ''] = value.toExponential(6).split('e');
  const power = Number(exponent);
  const digits = String(Math.abs(power))
    .padStart(2, '0')
    .replace(/[0-9]/g, (d) => SUPERSCRIPTS[Number(d)]!);
  return `${mantissa}×10${power < 0 ? '⁻' : ''}${digits}`.padStart(width);
}
