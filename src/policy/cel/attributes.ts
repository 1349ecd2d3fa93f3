import type { Node } from './ast.ts';
import type { Compiler } from './compile.ts';
import { ConstantError } from './constant-error.ts';
import { fieldReader, isKey, lookup, missing } from './lookup.ts';
import type { Frame, Run } from './plan.ts';
import { CelOptional, type CelValue, Fault, fault, Lazy, NO_SUCH_OVERLOAD } from './values.ts';

/**
 * Chains such as `object.spec.?containers[0].name`. A chain is one thing, as in Kubernetes: it costs 1 and 1 for every
 * step that is taken, and from the first `?` on what is absent makes the whole chain `optional.none()`.
 */
interface Step {
  /** The value, a `Fault`, or `undefined` where it is absent. */
  readonly take: (frame: Frame, value: CelValue) => CelValue | undefined;
  /** The key, for the error. */
  readonly key: Run;
  readonly optional: boolean;
  readonly test: boolean;
}

/** Whether a node is compiled as a chain. */
export const isAttribute = (node: Node): boolean =>
  node.kind === 'identifier' || node.kind === 'select' || node.kind === 'index' || isConditional(node);

const isConditional = (node: Node): boolean => node.kind === 'call' && node.name === '_?_:_';

/** The chain as an expression of its own. */
export function compileAttribute(compiler: Compiler, node: Node): Run {
  const { root, steps, fields } = unwind(compiler, node);
  if (isConditional(root)) {
    const conditional = compileConditional(compiler, root);
    return steps.length === 0 ? conditional : walk(conditional, steps, 0);
  }
  const base = steps.at(-1)?.test ? 0 : 1;
  const start = root.kind === 'identifier' ? compileIdentifier(compiler, root) : compiler.compile(root).run;
  if (steps.length === 0) return charged(start);
  return fields === undefined ? walk(start, steps, base) : walkFields(start, fields, steps, base);
}

/** As a branch of a conditional, a chain costs its steps only. */
export function compileBranch(compiler: Compiler, node: Node): Run {
  if (!isAttribute(node) || compiler.constantOf(node) !== undefined) return compiler.compile(node).run;
  const { root, steps, fields } = unwind(compiler, node);
  if (isConditional(root)) return compileAttribute(compiler, node);
  const start = root.kind === 'identifier' ? compileIdentifier(compiler, root) : compiler.compile(root).run;
  if (steps.length === 0) return start;
  return fields === undefined ? walk(start, steps, 0) : walkFields(start, fields, steps, 0);
}

export function compileConditional(compiler: Compiler, node: Node): Run {
  if (node.kind !== 'call') throw new Error('not a conditional');
  const condition = compiler.compile(node.args[0]!).run;
  const whenTrue = compileBranch(compiler, node.args[1]!);
  const whenFalse = compileBranch(compiler, node.args[2]!);
  return (frame) => {
    const value = condition(frame);
    if (value === true) return whenTrue(frame);
    if (value === false) return whenFalse(frame);
    return value instanceof Fault ? value : NO_SUCH_OVERLOAD;
  };
}

function charged(start: Run): Run {
  return (frame) => {
    frame.budget.charge(1);
    return start(frame);
  };
}

function compileIdentifier(compiler: Compiler, node: Node): Run {
  if (node.kind !== 'identifier') throw new Error('not an identifier');
  const local = compiler.local(node.name);
  if (local !== undefined) {
    const { slot } = local;
    if (!local.bound) return (frame) => frame.locals[slot]!;
    // The value of `optMap` is worked out, and paid for, when it is first read.
    return (frame) => {
      const owed = frame.locals[slot + 1] as number;
      if (owed > 0) {
        frame.locals[slot + 1] = 0;
        frame.budget.charge(owed);
      }
      return frame.locals[slot]!;
    };
  }
  const name = node.name.startsWith('.') ? node.name.slice(1) : node.name;
  return (frame) => {
    const value = frame.activation[name];
    if (value === undefined) return fault(`no such attribute(s): ${name}`);
    return value instanceof Lazy ? value.get() : value;
  };
}

