import { CelDuration } from './duration.ts';
import { Boxed, type CelValue } from './values.ts';

/** 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z. */
const MIN_SECONDS = -62_135_596_800;
const MAX_SECONDS = 253_402_300_799;
const SECOND = 1_000_000_000n;

/** A moment, to the nanosecond, with the offset it was written in (only `string()` shows that). */
export class CelTimestamp extends Boxed {
  readonly seconds: number;
  /** 0 to 999,999,999 */
  readonly nanos: number;
  readonly offsetSeconds: number;

  private constructor(seconds: number, nanos: number, offsetSeconds: number) {
    super();
    this.seconds = seconds;
    this.nanos = nanos;
    this.offsetSeconds = offsetSeconds;
  }
  /** Undefined: outside the years 1 to 9999. */
  static of(seconds: number, nanos = 0, offsetSeconds = 0): CelTimestamp | undefined {
    if (seconds < MIN_SECONDS || seconds > MAX_SECONDS) return undefined;
    return new CelTimestamp(seconds, nanos, offsetSeconds);
  }
  get typeName(): string {
    return 'google.protobuf.Timestamp';
  }
  equals(other: CelValue): boolean {
    return other instanceof CelTimestamp && this.compare(other) === 0;
  }
  compare(other: CelTimestamp): number {
    return Math.sign(this.seconds - other.seconds) || Math.sign(this.nanos - other.nanos);
  }
  plus(duration: CelDuration): CelTimestamp | undefined {
    const total = this.nanoseconds + duration.nanoseconds;
    const nanos = ((total % SECOND) + SECOND) % SECOND;
    return CelTimestamp.of(Number((total - nanos) / SECOND), Number(nanos), this.offsetSeconds);
  }
  minus(other: CelTimestamp): CelDuration | undefined {
    return CelDuration.of(this.nanoseconds - other.nanoseconds);
  }
  private get nanoseconds(): bigint {
    return BigInt(this.seconds) * SECOND + BigInt(this.nanos);
  }
  /** RFC 3339, in the offset it was written in unless another is given. */
  format(offsetSeconds = this.offsetSeconds): string {
    const local = new Date((this.seconds + offsetSeconds) * 1000).toISOString().replace(/\.000Z$/, '');
    const fraction = this.nanos === 0 ? '' : `.${String(this.nanos).padStart(9, '0').replace(/0+$/, '')}`;
    if (offsetSeconds === 0) return `${local}${fraction}Z`;
    const minutes = Math.trunc(Math.abs(offsetSeconds) / 60);
    const two = (n: number): string => String(n).padStart(2, '0');
    return `${local}${fraction}${offsetSeconds < 0 ? '-' : '+'}${two(Math.trunc(minutes / 60))}:${two(minutes % 60)}`;
  }
}

const RFC3339 = /^(\d{4})-(\d{2})-(\d{2})T(\d{1,2}):(\d{2}):(\d{2})(?:[.,](\d+))?(?:Z|([+-])(\d{2}):(\d{2}))$/;

/** RFC 3339 as Go reads it: capital T and Z, real days of the month, no hour 24, no leap second. */
export function parseTimestamp(text: string): CelTimestamp | undefined {
  const found = text.length > 128 ? null : RFC3339.exec(text);
  if (found === null) return undefined;
  const [year, month, day, hour, minute, second] = found.slice(1, 7).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  if (hour > 23 || minute > 59 || second > 59 || month < 1 || month > 12) return undefined;
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return undefined;
  const offsetHours = Number(found[9] ?? 0);
  const offsetMinutes = Number(found[10] ?? 0);
  if (offsetHours > 24 || offsetMinutes > 60) return undefined;
  const offset = (found[8] === '-' ? -1 : 1) * (offsetHours * 3600 + offsetMinutes * 60);
  const nanos = Number((found[7] ?? '').slice(0, 9).padEnd(9, '0'));
  return CelTimestamp.of(date.getTime() / 1000 + hour * 3600 + minute * 60 + second - offset, nanos, offset);
}
