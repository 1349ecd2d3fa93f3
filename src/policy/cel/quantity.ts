/** How a quantity was written, which decides how it is printed. */
type Notation = 'DecimalSI' | 'BinarySI' | 'DecimalExponent';

const INT64_MAX = 9223372036854775807n;
const DECIMAL_SUFFIXES: Readonly<Record<string, number>> = {
  n: -9,
  u: -6,
  m: -3,
  '': 0,
  k: 3,
  M: 6,
  G: 9,
  T: 12,
  P: 15,
  E: 18,
};
const BINARY_SUFFIXES: Readonly<Record<string, number>> = { Ki: 10, Mi: 20, Gi: 30, Ti: 40, Pi: 50, Ei: 60 };

/** Exponents and digits beyond these are refused: `1e1000000000` is ten characters, and a gigabyte as a number. */
const MAX_EXPONENT = 400;
const MAX_LENGTH = 512;

const FORM = /^([+-]?)([0-9]*)(?:(\.)([0-9]*))?((?:[eEinumkKMGTP]*)(?:[-+]?)[0-9]*)$/;

const power10 = (exponent: number): bigint => 10n ** BigInt(exponent);
const fitsInt64 = (value: bigint): boolean => value <= INT64_MAX && value >= -INT64_MAX - 1n;

interface Suffix {
  readonly base: 2 | 10;
  readonly exponent: number;
  readonly notation: Notation;
}

function suffixOf(text: string): Suffix | undefined {
  if (Object.hasOwn(BINARY_SUFFIXES, text)) return { base: 2, exponent: BINARY_SUFFIXES[text]!, notation: 'BinarySI' };
  if (Object.hasOwn(DECIMAL_SUFFIXES, text))
    return { base: 10, exponent: DECIMAL_SUFFIXES[text]!, notation: 'DecimalSI' };
  const exponent = /^[eE]([+-]?[0-9]{1,6})$/.exec(text);
  if (exponent === null || Math.abs(Number(exponent[1])) > MAX_EXPONENT) return undefined;
  return { base: 10, exponent: Number(exponent[1]), notation: 'DecimalExponent' };
}

/**
 * Kubernetes' resource.Quantity: `value × 10^scale`. `big` marks what Kubernetes keeps as an arbitrary decimal rather
 * than as 64 bits; such a quantity is never "an integer", however round it is.
 */
export class Quantity {
  private readonly value: bigint;
  private readonly scale: number;
  private readonly big: boolean;
  private readonly notation: Notation;
  /** As it was written, where Kubernetes takes that for canonical. */
  private readonly written: string | undefined;

  private constructor(value: bigint, scale: number, big: boolean, notation: Notation, written?: string) {
    this.value = value;
    this.scale = scale;
    this.big = big;
    this.notation = notation;
    this.written = written;
  }

  static ofInt(value: bigint): Quantity {
    return new Quantity(value, 0, false, 'DecimalExponent');
  }

  /** Undefined: no quantity, or one beyond all use. */
  static parse(text: string): Quantity | undefined {
    const found = text === '' || text.length > MAX_LENGTH ? null : FORM.exec(text);
    if (found === null) return undefined;
    const [, sign, whole = '', , denominator = '', suffixText = ''] = found;
    const suffix = suffixOf(suffixText);
    if (suffix === undefined) return undefined;
    const numerator = whole.replace(/^0+/, '') || '0';
    const negative = sign === '-';
    const small = smallForm(numerator, denominator, suffix);
    if (small !== undefined) {
      const { value, scale } = small;
      const digits = numerator + denominator;
      const canonical =
        suffix.base === 2
          ? (BigInt(numerator) & 7n) !== 0n
          : scale % 3 === 0 && !digits.endsWith('000') && digits[0] !== '0';
      return new Quantity(negative ? -value : value, scale, false, suffix.notation, canonical ? text : undefined);
    }
    return bigForm(numerator + denominator, denominator.length, suffix, negative);
  }

  /** @internal */
  static big(value: bigint, scale: number, notation: Notation): Quantity {
    return new Quantity(value, scale, true, notation);
  }

  get sign(): number {
    return this.value === 0n ? 0 : this.value < 0n ? -1 : 1;
  }

  compare(other: Quantity): number {
    const [a, b] = this.aligned(other);
    return a < b ? -1 : a > b ? 1 : 0;
  }

