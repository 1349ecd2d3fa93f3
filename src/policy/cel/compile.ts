import type { BindNode, CallNode, ListNode, MapNode, Node, SortByNode } from './ast.ts';
import { compileAttribute, compileConditional } from './attributes.ts';
import { Budget } from './budget.ts';
import { compileCall } from './calls.ts';
import type { Checked } from './checker.ts';
import { ConstantError } from './constant-error.ts';
import { compileFold } from './folds.ts';
import { CONVERSIONS } from './library/conversions.ts';
import { constantPlan, type Plan, type Run } from './plan.ts';
import { equalityCost, hasUnitEquality } from './sizes.ts';
import { typeNameOf } from './text-format.ts';
import {
  Boxed,
  CelBytes,
  CelMap,
  CelOptional,
  CelTypeValue,
  type CelValue,
  celEquals,
  Fault,
  fault,
  isMap,
  mapKeys,
  NO_SUCH_OVERLOAD,
} from './values.ts';

interface Local {
  readonly name: string;
  readonly slot: number;
  readonly bound: boolean;
}

/** Turns a checked tree into closures, once. */
export class Compiler {
  private readonly checked: Checked;
  private readonly locals: Local[] = [];
  /** How many places for variables a frame needs. */
  slots = 0;
  private used = 0;

  constructor(checked: Checked) {
    this.checked = checked;
  }

  constantOf(node: Node): CelTypeValue | undefined {
    return this.checked.constants.get(node);
  }

  local(name: string): Local | undefined {
    return this.locals.findLast((local) => local.name === name);
  }

  /** Compiles a body in which names stand for slots. A bound name has a second slot, for what reading it costs first. */
  within<T>(names: readonly string[], bound: boolean, body: (slot: number) => T): T {
    const slot = this.used;
    this.used += bound ? 2 : names.length;
    this.slots = Math.max(this.slots, this.used);
    for (const [i, name] of names.entries()) this.locals.push({ name, slot: slot + i, bound });
    const result = body(slot);
    this.locals.length -= names.length;
    this.used = slot;
    return result;
  }

  compile(node: Node): Plan {
    const constant = this.constantOf(node);
    if (constant !== undefined) return constantPlan(constant);
    switch (node.kind) {
      case 'literal':
        return constantPlan(node.value);
      case 'identifier':
      case 'select':
      case 'index':
        return { run: compileAttribute(this, node) };
      case 'call':
        return this.call(node);
      case 'list':
        return this.list(node);
      case 'map':
        return this.map(node);
      case 'fold':
        return { run: compileFold(this, node) };
      case 'bind':
        return { run: this.bind(node) };
      case 'sortBy':
        return { run: this.sortBy(node) };
    }
  }

  private call(node: CallNode): Plan {
    const resolution = this.checked.calls.get(node)!;
    if (node.name === '_?_:_') return { run: compileConditional(this, node) };
    const target = resolution.overloads[0]?.member ? [node.target!] : [];
    const args = [...target, ...node.args].map((arg) => this.compile(arg));
    switch (node.name) {
      case '_&&_':
        return { run: logical(args, false) };
      case '_||_':
        return { run: logical(args, true) };
      case '_==_':
        return { run: equality(args[0]!, args[1]!, true) };
      case '_!=_':
        return { run: equality(args[0]!, args[1]!, false) };
      case 'or':
      case 'orValue':
        return { run: otherwise(args[0]!.run, args[1]!.run, node.name === 'orValue') };
      case '@in': {
        const member = resolution.overloads.length === 1 ? membership(args[0]!, args[1]!.constant) : undefined;
        if (member !== undefined) return member;
        break;
      }
      case 'type':
        if (node.target === undefined) return this.folded(node, { run: typeOf(args[0]!.run) }, args);
        break;
    }
    try {
      const plan: Plan = { run: compileCall(resolution, args) };
      const conversion = CONVERSIONS.has(resolution.declaration.name) && args.length === 1;
      return conversion ? this.folded(node, plan, args) : plan;
    } catch (error) {
      if (error instanceof Error && error.message.startsWith('error parsing regexp')) {
        throw new ConstantError(node, error.message);
      }
      throw error;
    }
  }

