import { Boxed, type CelValue } from './values.ts';

const INT64_MAX = 9223372036854775807n;
const INT64_MIN = -9223372036854775808n;
const SECOND = 1_000_000_000n;

/** A span of time in nanoseconds, within 64 bits, as Go's `time.Duration`. */
export class CelDuration extends Boxed {
  readonly nanoseconds: bigint;
  constructor(nanoseconds: bigint) {
    super();
    this.nanoseconds = nanoseconds;
  }
  /** Undefined: outside 64 bits. */
  static of(nanoseconds: bigint): CelDuration | undefined {
    return nanoseconds > INT64_MAX || nanoseconds < INT64_MIN ? undefined : new CelDuration(nanoseconds);
  }
  get typeName(): string {
    return 'google.protobuf.Duration';
  }
  equals(other: CelValue): boolean {
    return other instanceof CelDuration && other.nanoseconds === this.nanoseconds;
  }
  /** As `string()` prints it: Kubernetes goes through a double, so that 292 years lose their last digits. */
  format(): string {
    const seconds = Number(this.nanoseconds / SECOND) + Number(this.nanoseconds % SECOND) / 1e9;
    return `${Math.abs(seconds) < 1e-6 ? String(seconds.toFixed(9)).replace(/\.?0+$/, '') : seconds}s`;
  }
  /** Exact, in seconds with a fraction and an `s`: `5400.25s`. */
  override toString(): string {
    const size = this.nanoseconds < 0n ? -this.nanoseconds : this.nanoseconds;
    const fraction = (size % SECOND).toString().padStart(9, '0').replace(/0+$/, '');
    return `${this.nanoseconds < 0n ? '-' : ''}${size / SECOND}${fraction && `.${fraction}`}s`;
  }
}

const UNITS: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1_000n,
  '\u00b5s': 1_000n,
  '\u03bcs': 1_000n,
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
};

/** Go's notation (`1h30m`, `-1.5s`, `0`); no days, no spaces. Undefined: not a duration, or outside 64 bits. */
export function parseDuration(text: string): CelDuration | undefined {
  if (text.length > 256) return undefined;
  const sign = /^[+-]/.exec(text)?.[0] ?? '';
  const rest = text.slice(sign.length);
  if (rest === '0') return new CelDuration(0n);
  if (rest === '') return undefined;
  let total = 0n;
  let at = 0;
  const part = /([0-9]*)(?:\.([0-9]*))?(ns|us|\u00b5s|\u03bcs|ms|s|m|h)/y;
  while (at < rest.length) {
    part.lastIndex = at;
    const found = part.exec(rest);
    if (found === null) return undefined;
    const [all, whole = '', fraction = '', unit = ''] = found;
    if (whole === '' && fraction === '') return undefined;
    total += BigInt(whole || '0') * UNITS[unit]!;
    // Fractions below a nanosecond are cut off, as Go does.
    if (fraction !== '') total += (BigInt(fraction) * UNITS[unit]!) / 10n ** BigInt(fraction.length);
    at += all.length;
  }
  return CelDuration.of(sign === '-' ? -total : total);
}
