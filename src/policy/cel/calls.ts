import type { Resolution } from './checker.ts';
import type { AnyImplementation, Cost, FunctionDeclaration, Overload } from './declarations.ts';
import { guard } from './guards.ts';
import type { Plan, Run } from './plan.ts';
import { type CelValue, Fault, fault } from './values.ts';

type Guarded = {
  readonly guards: readonly (((v: CelValue) => boolean) | undefined)[];
  readonly call: AnyImplementation;
};

/** A call of a function that is not special to the compiler. Calls of up to three arguments have their own way. */
export function compileCall({ declaration, overloads }: Resolution, args: readonly Plan[]): Run {
  const call = dispatch(declaration, overloads, args);
  const only = overloads.length === 1 ? overloads[0] : undefined;
  const cost = only?.cost ?? declaration.cost;
  if (declaration.chargedFirst) return chargedFirst(call, cost, args);
  // Where Kubernetes finds the overload by the values, or has compiled a pattern, it does not evaluate beyond an error.
  const byValues = only === undefined && declaration.implementation === undefined;
  const prepared = only?.prepare !== undefined && args[1]?.constant !== undefined;
  if (args.length > 1 && (byValues || prepared)) return variadic(call, cost, args);
  const [a, b, c] = args.map((plan) => plan.run);
  switch (args.length) {
    case 0:
      return nullary(call, cost);
    case 1:
      return unary(call, cost, a!);
    case 2:
      return binary(call, cost, a!, b!);
    default:
      return args.length === 3 ? ternary(call, cost, a!, b!, c!) : variadic(call, cost, args);
  }
}

/** Finds the implementation: at once where one is left, else by the values, in the order of declaration. */
function dispatch(
  declaration: FunctionDeclaration,
  overloads: readonly Overload[],
  args: readonly Plan[],
): AnyImplementation {
  if (declaration.implementation !== undefined) return declaration.implementation;
  const literals = args.map((plan) => plan.constant);
  const guarded: Guarded[] = overloads.map((overload) => ({
    guards: declaration.unguarded ? overload.parameters.map(() => undefined) : overload.parameters.map(guard),
    call:
      overload.prepare?.(literals) ?? overload.implementation ?? (() => fault(`no such overload: ${declaration.name}`)),
  }));
  const none = fault(`no such overload: ${declaration.name}`);
  const first = guarded[0]!;
  if (guarded.length === 1) {
    const [one, two] = first.guards;
    const { call } = first;
    if (args.length === 1) return (budget, a) => (one === undefined || one(a!) ? call(budget, a!) : none);
    if (args.length === 2) {
      return (budget, a, b) =>
        (one === undefined || one(a!)) && (two === undefined || two(b!)) ? call(budget, a!, b!) : none;
    }
  }
  return (budget, ...values) => {
    for (const { guards, call } of guarded) {
      if (guards.every((accepts, i) => accepts === undefined || accepts(values[i]!))) return call(budget, ...values);
    }
    return none;
  };
}

const nullary =
  (call: AnyImplementation, cost: Cost | undefined): Run =>
  ({ budget }) => {
    const result = call(budget);
    budget.charge(cost === undefined ? 1 : cost(result));
    return result;
  };

const unary =
  (call: AnyImplementation, cost: Cost | undefined, a: Run): Run =>
  (frame) => {
    const x = a(frame);
    const result = x instanceof Fault ? x : call(frame.budget, x);
    frame.budget.charge(cost === undefined ? 1 : cost(result, x));
    return result;
  };

/** Both arguments are evaluated, and paid for, even if the first is an error: so Kubernetes counts. */
const binary =
  (call: AnyImplementation, cost: Cost | undefined, a: Run, b: Run): Run =>
  (frame) => {
    const x = a(frame);
    const y = b(frame);
    const result = x instanceof Fault ? x : y instanceof Fault ? y : call(frame.budget, x, y);
    frame.budget.charge(cost === undefined ? 1 : cost(result, x, y));
    return result;
  };

const ternary =
  (call: AnyImplementation, cost: Cost | undefined, a: Run, b: Run, c: Run): Run =>
  (frame) => {
    const x = a(frame);
    if (x instanceof Fault) return x;
    const y = b(frame);
    if (y instanceof Fault) return y;
    const z = c(frame);
    const result = z instanceof Fault ? z : call(frame.budget, x, y, z);
    frame.budget.charge(cost === undefined ? 1 : cost(result, x, y, z));
    return result;
  };

const variadic =
  (call: AnyImplementation, cost: Cost | undefined, args: readonly Plan[]): Run =>
  (frame) => {
    const values: CelValue[] = [];
    let result: CelValue | undefined;
    for (let i = 0; i < args.length; i++) {
      const value = args[i]!.run(frame);
      values.push(value);
      if (!(value instanceof Fault)) continue;
      if (i < args.length - 1) return value;
      result = value;
    }
    result ??= call(frame.budget, ...values);
    frame.budget.charge(cost === undefined ? 1 : cost(result, ...values));
    return result;
  };

const chargedFirst =
  (call: AnyImplementation, cost: Cost | undefined, args: readonly Plan[]): Run =>
  (frame) => {
    const values: CelValue[] = [];
    for (const { run } of args) {
      const value = run(frame);
      if (value instanceof Fault) return value;
      values.push(value);
    }
    frame.budget.charge(cost === undefined ? 1 : cost(null, ...values));
    return call(frame.budget, ...values);
  };