  /** Conversions of constants are done now; one that fails is a mistake, even where it would never be evaluated. */
  private folded(node: Node, plan: Plan, args: readonly Plan[]): Plan {
    if (args[0]?.constant === undefined) return plan;
    const budget = new Budget();
    budget.begin();
    const value = plan.run({ activation: {}, budget, locals: [] });
    budget.end();
    if (value instanceof Fault) throw new ConstantError(node, value.message);
    return constantPlan(value);
  }

  private list(node: ListNode): Plan {
    const plans = node.elements.map((e) => this.compile(e.value));
    const optional = node.elements.map((e) => e.optional);
    const runs = plans.map((p) => p.run);
    const run: Run = (frame) => {
      const list: CelValue[] = [];
      let error: Fault | undefined;
      for (let i = 0; i < runs.length && error === undefined; i++) {
        const value = runs[i]!(frame);
        if (value instanceof Fault) error = value;
        else if (!optional[i]) list.push(value);
        else if (!(value instanceof CelOptional)) {
          error = fault('cannot initialize optional list element from non-optional value');
        } else if (value.value !== undefined) list.push(value.value);
      }
      frame.budget.charge(10);
      return error ?? list;
    };
    if (plans.every((p, i) => p.constant !== undefined && !optional[i])) {
      return constantPlan(plans.map((p) => p.constant!));
    }
    return { run };
  }

  private map(node: MapNode): Plan {
    const entries = node.entries.map((e) => ({
      key: this.compile(e.key),
      value: this.compile(e.value),
      optional: e.optional,
    }));
    const build = (read: (plan: Plan) => CelValue): CelValue => {
      const map = new CelMap();
      for (const { key, value, optional } of entries) {
        const k = read(key);
        if (k instanceof Fault) return k;
        let v = read(value);
        if (v instanceof Fault) return v;
        if (optional) {
          if (!(v instanceof CelOptional)) return fault('cannot initialize optional entry from non-optional value');
          if (v.value === undefined) {
            map.delete(k);
            continue;
          }
          v = v.value;
        }
        if (!map.set(k, v)) return fault(`unsupported key type: ${typeNameOf(k)}`);
      }
      return map;
    };
    if (entries.every((e) => e.key.constant !== undefined && e.value.constant !== undefined && !e.optional)) {
      const constant = build((plan) => plan.constant!);
      return constant instanceof Fault ? { run: () => constant } : constantPlan(constant);
    }
    return {
      run: (frame) => {
        const map = build((plan) => plan.run(frame));
        frame.budget.charge(30);
        return map;
      },
    };
  }

  /** `optMap`: Kubernetes asks the target whether it has a value, and evaluates it anew when the name is first read. */
  private bind(node: BindNode): Run {
    const target = this.compile(node.target).run;
    return this.within([node.name], true, (slot) => {
      const body = this.compile(node.body).run;
      const flat = node.macro === 'optFlatMap';
      return (frame) => {
        const { budget, locals } = frame;
        const before = budget.cost;
        const value = target(frame);
        const spent = budget.cost - before;
        budget.charge(1);
        if (value instanceof Fault) return value;
        if (!(value instanceof CelOptional)) return NO_SUCH_OVERLOAD;
        if (value.value === undefined) {
          budget.charge(1);
          return CelOptional.NONE;
        }
        locals[slot] = value.value;
        locals[slot + 1] = spent + 1;
        const result = body(frame);
        if (flat) return result;
        budget.charge(1);
        return result instanceof Fault ? result : CelOptional.of(result);
      };
    });
  }

