import type { Cost } from './declarations.ts';
import { byteLength, codePointLength } from './text.ts';
import { Boxed, CelBytes, CelOptional, type CelValue, isMap, mapEntries, mapSize } from './values.ts';

/** The measures of Kubernetes' cost model (cel-go's tracker and the API server's estimator for its own libraries). */
const STRING_FACTOR = 0.1;
const REGEX_FACTOR = 0.25;

/** Values with a size of their own kind, such as an IP address. */
export interface Sized {
  readonly celSize: number;
}

/** Code points, bytes, elements, entries; 1 for everything else, errors too. */
export function sizeOf(value: CelValue): number {
  if (typeof value === 'string') return codePointLength(value);
  if (typeof value !== 'object' || value === null) return 1;
  if (Array.isArray(value)) return value.length;
  if (value instanceof Boxed) {
    if (value instanceof CelBytes) return value.value.length;
    if (value instanceof CelOptional) return value.value === undefined ? 1 : sizeOf(value.value);
    if (isMap(value)) return mapSize(value);
    return 'celSize' in value ? (value as unknown as Sized).celSize : 1;
  }
  return mapSize(value as never);
}

/** Cost of reading so much text: a tenth, rounded up. */
export const textCost = (size: number): number => Math.ceil(size * STRING_FACTOR);

/** The same of a value; up to ten units, how many code points they are does not matter. */
const readCost = (value: CelValue): number =>
  typeof value === 'string' && value.length <= 10 ? (value.length === 0 ? 0 : 1) : textCost(sizeOf(value));

/** Reading the second argument. */
export const readSecond: Cost = (_result, _text, part) => readCost(part!);
/** Reading the first argument once; twice. */
export const readOnce: Cost = (_result, text) => readCost(text!);
export const readTwice: Cost = (_result, text) => Math.ceil(sizeOf(text!) * 2 * STRING_FACTOR);
export const writeTwice: Cost = (result) => Math.ceil(sizeOf(result) * 2 * STRING_FACTOR);
export const nominal: Cost = () => 1;

export const regexCost: Cost = (_result, text, pattern) =>
  Math.ceil((1 + sizeOf(text!)) * STRING_FACTOR) * Math.ceil(sizeOf(pattern!) * REGEX_FACTOR);

export const containsCost: Cost = (_result, text, part) => readCost(text!) * readCost(part!);
export const joinedCost: Cost = (_result, a, b) => textCost(sizeOf(a!) + sizeOf(b!));
export const smallerCost: Cost = (_result, a, b) => textCost(Math.min(sizeOf(a!), sizeOf(b!)));

/** Of `==`: as `smallerCost`, without counting code points where ten units or fewer decide. */
export function equalityCost(a: CelValue, b: CelValue): number {
  if (typeof a === 'string' && typeof b === 'string') {
    const units = Math.min(a.length, b.length);
    if (units <= 10) return units === 0 ? 0 : 1;
  } else if (typeof a !== 'object' && typeof a !== 'string') {
    const other = typeof b === 'string' ? b.length : typeof b === 'object' && b !== null ? sizeOf(b) : 1;
    return other === 0 ? 0 : 1;
  }
  return textCost(Math.min(sizeOf(a), sizeOf(b)));
}

/** Kubernetes' own types compare at one; `celUnit` marks them. */
export const hasUnitEquality = (value: CelValue): boolean =>
  typeof value === 'object' && value !== null && value instanceof Boxed && 'celUnit' in value;

/** Walking a value as a tree: 1 per scalar, a tenth (rounded down) per byte of text. */
export function traversalCost(value: CelValue): number {
  if (typeof value === 'string') return Math.trunc(byteLength(value) * STRING_FACTOR);
  if (typeof value !== 'object' || value === null) return 1;
  if (value instanceof CelBytes) return Math.trunc(value.value.length * STRING_FACTOR);
  if (Array.isArray(value)) {
    let cost = 0;
    for (const element of value) cost += traversalCost(element as CelValue);
    return cost;
  }
  if (!isMap(value)) return 1;
  return mapEntries(value).reduce((cost, [k, v]) => cost + traversalCost(k) + traversalCost(v), 0);
}

/** A list built from so many elements, by the lists library's measure. */
export const listCost = (size: number, factor = 1): number => Math.trunc(size * factor) + 1 + 10;
