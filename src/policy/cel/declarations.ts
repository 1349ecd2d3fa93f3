import type { Budget } from './budget.ts';
import type { CelType } from './types.ts';
import type { CelValue } from './values.ts';

/** Works on values that are no errors; reports an error by returning a `Fault`. */
export type Implementation = (budget: Budget, ...args: never[]) => CelValue;
export type AnyImplementation = (budget: Budget, ...args: CelValue[]) => CelValue;

/** What a call costs, as Kubernetes counts it, from its result and arguments (any of which may be an error). */
export type Cost = (result: CelValue, ...args: CelValue[]) => number;

export interface Overload {
  readonly id: string;
  readonly member: boolean;
  /** The receiver is the first. */
  readonly parameters: readonly CelType[];
  readonly result: CelType;
  /** Undefined where the function has one implementation for all its overloads, or the compiler knows it. */
  readonly implementation: AnyImplementation | undefined;
  /** Counts only where checking left this overload alone: behind `dyn` Kubernetes does not know which one it is. */
  readonly cost?: Cost | undefined;
  /**
   * An implementation for calls with literal arguments (the others are `undefined`), so that a pattern is compiled once.
   * Throws where a literal cannot be right, which is then an error of compilation.
   */
  readonly prepare?: ((literals: readonly (CelValue | undefined)[]) => AnyImplementation | undefined) | undefined;
}

export interface FunctionDeclaration {
  readonly name: string;
  readonly overloads: readonly Overload[];
  /** One implementation for all overloads, which finds out itself what its arguments are. */
  readonly implementation?: AnyImplementation | undefined;
  /** For every overload that has none of its own. */
  readonly cost?: Cost | undefined;
  /** The cost is charged before the call, because the call may be made expensive by its arguments. */
  readonly chargedFirst?: boolean;
  /** Arguments are taken as they are, even where a declared parameter is more specific. */
  readonly unguarded?: boolean;
}

interface OverloadOptions {
  readonly cost?: Cost;
  readonly prepare?: Overload['prepare'];
}

/** Declares `f(a, b)`. */
export const overload = (
  id: string,
  parameters: readonly CelType[],
  result: CelType,
  implementation?: Implementation,
  options: OverloadOptions = {},
): Overload => ({
  id,
  member: false,
  parameters,
  result,
  implementation: implementation as AnyImplementation | undefined,
  ...options,
});

/** Declares `a.f(b)`. */
export const method = (
  id: string,
  parameters: readonly CelType[],
  result: CelType,
  implementation?: Implementation,
  options: OverloadOptions = {},
): Overload => ({ ...overload(id, parameters, result, implementation, options), member: true });

export const declare = (
  name: string,
  overloads: readonly Overload[],
  options: Omit<FunctionDeclaration, 'name' | 'overloads'> = {},
): FunctionDeclaration => ({ name, overloads, ...options });

/** `prepare` for a function of one literal, such as `quantity('1Gi')`: its value is worked out once. */
export const onceForLiteral =
  (implementation: Implementation): NonNullable<Overload['prepare']> =>
  (literals) => {
    const [literal] = literals;
    if (literals.length !== 1 || literal === undefined) return undefined;
    let known: CelValue | undefined;
    return (budget, value) => {
      known ??= (implementation as AnyImplementation)(budget, literal);
      // The argument is the literal, unless it is of a type that the guards would have refused.
      return value === literal ? known : (implementation as AnyImplementation)(budget, value!);
    };
  };

/** Joins declarations of one name: several libraries add overloads to `string`, `ip`, `indexOf`. */
export function merge(declarations: Iterable<FunctionDeclaration>): Map<string, FunctionDeclaration> {
  const merged = new Map<string, FunctionDeclaration>();
  for (const declaration of declarations) {
    const known = merged.get(declaration.name);
    merged.set(
      declaration.name,
      known === undefined
        ? declaration
        : { ...known, ...declaration, overloads: [...known.overloads, ...declaration.overloads] },
    );
  }
  return merged;
}
