import { CelDuration } from './duration.ts';
import { typeNameOf } from './text-format.ts';
import { CelTimestamp } from './timestamp.ts';
import {
  Boxed,
  CelBytes,
  CelDouble,
  CelOptional,
  CelTypeValue,
  CelUint,
  type CelValue,
  isMap,
  mapEntries,
} from './values.ts';

/** The run-time type name of a value, as `type(x)` prints it. */
export const typeName = typeNameOf;

/**
 * A value as JSON that loses nothing: `{"int":"5"}`, `{"double":"0.5"}`, `{"map":[[key,value],…]}`, `{"quantity":"1Gi"}`.
 * The form of the case files in `test/cel`.
 */
export function encodeValue(value: CelValue): unknown {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return value;
  if (typeof value !== 'object') return { int: String(value) };
  if (Array.isArray(value)) return (value as readonly CelValue[]).map(encodeValue);
  if (isMap(value)) return { map: mapEntries(value).map(([k, v]) => [encodeValue(k), encodeValue(v)]) };
  if (value instanceof CelUint) return { uint: String(value.value) };
  if (value instanceof CelDouble) return { double: Object.is(value.value, -0) ? '-0' : String(value.value) };
  if (value instanceof CelBytes) return { bytes: Buffer.from(value.value).toString('base64') };
  if (value instanceof CelTimestamp) return { timestamp: value.format(0) };
  if (value instanceof CelDuration) return { duration: value.toString() };
  if (value instanceof CelTypeValue) return { type: value.name };
  if (value instanceof CelOptional) return { optional: value.value === undefined ? [] : [encodeValue(value.value)] };
  if (value instanceof Boxed) return { [value.typeName.replace(/^.*\./, '').toLowerCase()]: String(value) };
  throw new Error('a value that cannot be encoded');
}

/** Whether two encodings stand for the same value; the order of a map's entries means nothing, doubles are numbers. */
export function sameEncoding(a: unknown, b: unknown): boolean {
  return canonical(a) === canonical(b);
}

function canonical(encoded: unknown): string {
  if (Array.isArray(encoded)) return `[${encoded.map(canonical).join()}]`;
  if (typeof encoded !== 'object' || encoded === null) return JSON.stringify(encoded);
  const [[kind, content] = ['', null]] = Object.entries(encoded) as [string, unknown][];
  if (kind === 'double') return `double ${Object.is(Number(content), -0) ? '-0' : Number(content)}`;
  if (kind === 'map')
    return `map {${(content as unknown[])
      .map(canonical)
      .sort((a, b) => (a < b ? -1 : 1))
      .join()}}`;
  return `${kind} ${canonical(content)}`;
}
