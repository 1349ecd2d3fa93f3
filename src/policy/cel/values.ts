import type { Budget } from './budget.ts';
import { CelRuntimeError } from './errors.ts';

/**
 * CEL values as TypeScript holds them. A tree from `JSON.parse` is already a CEL value, which is what makes reading a
 * Pod free; `json.ts` says when that is sound.
 *
 * | CEL | TypeScript |
 * |---|---|
 * | null, bool, string | the same |
 * | int | `number` where it is a safe integer, else `bigint` (never both for one number, so `===` compares ints) |
 * | uint, double, bytes | `CelUint`, `CelDouble`, `CelBytes` |
 * | list | array |
 * | map | a plain object (string keys), or `CelMap` (any keys), or `LazyMap` |
 * | timestamp, duration, type, optional | `CelTimestamp`, `CelDuration`, `CelTypeValue`, `CelOptional` |
 * | Kubernetes' own | `Boxed` subclasses in `library/` |
 *
 * A custom function reads its arguments with `isMap`, `mapGet(map, key)` (undefined where absent), `mapSize`,
 * `mapKeys`, `mapEntries`, `Array.isArray`, `typeof v === 'string'`, `intToBigInt`, and answers with plain arrays,
 * plain objects, strings, booleans and `number`s that are integers; a double is `new CelDouble(0.5)`. It reports a CEL
 * error by returning `fault('message')` or by throwing a `CelRuntimeError`.
 */
export type CelValue = null | boolean | string | number | bigint | Boxed | readonly CelValue[] | JsonMap;
export interface JsonMap {
  readonly [key: string]: CelValue;
}
export type MapKey = string | number | bigint | boolean;

/** Every CEL value that is not a plain JavaScript one. `instanceof Boxed` tells a `CelMap` from a JSON object. */
export abstract class Boxed {
  /** The run-time type name, as `type(x)` gives it. */
  abstract get typeName(): string;
  abstract equals(other: CelValue, budget?: Budget): boolean;
}

/**
 * An error as a value: it travels up through the closures until an operator absorbs it (`||`, `&&`, `all`, `exists`) or
 * the evaluation ends. Errors as exceptions would make `a.b == 1 || …` over a long list a hundred times dearer.
 */
export class Fault extends Boxed {
  readonly message: string;
  constructor(message: string) {
    super();
    this.message = message;
  }
  get typeName(): string {
    return 'error';
  }
  equals(): boolean {
    return false;
  }
}
export const fault = (message: string): Fault => new Fault(message);
export const NO_SUCH_OVERLOAD = fault('no such overload');

export class CelDouble extends Boxed {
  readonly value: number;
  constructor(value: number) {
    super();
    this.value = value;
  }
  get typeName(): string {
    return 'double';
  }
  equals(other: CelValue): boolean {
    return numericEquals(this, other);
  }
}

export class CelUint extends Boxed {
  readonly value: bigint;
  constructor(value: bigint) {
    super();
    this.value = value;
  }
  get typeName(): string {
    return 'uint';
  }
  equals(other: CelValue): boolean {
    return numericEquals(this, other);
  }
}

export class CelBytes extends Boxed {
  readonly value: Uint8Array;
  constructor(value: Uint8Array) {
    super();
    this.value = value;
  }
  get typeName(): string {
    return 'bytes';
  }
  equals(other: CelValue): boolean {
    return other instanceof CelBytes && compareBytes(this.value, other.value) === 0;
  }
}

export class CelTypeValue extends Boxed {
  readonly name: string;
  constructor(name: string) {
    super();
    this.name = name;
  }
  get typeName(): string {
    return 'type';
  }
  equals(other: CelValue): boolean {
    return other instanceof CelTypeValue && other.name === this.name;
  }
}

export class CelOptional extends Boxed {
  static readonly NONE: CelOptional = new CelOptional(undefined);
  readonly value: CelValue | undefined;
  private constructor(value: CelValue | undefined) {
    super();
    this.value = value;
  }
  static of(value: CelValue): CelOptional {
    return new CelOptional(value);
  }
  get typeName(): string {
    return 'optional_type';
  }
  equals(other: CelValue, budget?: Budget): boolean {
    if (!(other instanceof CelOptional)) return false;
    if (this.value === undefined || other.value === undefined) return this.value === other.value;
    return celEquals(this.value, other.value, budget);
  }
}

