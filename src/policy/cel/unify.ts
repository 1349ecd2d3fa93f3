import { type CelType, DYN, formatType, listOf, mapOf, optionalOf, typeOf } from './types.ts';

const isDyn = (t: CelType): boolean => t.kind === 'dyn';
const isWild = (t: CelType): boolean => t.kind === 'dyn' || t.kind === 'error';

/** Exactly the same type, parameters by name. */
export function sameType(a: CelType, b: CelType): boolean {
  if (a === b) return true;
  return a.kind === b.kind && formatType(a) === formatType(b);
}

/**
 * What the type parameters met so far stand for. Attempts that fail are undone, so that trying an overload leaves no
 * trace; an undo log and not a copy, because a policy of thousands of nodes makes thousands of attempts.
 */
export class Substitutions {
  private readonly bound = new Map<string, CelType>();
  private readonly log: [string, CelType | undefined][] = [];
  private fresh = 0;

  newParameter(): CelType {
    return { kind: 'param', name: `_var${this.fresh++}` };
  }

  /** Whether a value of type `from` may be used where `to` is wanted; binds parameters on both sides if so. */
  assignable(from: CelType, to: CelType): boolean {
    return this.attempt(() => this.fits(from, to));
  }

  assignableAll(from: readonly CelType[], to: readonly CelType[]): boolean {
    return from.length === to.length && this.attempt(() => from.every((t, i) => this.fits(t, to[i]!)));
  }

  /** The type with its parameters replaced; what is still free becomes `dyn` if asked. */
  apply(type: CelType, freeToDyn = false): CelType {
    switch (type.kind) {
      case 'param': {
        const bound = this.bound.get(type.name);
        if (bound !== undefined) return this.apply(bound, freeToDyn);
        return freeToDyn ? DYN : type;
      }
      case 'list':
        return listOf(this.apply(type.element, freeToDyn));
      case 'map':
        return mapOf(this.apply(type.key, freeToDyn), this.apply(type.value, freeToDyn));
      case 'optional':
        return optionalOf(this.apply(type.element, freeToDyn));
      case 'type':
        return typeOf(this.apply(type.of, freeToDyn));
      default:
        return type;
    }
  }

  /** An overload's types with its own parameters renamed to fresh ones. */
  instantiate(types: readonly CelType[]): CelType[] {
    const names = new Map<string, CelType>();
    const rename = (type: CelType): CelType => {
      switch (type.kind) {
        case 'param': {
          const known = names.get(type.name) ?? this.newParameter();
          names.set(type.name, known);
          return known;
        }
        case 'list':
          return listOf(rename(type.element));
        case 'map':
          return mapOf(rename(type.key), rename(type.value));
        case 'optional':
          return optionalOf(rename(type.element));
        case 'type':
          return typeOf(rename(type.of));
        default:
          return type;
      }
    };
    return types.map(rename);
  }

  private attempt(test: () => boolean): boolean {
    const mark = this.log.length;
    if (test()) return true;
    while (this.log.length > mark) {
      const [name, before] = this.log.pop()!;
      if (before === undefined) this.bound.delete(name);
      else this.bound.set(name, before);
    }
    return false;
  }

  private bind(name: string, type: CelType): void {
    this.log.push([name, this.bound.get(name)]);
    this.bound.set(name, type);
  }

  private fits(from: CelType, to: CelType): boolean {
    if (to.kind === 'param') {
      const known = this.bound.has(to.name);
      if (this.fitsParameter(from, to)) return true;
      if (known) return false;
    }
    if (from.kind === 'param') return this.fitsParameter(to, from);
    if (isWild(from) || isWild(to)) return true;
    if (from.kind === 'null') return nullable(to);
    if (to.kind === 'null') return nullable(from);
    if (from.kind === 'object' && to.kind === 'map') return to.key.kind === 'string' || isWild(to.key);
    if (from.kind === 'map' && to.kind === 'object') return from.key.kind === 'string' || isWild(from.key);
    if (from.kind !== to.kind) return false;
    switch (from.kind) {
      case 'list':
      case 'optional':
        return this.fits(from.element, (to as typeof from).element);
      case 'map':
        return this.fits(from.key, (to as typeof from).key) && this.fits(from.value, (to as typeof from).value);
      case 'opaque':
      case 'object':
        return from.name === (to as typeof from).name;
      default:
        return true;
    }
  }

  private fitsParameter(type: CelType, parameter: CelType & { kind: 'param' }): boolean {
    if (type.kind === 'param' && type.name === parameter.name) return true;
    const bound = this.bound.get(parameter.name);
    if (bound === undefined) {
      if (this.mentions(parameter.name, type)) return false;
      this.bind(parameter.name, type);
      return true;
    }
    if (sameType(type, bound)) return true;
    if (!this.fits(type, bound)) return false;
    const general = mostGeneral(type, bound);
    if (!this.mentions(parameter.name, general)) this.bind(parameter.name, general);
    return true;
  }

  private mentions(name: string, within: CelType): boolean {
    switch (within.kind) {
      case 'param': {
        if (within.name === name) return true;
        const bound = this.bound.get(within.name);
        return bound !== undefined && this.mentions(name, bound);
      }
      case 'list':
      case 'optional':
        return this.mentions(name, within.element);
      case 'map':
        return this.mentions(name, within.key) || this.mentions(name, within.value);
      case 'type':
        return this.mentions(name, within.of);
      default:
        return false;
    }
  }
}

/** Kubernetes lets null stand for these; not for scalars, lists or maps. */
const nullable = (t: CelType): boolean =>
  ['null', 'optional', 'opaque', 'timestamp', 'duration', 'object'].includes(t.kind);

export const mostGeneral = (a: CelType, b: CelType): CelType => (equalOrLessSpecific(a, b) ? a : b);

function equalOrLessSpecific(a: CelType, b: CelType): boolean {
  if (isDyn(a) || a.kind === 'param') return true;
  if (isDyn(b) || b.kind === 'param' || a.kind !== b.kind) return false;
  switch (a.kind) {
    case 'list':
    case 'optional':
      return equalOrLessSpecific(a.element, (b as typeof a).element);
    case 'map':
      return equalOrLessSpecific(a.key, (b as typeof a).key) && equalOrLessSpecific(a.value, (b as typeof a).value);
    case 'opaque':
    case 'object':
      return a.name === (b as typeof a).name;
    default:
      return true;
  }
}