  private sortBy(node: SortByNode): Run {
    const resolution = this.checked.calls.get(node)!;
    const target = this.compile(node.target).run;
    return this.within([`@sortBy${this.used}`, node.name], false, (slot) => {
      const input: Run = (frame) => {
        frame.budget.charge(1);
        return frame.locals[slot]!;
      };
      const { run: key, constant } = this.compile(node.key);
      const perKey = constant === undefined ? 11 : 1;
      const keys: Run = (frame) => {
        const range = input(frame);
        const list = Array.isArray(range) ? (range as readonly CelValue[]) : isMap(range) ? mapKeys(range) : undefined;
        if (list === undefined) return NO_SUCH_OVERLOAD;
        const found: CelValue[] = [];
        let error: Fault | undefined;
        for (const element of list) {
          frame.budget.burn(1);
          frame.locals[slot + 1] = element;
          frame.budget.charge(1);
          const value = key(frame);
          frame.budget.charge(perKey);
          if (value instanceof Fault) error ??= value;
          else found.push(value);
        }
        frame.budget.charge(1);
        return error ?? found;
      };
      const sort = compileCall(resolution, [{ run: input }, { run: keys }]);
      return (frame) => {
        const value = target(frame);
        if (value instanceof Fault) {
          frame.budget.charge(3);
          return value;
        }
        frame.locals[slot] = value;
        return sort(frame);
      };
    });
  }
}

/** `||` is decided by true and `&&` by false, on whichever side; only without that does an error count. */
function logical(args: readonly Plan[], decisive: boolean): Run {
  const runs = args.map((plan) => plan.run);
  const [first, second] = runs;
  const all: Run = (frame) => {
    let error: Fault | undefined;
    for (const run of runs) {
      const value = run(frame);
      if (value === decisive) return decisive;
      if (value !== !decisive && error === undefined) error = value instanceof Fault ? value : NO_SUCH_OVERLOAD;
    }
    return error ?? !decisive;
  };
  if (runs.length !== 2) return all;
  return (frame) => {
    const a = first!(frame);
    if (a === decisive) return decisive;
    const b = second!(frame);
    if (b === decisive) return decisive;
    if (a !== !decisive) return a instanceof Fault ? a : NO_SUCH_OVERLOAD;
    if (b !== !decisive) return b instanceof Fault ? b : NO_SUCH_OVERLOAD;
    return !decisive;
  };
}

function equality(left: Plan, right: Plan, wanted: boolean): Run {
  const [a, b] = [left.run, right.run];
  return (frame) => {
    const x = a(frame);
    const y = b(frame);
    if (x instanceof Fault || y instanceof Fault) {
      frame.budget.charge(equalityCost(x, y));
      return x instanceof Fault ? x : y;
    }
    frame.budget.charge(wanted && hasUnitEquality(x) ? 1 : equalityCost(x, y));
    return (x === y || celEquals(x, y, frame.budget)) === wanted;
  };
}

/** `x in ['a', 'b']`: Kubernetes makes a set of a literal list of scalars, and counts nothing for it. */
function membership(element: Plan, list: CelValue | undefined): Plan | undefined {
  if (!Array.isArray(list)) return undefined;
  if (list.length === 0) return constantPlan(false);
  const scalar = (v: CelValue): boolean => typeof v !== 'object' || v === null || v instanceof Boxed;
  const elements = list as readonly CelValue[];
  if (!elements.every((v) => v !== null && scalar(v) && (typeof v !== 'object' || isNumberBox(v)))) return undefined;
  const strings = elements.every((v) => typeof v === 'string') ? new Set<CelValue>(elements) : undefined;
  const { run } = element;
  return {
    run: (frame) => {
      const value = run(frame);
      if (value instanceof Fault) return value;
      // Bytes are no key of a set, in Kubernetes.
      if (value instanceof CelBytes) return NO_SUCH_OVERLOAD;
      if (strings !== undefined) return strings.has(value);
      frame.budget.burn(elements.length);
      return elements.some((candidate) => celEquals(value, candidate));
    },
  };
}

const isNumberBox = (v: CelValue): boolean =>
  v instanceof Boxed && !(v instanceof CelBytes) && (v.typeName === 'double' || v.typeName === 'uint');

function otherwise(left: Run, right: Run, unwrap: boolean): Run {
  return (frame) => {
    const value = left(frame);
    if (value instanceof Fault) return value;
    if (!(value instanceof CelOptional)) return NO_SUCH_OVERLOAD;
    if (value.value === undefined) return right(frame);
    return unwrap ? value.value : value;
  };
}

function typeOf(argument: Run): Run {
  return (frame) => {
    const value = argument(frame);
    frame.budget.charge(1);
    return value instanceof Fault ? value : new CelTypeValue(typeNameOf(value));
  };
}