/** Takes a chain apart: what it begins with, and its steps from there. `fields` where all steps are plain fields. */
function unwind(compiler: Compiler, node: Node): { root: Node; steps: Step[]; fields: readonly string[] | undefined } {
  const nodes: Extract<Node, { kind: 'select' | 'index' }>[] = [];
  let root = node;
  while ((root.kind === 'select' || root.kind === 'index') && compiler.constantOf(root) === undefined) {
    nodes.unshift(root);
    root = root.operand;
  }
  const plain = nodes.every((n) => n.kind === 'select' && !n.optional && !n.test);
  return {
    root,
    steps: nodes.map((n) => compileStep(compiler, n)),
    fields: plain ? nodes.map((n) => (n.kind === 'select' ? n.field : '')) : undefined,
  };
}

function compileStep(compiler: Compiler, node: Extract<Node, { kind: 'select' | 'index' }>): Step {
  if (node.kind === 'select') {
    const read = fieldReader(node.field);
    const { field, optional, test } = node;
    return { take: (_frame, value) => read(value), key: () => field, optional, test };
  }
  const { optional } = node;
  const index = compiler.compile(node.index);
  const { constant } = index;
  if (constant !== undefined) {
    if (typeof constant === 'string') {
      const read = fieldReader(constant);
      return { take: (_frame, value) => read(value), key: () => constant, optional, test: false };
    }
    if (!isKey(constant)) throw new ConstantError(node, 'invalid qualifier type');
    return { take: (_frame, value) => lookup(value, constant), key: () => constant, optional, test: false };
  }
  // An index that is itself a chain costs its steps only: the 1 of the whole is that of this step.
  const run = isAttribute(node.index) ? compileBranch(compiler, node.index) : index.run;
  let last: CelValue = null;
  return {
    take: (frame, value) => {
      last = run(frame);
      return last instanceof Fault ? last : lookup(value, last);
    },
    key: () => last,
    optional,
    test: false,
  };
}

/** Plain fields only, and a value that is no optional: the way that nearly every chain takes. */
function walkFields(start: Run, fields: readonly string[], steps: readonly Step[], base: number): Run {
  const readers = fields.map(fieldReader);
  const count = readers.length;
  const slow = walkFrom(steps, base);
  return (frame) => {
    const first = start(frame);
    if (first instanceof CelOptional) return slow(frame, first);
    let value: CelValue = first;
    for (let i = 0; i < count; i++) {
      const next: CelValue | undefined = value instanceof Fault ? value : readers[i]!(value);
      if (next === undefined || next instanceof Fault) {
        frame.budget.charge(base + (value instanceof Fault ? i : i + 1));
        return next ?? missing(value, fields[i]!);
      }
      value = next;
    }
    frame.budget.charge(base + count);
    return value;
  };
}

function walk(start: Run, steps: readonly Step[], base: number): Run {
  const from = walkFrom(steps, base);
  return (frame) => from(frame, start(frame));
}

function walkFrom(steps: readonly Step[], base: number): (frame: Frame, first: CelValue) => CelValue {
  return (frame, first) => {
    const { budget } = frame;
    budget.charge(base);
    if (first instanceof Fault) return first;
    let value = first;
    let optional = false;
    if (first instanceof CelOptional) {
      if (first.value === undefined) return steps.at(-1)!.test ? false : first;
      value = first.value;
      optional = true;
    }
    for (const step of steps) {
      optional ||= step.optional;
      const next = step.take(frame, value);
      if (step.test) {
        if (!optional || (next !== undefined && !(next instanceof Fault))) budget.charge(1);
        return next instanceof Fault ? next : next !== undefined;
      }
      if (next instanceof Fault) {
        if (!optional) budget.charge(1);
        return next;
      }
      if (next === undefined) {
        if (optional) return steps.at(-1)!.test ? false : CelOptional.NONE;
        budget.charge(1);
        return missing(value, step.key(frame));
      }
      budget.charge(1);
      value = next;
    }
    return optional ? CelOptional.of(value) : value;
  };
}