/** A map made inside an expression. Keys 1, 1u and 1.0 are the same key, as Kubernetes looks them up. */
export class CelMap extends Boxed {
  readonly entries: Map<MapKey, CelValue>;
  /** The keys that are uint, so that iterating gives them back as such. */
  private uints: Set<MapKey> | undefined;

  constructor(entries: Map<MapKey, CelValue> = new Map()) {
    super();
    this.entries = entries;
  }
  get typeName(): string {
    return 'map';
  }
  /** Only for a map that is still being built. False when the key's type cannot be a key. */
  set(key: CelValue, value: CelValue): boolean {
    const normal = normalKey(key);
    if (normal === undefined || key instanceof CelDouble) return false;
    this.entries.set(normal, value);
    if (key instanceof CelUint) (this.uints ??= new Set()).add(normal);
    return true;
  }
  /** Only for a map that is still being built. */
  delete(key: CelValue): void {
    const normal = normalKey(key);
    if (normal !== undefined) this.entries.delete(normal);
  }
  key(normal: MapKey): CelValue {
    return this.uints?.has(normal) ? new CelUint(BigInt(normal)) : normal;
  }
  equals(other: CelValue, budget?: Budget): boolean {
    return isMap(other) && mapEquals(this, other, budget);
  }
}

/** A map whose values are worked out when first selected, such as a policy's `variables`. */
export class LazyMap extends Boxed {
  private readonly thunks: ReadonlyMap<string, () => CelValue>;
  private readonly known = new Map<string, CelValue>();

  constructor(thunks: ReadonlyMap<string, () => CelValue>) {
    super();
    this.thunks = thunks;
  }
  get typeName(): string {
    return 'map';
  }
  keys(): IterableIterator<string> {
    return this.thunks.keys();
  }
  get size(): number {
    return this.thunks.size;
  }
  get(key: string): CelValue | undefined {
    const known = this.known.get(key);
    if (known !== undefined) return known;
    const value = caught(this.thunks.get(key));
    if (value !== undefined) this.known.set(key, value);
    return value;
  }
  equals(other: CelValue, budget?: Budget): boolean {
    return isMap(other) && mapEquals(this, other, budget);
  }
}

/** Runs a thunk; its CEL error becomes an error value, which `||` may absorb. A spent budget stays an exception. */
export function caught(thunk: (() => CelValue) | undefined): CelValue | undefined {
  try {
    return thunk?.();
  } catch (error) {
    if (error instanceof CelRuntimeError) return fault(error.message);
    throw error;
  }
}

/** A value that is worked out at the first use, once for all expressions that share the activation. */
export class Lazy {
  private thunk: (() => CelValue) | undefined;
  private known: CelValue | undefined;
  constructor(thunk: () => CelValue) {
    this.thunk = thunk;
  }
  get(): CelValue {
    if (this.known === undefined) {
      this.known = caught(this.thunk) ?? null;
      this.thunk = undefined;
    }
    return this.known;
  }
}

export type AnyMap = JsonMap | CelMap | LazyMap;

export const isInt = (v: CelValue): v is number | bigint => typeof v === 'number' || typeof v === 'bigint';
export const isNumeric = (v: CelValue): v is number | bigint | CelDouble | CelUint =>
  typeof v === 'number' || typeof v === 'bigint' || v instanceof CelDouble || v instanceof CelUint;
export const isMap = (v: CelValue): v is AnyMap =>
  typeof v === 'object' &&
  v !== null &&
  (v instanceof Boxed ? v instanceof CelMap || v instanceof LazyMap : !Array.isArray(v));

/** The value under a key, `undefined` where there is none. */
export function mapGet(map: AnyMap, key: CelValue): CelValue | undefined {
  if (!(map instanceof Boxed)) {
    // Not `map[key]` alone: that would find `constructor` in every object.
    return typeof key === 'string' && Object.hasOwn(map, key) ? map[key] : undefined;
  }
  const normal = normalKey(key);
  if (normal === undefined) return undefined;
  if (map instanceof CelMap) return map.entries.get(normal);
  return typeof normal === 'string' ? map.get(normal) : undefined;
}

