import type { Budget } from '../budget.ts';
import { declare, type FunctionDeclaration, overload } from '../declarations.ts';
import { type CelDuration, parseDuration } from '../duration.ts';
import {
  doubleToInt,
  doubleToUint,
  formatDouble,
  parseDouble,
  parseInt64,
  parseUint64,
  toInt,
  toUint,
} from '../numbers.ts';
import { readOnce } from '../sizes.ts';
import { CelTimestamp, parseTimestamp } from '../timestamp.ts';
import { BOOL, BYTES, DOUBLE, DURATION, INT, STRING, TIMESTAMP, UINT } from '../types.ts';
import { CelBytes, CelDouble, type CelUint, type CelValue, type Fault, fault } from '../values.ts';

const cannot = (to: string): Fault => fault(`type conversion error from 'string' to '${to}'`);
const TO_BOOL = cannot('bool');
const TO_INT = cannot('int');
const TO_UINT = cannot('uint');
const TO_DOUBLE = cannot('double');
const TO_DURATION = cannot('google.protobuf.Duration');
const TO_TIMESTAMP = cannot('google.protobuf.Timestamp');
const NOT_UTF8 = fault('invalid UTF-8 in bytes, cannot convert to string');
const TIMESTAMP_OVERFLOW = fault('timestamp overflow');

const same = (_: Budget, value: CelValue): CelValue => value;
const text = (_: Budget, value: CelValue): CelValue => String(value);
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

const TRUE = new Set(['1', 't', 'T', 'true', 'TRUE', 'True']);
const FALSE = new Set(['0', 'f', 'F', 'false', 'FALSE', 'False']);

export function decodeUtf8(bytes: CelBytes): string | Fault {
  try {
    return utf8.decode(bytes.value);
  } catch {
    return NOT_UTF8;
  }
}

/** The functions that turn one type into another. With a literal argument they run when the expression is compiled. */
export const CONVERSIONS: ReadonlySet<string> = new Set(
  'bool bytes double duration dyn int string timestamp type uint'.split(' '),
);

export const conversions: readonly FunctionDeclaration[] = [
  declare('bool', [
    overload('bool_to_bool', [BOOL], BOOL, same),
    overload('string_to_bool', [STRING], BOOL, (_: Budget, s: string) =>
      TRUE.has(s) ? true : FALSE.has(s) ? false : TO_BOOL,
    ),
  ]),
  declare('bytes', [
    overload('bytes_to_bytes', [BYTES], BYTES, same),
    overload('string_to_bytes', [STRING], BYTES, (_: Budget, s: string) => new CelBytes(Buffer.from(s, 'utf8')), {
      cost: readOnce,
    }),
  ]),
  declare('double', [
    overload('double_to_double', [DOUBLE], DOUBLE, same),
    overload('int64_to_double', [INT], DOUBLE, (_: Budget, i: number | bigint) => new CelDouble(Number(i) + 0)),
    overload('string_to_double', [STRING], DOUBLE, (_: Budget, s: string) => parseDouble(s) ?? TO_DOUBLE),
    overload('uint64_to_double', [UINT], DOUBLE, (_: Budget, u: CelUint) => new CelDouble(Number(u.value))),
  ]),
  declare('duration', [
    overload('duration_to_duration', [DURATION], DURATION, same),
    overload('string_to_duration', [STRING], DURATION, (_: Budget, s: string) => parseDuration(s) ?? TO_DURATION),
  ]),
  declare('int', [
    overload('int64_to_int64', [INT], INT, same),
    overload('double_to_int64', [DOUBLE], INT, (_: Budget, d: CelDouble) => doubleToInt(d.value)),
    overload('duration_to_int64', [DURATION], INT, (_: Budget, d: CelDuration) => toInt(d.nanoseconds)),
    overload('string_to_int64', [STRING], INT, (_: Budget, s: string) => parseInt64(s) ?? TO_INT),
    overload('timestamp_to_int64', [TIMESTAMP], INT, (_: Budget, t: CelTimestamp) => t.seconds),
    overload('uint64_to_int64', [UINT], INT, (_: Budget, u: CelUint) => toInt(u.value)),
  ]),
  declare('string', [
    overload('string_to_string', [STRING], STRING, same),
    overload('bool_to_string', [BOOL], STRING, text),
    overload('bytes_to_string', [BYTES], STRING, (_: Budget, b: CelBytes) => decodeUtf8(b), { cost: readOnce }),
    overload('double_to_string', [DOUBLE], STRING, (_: Budget, d: CelDouble) => formatDouble(d.value)),
    overload('duration_to_string', [DURATION], STRING, (_: Budget, d: CelDuration) => d.format()),
    overload('int64_to_string', [INT], STRING, text),
    overload('timestamp_to_string', [TIMESTAMP], STRING, (_: Budget, t: CelTimestamp) => t.format()),
    overload('uint64_to_string', [UINT], STRING, (_: Budget, u: CelUint) => String(u.value)),
  ]),
  declare('timestamp', [
    overload('timestamp_to_timestamp', [TIMESTAMP], TIMESTAMP, same),
    overload(
      'int64_to_timestamp',
      [INT],
      TIMESTAMP,
      (_: Budget, seconds: number | bigint) => CelTimestamp.of(Number(seconds)) ?? TIMESTAMP_OVERFLOW,
    ),
    overload('string_to_timestamp', [STRING], TIMESTAMP, (_: Budget, s: string) => parseTimestamp(s) ?? TO_TIMESTAMP),
  ]),
  declare('uint', [
    overload('uint64_to_uint64', [UINT], UINT, same),
    overload('double_to_uint64', [DOUBLE], UINT, (_: Budget, d: CelDouble) => doubleToUint(d.value)),
    overload('int64_to_uint64', [INT], UINT, (_: Budget, i: number | bigint) => toUint(BigInt(i))),
    overload('string_to_uint64', [STRING], UINT, (_: Budget, s: string) => parseUint64(s) ?? TO_UINT),
  ]),
];
