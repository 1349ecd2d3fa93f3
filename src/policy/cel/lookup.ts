import {
  Boxed,
  CelDouble,
  CelUint,
  type CelValue,
  type Fault,
  fault,
  isInt,
  isMap,
  type JsonMap,
  mapGet,
} from './values.ts';

/** Names that every object seems to have. */
const INHERITED: ReadonlySet<string> = new Set(Object.getOwnPropertyNames(Object.prototype));

const STRING_IN_LIST = fault("unsupported index type 'string' in list");

/** Reads one field by name: the value, a `Fault`, or `undefined` where there is none (or nothing to have it). */
export function fieldReader(name: string): (value: CelValue) => CelValue | undefined {
  if (INHERITED.has(name)) return (value) => field(value, name);
  return (value) => {
    // The one step of nearly every expression: a plain object that has the field.
    if (typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Boxed)) {
      return (value as JsonMap)[name];
    }
    return field(value, name);
  };
}

function field(value: CelValue, name: string): CelValue | undefined {
  if (isMap(value)) return mapGet(value, name);
  return Array.isArray(value) ? STRING_IN_LIST : undefined;
}

/** Whether a value may stand in brackets. */
export const isKey = (v: CelValue): boolean =>
  typeof v === 'string' || isInt(v) || typeof v === 'boolean' || v instanceof CelUint || v instanceof CelDouble;

/** `value[key]`: as `fieldReader`, for keys of all types. */
export function lookup(value: CelValue, key: CelValue): CelValue | undefined {
  if (typeof key === 'string') return field(value, key);
  if (!isKey(key)) return fault('invalid qualifier type');
  if (isMap(value)) return mapGet(value, key);
  if (!Array.isArray(value)) return undefined;
  const index = listIndex(key);
  return typeof index === 'number' ? (value[index] as CelValue | undefined) : index;
}

function listIndex(key: CelValue): number | Fault {
  if (typeof key === 'number') return key;
  if (key instanceof CelUint || typeof key === 'bigint') return Number(typeof key === 'bigint' ? key : key.value);
  if (key instanceof CelDouble) {
    return Number.isInteger(key.value) ? key.value : fault(`unsupported index value ${key.value} in list`);
  }
  return fault(`unsupported index type '${typeof key === 'boolean' ? 'bool' : typeof key}' in list`);
}

/** The error where `lookup` found nothing. */
export function missing(value: CelValue, key: CelValue): Fault {
  const shown = key instanceof CelUint || key instanceof CelDouble ? key.value : String(key);
  return fault(Array.isArray(value) ? `index out of bounds: ${shown}` : `no such key: ${shown}`);
}