export function mapSize(map: AnyMap): number {
  if (map instanceof CelMap) return map.entries.size;
  return map instanceof LazyMap ? map.size : Object.keys(map).length;
}

export function mapKeys(map: AnyMap): CelValue[] {
  if (map instanceof CelMap) return Array.from(map.entries.keys(), (k) => map.key(k));
  return map instanceof LazyMap ? [...map.keys()] : Object.keys(map);
}

export const mapEntries = (map: AnyMap): [CelValue, CelValue][] =>
  mapKeys(map).map((key) => [key, mapGet(map, key) ?? null]);

/** The form of a key under which it is stored: numbers that are equal have one form; `undefined` for no possible key. */
export function normalKey(key: CelValue): MapKey | undefined {
  if (typeof key === 'object' && key !== null) {
    if (key instanceof CelUint) return smallInt(key.value);
    if (key instanceof CelDouble) {
      if (!Number.isInteger(key.value)) return undefined;
      return Number.isSafeInteger(key.value) ? key.value + 0 : smallInt(BigInt(key.value));
    }
    return undefined;
  }
  return key === null ? undefined : key;
}

/** An int in its one representation: `number` where that is exact. The caller has checked the 64-bit range. */
export const smallInt = (value: bigint): number | bigint =>
  value >= -9007199254740991n && value <= 9007199254740991n ? Number(value) : value;

export const intToBigInt = (value: number | bigint): bigint => BigInt(value);

/** CEL equality: deep, across the number types, false (never an error) for values of different types. */
export function celEquals(a: CelValue, b: CelValue, budget?: Budget): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || a === null) {
    if (typeof b !== 'object' || b === null) return false;
    return b instanceof Boxed && isNumeric(a) && isNumeric(b) && numericEquals(a, b);
  }
  if (a instanceof Boxed) return a.equals(b, budget);
  if (Array.isArray(a)) {
    if (!Array.isArray(b) || a.length !== b.length) return false;
    budget?.burn(a.length);
    for (let i = 0; i < a.length; i++) if (!celEquals(a[i] as CelValue, b[i] as CelValue, budget)) return false;
    return true;
  }
  return isMap(b) && mapEquals(a as JsonMap, b, budget);
}

function mapEquals(a: AnyMap, b: AnyMap, budget?: Budget): boolean {
  const keys = mapKeys(a);
  if (keys.length !== mapSize(b)) return false;
  budget?.burn(keys.length);
  for (const key of keys) {
    const other = mapGet(b, key);
    if (other === undefined || !celEquals(mapGet(a, key) as CelValue, other, budget)) return false;
  }
  return true;
}

export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const difference = (a[i] as number) - (b[i] as number);
    if (difference !== 0) return difference < 0 ? -1 : 1;
  }
  return Math.sign(a.length - b.length);
}

function numericEquals(a: CelValue, b: CelValue): boolean {
  if (!isNumeric(a) || !isNumeric(b)) return false;
  const [x, y] = numericForms(a, b);
  return x === y;
}

const asDouble = (v: number | bigint | CelDouble | CelUint): number => Number(typeof v === 'object' ? v.value : v);
const asBigInt = (v: number | bigint | CelUint): bigint => BigInt(typeof v === 'object' ? v.value : v);

/**
 * Two numbers in a form in which `<` and `===` compare them as Kubernetes does: ints and uints exactly, either of
 * them with a double as doubles (2^53 + 1 then equals 2^53).
 */
export function numericForms(
  a: number | bigint | CelDouble | CelUint,
  b: number | bigint | CelDouble | CelUint,
): [number, number] | [bigint, bigint] {
  if (typeof a === 'number' && typeof b === 'number') return [a, b];
  if (a instanceof CelDouble || b instanceof CelDouble) return [asDouble(a), asDouble(b)];
  return [asBigInt(a), asBigInt(b)];
}
