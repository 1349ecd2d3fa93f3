import { CelDuration } from './duration.ts';
import { CelTimestamp } from './timestamp.ts';
import type { CelType } from './types.ts';
import {
  Boxed,
  CelBytes,
  CelDouble,
  CelOptional,
  CelTypeValue,
  CelUint,
  type CelValue,
  isInt,
  isMap,
  mapEntries,
} from './values.ts';

/** Whether a value may be passed where a type is declared; undefined where all may. */
export function guard(type: CelType): ((value: CelValue) => boolean) | undefined {
  switch (type.kind) {
    case 'dyn':
    case 'param':
    case 'error':
      return undefined;
    case 'null':
      return (v) => v === null;
    case 'bool':
      return (v) => typeof v === 'boolean';
    case 'int':
      return isInt;
    case 'uint':
      return (v) => v instanceof CelUint;
    case 'double':
      return (v) => v instanceof CelDouble;
    case 'string':
      return (v) => typeof v === 'string';
    case 'bytes':
      return (v) => v instanceof CelBytes;
    case 'timestamp':
      return (v) => v instanceof CelTimestamp;
    case 'duration':
      return (v) => v instanceof CelDuration;
    case 'type':
      return (v) => v instanceof CelTypeValue;
    case 'list': {
      // The first element speaks for all, as in Kubernetes: implementations look at each one themselves.
      const element = guard(type.element);
      if (element === undefined) return Array.isArray;
      return (v) => Array.isArray(v) && (v.length === 0 || element(v[0] as CelValue));
    }
    case 'map': {
      const [key, value] = [guard(type.key), guard(type.value)];
      if (key === undefined && value === undefined) return isMap;
      return (v) => {
        if (!isMap(v)) return false;
        const first = mapEntries(v)[0];
        return first === undefined || ((key?.(first[0]) ?? true) && (value?.(first[1]) ?? true));
      };
    }
    case 'object':
      return isMap;
    case 'optional': {
      const element = guard(type.element);
      return (v) => v instanceof CelOptional && (v.value === undefined || (element?.(v.value) ?? true));
    }
    case 'opaque': {
      const { name } = type;
      return (v) => v instanceof Boxed && v.typeName === name;
    }
  }
}
