import { CelDouble, CelUint, type CelValue, type Fault, fault, smallInt } from './values.ts';

/** Arithmetic as CEL has it: 64 bits, and an error instead of an overflow or a division by zero. */
const INT64_MAX = 9223372036854775807n;
const INT64_MIN = -9223372036854775808n;
const UINT64_MAX = 18446744073709551615n;

export const INT_OVERFLOW = fault('integer overflow');
export const UINT_OVERFLOW = fault('unsigned integer overflow');
const DIVISION_BY_ZERO = fault('division by zero');
const MODULUS_BY_ZERO = fault('modulus by zero');

export type Operation = '+' | '-' | '*' | '/' | '%';

/** A mathematical result as an int, if it is one. */
export const toInt = (value: bigint): CelValue =>
  value > INT64_MAX || value < INT64_MIN ? INT_OVERFLOW : smallInt(value);

export const toUint = (value: bigint): CelValue =>
  value > UINT64_MAX || value < 0n ? UINT_OVERFLOW : new CelUint(value);

/** The short way for ints of 53 bits; undefined where the result may not be one. */
export function smallArithmetic(operation: Operation, a: number, b: number): number | Fault | undefined {
  let result: number;
  switch (operation) {
    case '+':
      result = a + b;
      break;
    case '-':
      result = a - b;
      break;
    case '*':
      result = a * b;
      break;
    case '/':
      if (b === 0) return DIVISION_BY_ZERO;
      result = Math.trunc(a / b);
      break;
    case '%':
      if (b === 0) return MODULUS_BY_ZERO;
      result = a % b;
      break;
  }
  // A quotient of 53-bit numbers can round up to the next integer before it is cut; then only bigints are exact.
  if (operation === '/' && (a > 0x7fffffff || a < -0x7fffffff)) return undefined;
  return Number.isSafeInteger(result) ? result + 0 : undefined;
}

export function intArithmetic(operation: Operation, left: number | bigint, right: number | bigint): CelValue {
  const a = BigInt(left);
  const b = BigInt(right);
  switch (operation) {
    case '+':
      return toInt(a + b);
    case '-':
      return toInt(a - b);
    case '*':
      return toInt(a * b);
    case '/':
      return b === 0n ? DIVISION_BY_ZERO : toInt(a / b);
    case '%':
      if (b === 0n) return MODULUS_BY_ZERO;
      return a === INT64_MIN && b === -1n ? INT_OVERFLOW : toInt(a % b);
  }
}

export function uintArithmetic(operation: Operation, a: bigint, b: bigint): CelValue {
  switch (operation) {
    case '+':
      return toUint(a + b);
    case '-':
      return toUint(a - b);
    case '*':
      return toUint(a * b);
    case '/':
      return b === 0n ? DIVISION_BY_ZERO : toUint(a / b);
    case '%':
      return b === 0n ? MODULUS_BY_ZERO : toUint(a % b);
  }
}

/** Undefined for `%`, which doubles do not have. */
export function doubleArithmetic(operation: Operation, a: number, b: number): CelDouble | undefined {
  switch (operation) {
    case '+':
      return new CelDouble(a + b);
    case '-':
      return new CelDouble(a - b);
    case '*':
      return new CelDouble(a * b);
    case '/':
      return new CelDouble(a / b);
    case '%':
      return undefined;
  }
}

export const negateInt = (value: number | bigint): CelValue => (typeof value === 'number' ? 0 - value : toInt(-value));

/** Cut towards zero. The range is open at both ends, as in Kubernetes: 2^63 - 1 has no double of its own. */
export function doubleToInt(value: number): CelValue {
  if (!Number.isFinite(value) || value <= -(2 ** 63) || value >= 2 ** 63) return INT_OVERFLOW;
  return smallInt(BigInt(Math.trunc(value)));
}

export function doubleToUint(value: number): CelValue {
  if (!Number.isFinite(value) || value < 0 || value >= 2 ** 64) return UINT_OVERFLOW;
  return new CelUint(BigInt(Math.trunc(value)));
}

const DECIMAL = /^[+-]?[0-9]+$/;

/** Decimal digits with an optional sign, leading zeros allowed. Undefined: not an int of 64 bits. */
export function parseInt64(text: string): number | bigint | undefined {
  if (!DECIMAL.test(text)) return undefined;
  const digits = text.replace(/^[+-]?0*/, '');
  if (digits.length > 19) return undefined;
  const value = BigInt(text[0] === '-' ? `-${digits || '0'}` : digits || '0');
  return value > INT64_MAX || value < INT64_MIN ? undefined : smallInt(value);
}

export function parseUint64(text: string): CelUint | undefined {
  const digits = /^[0-9]+$/.test(text) ? text.replace(/^0+/, '') : undefined;
  if (digits === undefined || digits.length > 20) return undefined;
  const value = BigInt(digits || '0');
  return value > UINT64_MAX ? undefined : new CelUint(value);
}

const FLOAT = /^[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$/;
const HEX_FLOAT = /^([+-]?)0[xX]([0-9a-fA-F]*)(?:\.([0-9a-fA-F]*))?[pP]([+-]?[0-9]{1,5})$/;

/** Go's notation for floats: decimal, hexadecimal, `Inf`, `NaN`. Undefined: none of these, or too large. */
export function parseDouble(text: string): CelDouble | undefined {
  const special = /^([+-]?)(inf|infinity|nan)$/i.exec(text);
  if (special !== null) {
    if (special[2]!.toLowerCase() === 'nan') return special[1] === '' ? new CelDouble(Number.NaN) : undefined;
    return new CelDouble(special[1] === '-' ? -Infinity : Infinity);
  }
  if (text.length > 1000) return undefined;
  const hex = HEX_FLOAT.exec(text);
  if (hex !== null && `${hex[2]}${hex[3] ?? ''}` !== '') {
    const fraction = hex[3] ?? '';
    const mantissa = Number(BigInt(`0x${hex[2]}${fraction}`));
    const value = mantissa * 2 ** (Number(hex[4]) - 4 * fraction.length);
    return Number.isFinite(value) ? new CelDouble(hex[1] === '-' ? -value : value) : undefined;
  }
  if (!FLOAT.test(text)) return undefined;
  const value = Number(text);
  return Number.isFinite(value) ? new CelDouble(value) : undefined;
}

/** As Go prints `%g`: shortest digits; from a million on, and below a ten-thousandth, with an exponent of two digits. */
export function formatDouble(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf';
  if (value === 0) return Object.is(value, -0) ? '-0' : '0';
  const [mantissa, exponent] = value.toExponential().split('e') as [string, string];
  const power = Number(exponent);
  if (power >= -4 && power < 6) return String(value);
  return `${mantissa}e${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`;
}
