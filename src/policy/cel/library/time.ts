import type { Budget } from '../budget.ts';
import { declare, type FunctionDeclaration, method } from '../declarations.ts';
import type { CelDuration } from '../duration.ts';
import { toInt } from '../numbers.ts';
import type { CelTimestamp } from '../timestamp.ts';
import { DURATION, INT, STRING, TIMESTAMP } from '../types.ts';
import { type CelValue, type Fault, fault } from '../values.ts';

/** Seconds east of Greenwich in a zone at a moment, or why there is no such zone. */
function zoneOffset(zone: string, seconds: number): number | Fault {
  if (zone === '' || zone === 'UTC') return 0;
  const colon = zone.indexOf(':');
  return colon === -1 ? namedZone(zone, seconds) : fixedZone(zone, colon);
}

/** `+05:30`, `-2:00`, `05:45`: what stands before the colon is hours, after it minutes, as Kubernetes reads it. */
function fixedZone(zone: string, colon: number): number | Fault {
  const hours = zone.slice(0, colon);
  const minutes = zone.slice(colon + 1);
  for (const part of [hours, minutes]) {
    if (!/^[+-]?[0-9]{1,9}$/.test(part)) return fault(`strconv.Atoi: parsing "${part}": invalid syntax`);
  }
  const m = Number(minutes);
  return Number(hours) * 3600 + (zone[0] === '-' ? -m : m) * 60;
}

/** Making a formatter costs more than a hundred uses of it; a hostile policy could name only so many real zones. */
const formatters = new Map<string, Intl.DateTimeFormat>();

function formatterFor(zone: string): Intl.DateTimeFormat | undefined {
  const known = formatters.get(zone);
  if (known !== undefined) return known;
  // Intl also takes offsets and any case; the zone database does neither.
  if (!/^[A-Z][A-Za-z0-9_+-]*(?:\/[A-Z][A-Za-z0-9_+-]*)*$/.test(zone)) return undefined;
  try {
    const formatter = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      calendar: 'gregory',
      era: 'short',
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
    const resolved = formatter.resolvedOptions().timeZone;
    if (resolved !== zone && resolved.toLowerCase() === zone.toLowerCase()) return undefined;
    formatters.set(zone, formatter);
    return formatter;
  } catch {
    return undefined;
  }
}

function namedZone(zone: string, seconds: number): number | Fault {
  const formatter = formatterFor(zone);
  if (formatter === undefined) return fault(`unknown time zone ${zone}`);
  const parts = new Map(formatter.formatToParts(seconds * 1000).map((p) => [p.type, p.value]));
  const part = (type: Intl.DateTimeFormatPartTypes): number => Number(parts.get(type));
  const local = new Date(0);
  local.setUTCFullYear(parts.get('era') === 'BC' ? 1 - part('year') : part('year'), part('month') - 1, part('day'));
  local.setUTCHours(part('hour'), part('minute'), part('second'));
  return local.getTime() / 1000 - seconds;
}

type Part = (local: Date, at: CelTimestamp) => number;

const dayOfYear: Part = (local) => {
  const start = new Date(local);
  start.setUTCMonth(0, 1);
  return Math.round((local.getTime() - start.getTime()) / 86_400_000);
};

const PARTS: Readonly<Record<string, Part>> = {
  getFullYear: (local) => local.getUTCFullYear(),
  getMonth: (local) => local.getUTCMonth(),
  getDayOfYear: dayOfYear,
  getDayOfMonth: (local) => local.getUTCDate() - 1,
  getDate: (local) => local.getUTCDate(),
  getDayOfWeek: (local) => local.getUTCDay(),
  getHours: (local) => local.getUTCHours(),
  getMinutes: (local) => local.getUTCMinutes(),
  getSeconds: (local) => local.getUTCSeconds(),
  getMilliseconds: (_local, at) => Math.trunc(at.nanos / 1_000_000),
};

const NANOSECONDS: Readonly<Record<string, bigint>> = {
  getHours: 3_600_000_000_000n,
  getMinutes: 60_000_000_000n,
  getSeconds: 1_000_000_000n,
  getMilliseconds: 1_000_000n,
};

/** The accessors of timestamps (in UTC where no zone is given) and durations (the whole duration in that unit). */
export const time: readonly FunctionDeclaration[] = Object.entries(PARTS).map(([name, part]) => {
  const unit = NANOSECONDS[name];
  return declare(name, [
    method(`timestamp_${name}`, [TIMESTAMP], INT, (_: Budget, t: CelTimestamp) => part(new Date(t.seconds * 1000), t)),
    method(
      `timestamp_${name}_with_tz`,
      [TIMESTAMP, STRING],
      INT,
      (budget: Budget, t: CelTimestamp, zone: string): CelValue => {
        budget.burn(16);
        const offset = zoneOffset(zone, t.seconds);
        return typeof offset === 'number' ? part(new Date((t.seconds + offset) * 1000), t) : offset;
      },
    ),
    ...(unit === undefined
      ? []
      : [method(`duration_${name}`, [DURATION], INT, (_: Budget, d: CelDuration) => toInt(d.nanoseconds / unit))]),
  ]);
});