  plus(other: Quantity): Quantity {
    const notation = this.value === 0n ? other.notation : this.notation;
    if (!this.big && !other.big) {
      if (other.value === 0n) return new Quantity(this.value, this.scale, false, notation);
      if (this.value === 0n) return new Quantity(other.value, other.scale, false, notation);
      const scale = Math.min(this.scale, other.scale);
      const [a, b] = this.aligned(other);
      if (fitsInt64(a) && fitsInt64(b) && fitsInt64(a + b)) return new Quantity(a + b, scale, false, notation);
    }
    const [a, b] = this.aligned(other);
    return new Quantity(a + b, Math.min(this.scale, other.scale), true, notation);
  }

  minus(other: Quantity): Quantity {
    return this.plus(new Quantity(-other.value, other.scale, other.big, other.notation));
  }

  /** Undefined where Kubernetes does not see an integer of 64 bits: `1.0` and `1000m` are none. */
  toInt64(): bigint | undefined {
    if (this.big || this.scale < 0) return undefined;
    const value = this.value * power10(this.scale);
    return fitsInt64(value) ? value : undefined;
  }

  toNumber(): number {
    return this.scale === 0 ? Number(this.value) : Number(this.value) * Number(`1e${this.scale}`);
  }

  /** Canonical: no fraction, the largest suffix that allows that. */
  toString(): string {
    if (this.written !== undefined) return this.written;
    if (this.value === 0n) return '0';
    if (this.notation === 'BinarySI') {
      const whole = this.wholeValue();
      if (whole !== undefined && (whole >= 1024n || whole <= -1024n)) {
        let value = whole;
        let power = 0;
        while (value % 1024n === 0n && power < 60) {
          value /= 1024n;
          power += 10;
        }
        return value + (Object.keys(BINARY_SUFFIXES).find((s) => BINARY_SUFFIXES[s] === power) ?? '');
      }
    }
    let { value, scale } = this;
    while (value % 10n === 0n) {
      value /= 10n;
      scale++;
    }
    const below = ((scale % 3) + 3) % 3;
    value *= power10(below);
    scale -= below;
    const notation = this.notation === 'BinarySI' ? 'DecimalSI' : this.notation;
    if (notation === 'DecimalExponent') return scale === 0 ? `${value}` : `${value}e${scale}`;
    return value + (Object.keys(DECIMAL_SUFFIXES).find((s) => DECIMAL_SUFFIXES[s] === scale) ?? '');
  }

  private wholeValue(): bigint | undefined {
    if (this.scale >= 0) return this.value * power10(this.scale);
    const divisor = power10(-this.scale);
    return this.value % divisor === 0n ? this.value / divisor : undefined;
  }

  private aligned(other: Quantity): [bigint, bigint] {
    const scale = Math.min(this.scale, other.scale);
    return [this.value * power10(this.scale - scale), other.value * power10(other.scale - scale)];
  }
}

/** The form of 64 bits, for numbers short enough for Kubernetes to try it. */
function smallForm(
  numerator: string,
  denominator: string,
  suffix: Suffix,
): { value: bigint; scale: number } | undefined {
  const digits = numerator + denominator;
  if (suffix.base === 10) {
    const scale = suffix.exponent - denominator.length;
    if (18 - digits.length < 0 || scale < -9) return undefined;
    return { value: BigInt(digits), scale };
  }
  if (denominator !== '' || 15 - numerator.length - Math.trunc((suffix.exponent * 3) / 10) - 1 < 0) return undefined;
  const value = BigInt(numerator) << BigInt(suffix.exponent);
  return fitsInt64(value) ? { value, scale: 0 } : undefined;
}

/** The arbitrary form: rounded up to a billionth and, with a binary suffix, cut at the largest 64-bit number. */
function bigForm(digits: string, fraction: number, suffix: Suffix, negative: boolean): Quantity {
  let value = BigInt(digits);
  let scale = -fraction;
  if (suffix.base === 10) scale += suffix.exponent;
  else value <<= BigInt(suffix.exponent);
  if (scale < -9) {
    const divisor = power10(-9 - scale);
    value = (value + divisor - 1n) / divisor;
    scale = -9;
  }
  // Kubernetes' decimal has nine places from here on, which shows in the rounding of asApproximateFloat.
  value *= power10(scale + 9);
  scale = -9;
  const unit = power10(9);
  const belowOne = value > 0n && value < unit;
  if (suffix.base === 2 && value > INT64_MAX * unit) {
    value = INT64_MAX;
    scale = 0;
  }
  const notation = suffix.notation === 'BinarySI' && belowOne ? 'DecimalSI' : suffix.notation;
  return Quantity.big(negative ? -value : value, scale, notation);
}
