import type { FoldNode } from './ast.ts';
import type { Compiler } from './compile.ts';
import { LIST_LIMIT } from './operators.ts';
import type { Frame, Run } from './plan.ts';
import { typeNameOf } from './text-format.ts';
import {
  type AnyMap,
  CelMap,
  type CelValue,
  Fault,
  fault,
  isMap,
  mapEntries,
  mapGet,
  mapKeys,
  NO_SUCH_OVERLOAD,
} from './values.ts';

/**
 * Macros that walk a list or a map. Kubernetes expands them into folds over an accumulator; the costs below are those
 * of reading it, asking whether to go on, and writing it, so that the sum is the same.
 *
 * | | per element | at the end |
 * |---|---|---|
 * | all | 2 (go on?) + 1 + condition | 1 |
 * | exists | 3 (go on?) + 1 + condition | 1 |
 * | exists_one | condition, + 2 where it holds | 2 |
 * | map, transformList | 12 + transform (2, where it is a literal) | 1 |
 * | filter | condition, + 13 where it holds | 1 |
 * | transformMap, transformMapEntry | 3 or 2 + transform | 1 |
 */
interface Loop {
  readonly range: Run;
  readonly slot: number;
  readonly two: boolean;
}

/** Gives the elements to `visit` one by one, until it answers false. The result: an error of the range itself, or none. */
function forEach(frame: Frame, { range, slot, two }: Loop, visit: (last: boolean) => boolean): Fault | undefined {
  const value = range(frame);
  if (value instanceof Fault) return value;
  const { locals, budget } = frame;
  const list = Array.isArray(value) ? (value as readonly CelValue[]) : undefined;
  if (list === undefined && !isMap(value)) {
    const name = typeNameOf(value);
    return fault(two ? `unsupported comprehension range type: ${name}` : `got '${name}', expected iterable type`);
  }
  const keys = list === undefined ? mapKeys(value as AnyMap) : list;
  for (let i = 0; i < keys.length; i++) {
    budget.burn(1);
    if (two) {
      locals[slot] = list === undefined ? keys[i]! : i;
      locals[slot + 1] = list === undefined ? (mapGet(value as AnyMap, keys[i]!) ?? null) : keys[i]!;
    } else locals[slot] = keys[i]!;
    if (!visit(i === keys.length - 1)) return undefined;
  }
  return undefined;
}

export function compileFold(compiler: Compiler, node: FoldNode): Run {
  const range = compiler.compile(node.range).run;
  return compiler.within(node.names, false, (slot) => {
    const loop: Loop = { range, slot, two: node.names.length === 2 };
    const condition = node.condition && compiler.compile(node.condition).run;
    const made = node.transform && compiler.compile(node.transform);
    const transform = made?.run;
    switch (node.macro) {
      case 'all':
        return quantifier(loop, condition!, false, 2);
      case 'exists':
        return quantifier(loop, condition!, true, 3);
      case 'exists_one':
        return existsOne(loop, condition!);
      case 'filter':
        return filter(loop, condition!);
      case 'map':
      case 'transformList':
        // A list of a literal is a literal, and costs nothing to make.
        return transformList(loop, condition, transform!, made?.constant === undefined ? 11 : 1);
      case 'transformMap':
        return transformMap(loop, condition, transform!, 3, insertPair);
      case 'transformMapEntry':
        return transformMap(loop, condition, transform!, 2, insertEntries);
    }
  });
}

/** `all` stops at false, `exists` at true: that absorbs every error before it, and after it nothing is asked. */
function quantifier(loop: Loop, condition: Run, decisive: boolean, goOn: number): Run {
  return (frame) => {
    const { budget } = frame;
    let outcome: CelValue = !decisive;
    const failure = forEach(frame, loop, (last) => {
      budget.charge(goOn + 1);
      const value = condition(frame);
      if (value === decisive) {
        outcome = decisive;
        if (!last) budget.charge(goOn);
        return false;
      }
      if (value !== !decisive && !(outcome instanceof Fault)) {
        outcome = value instanceof Fault ? value : NO_SUCH_OVERLOAD;
      }
      return true;
    });
    if (failure !== undefined) return failure;
    budget.charge(1);
    return outcome;
  };
}

function existsOne(loop: Loop, condition: Run): Run {
  return (frame) => {
    const { budget } = frame;
    let count = 0;
    let error: Fault | undefined;
    const failure = forEach(frame, loop, () => {
      const value = condition(frame);
      if (value === true) {
        budget.charge(2);
        count++;
      } else if (value !== false) error = value instanceof Fault ? value : NO_SUCH_OVERLOAD;
      return true;
    });
    if (failure !== undefined) return failure;
    budget.charge(2);
    return error ?? count === 1;
  };
}

function filter(loop: Loop, condition: Run): Run {
  return (frame) => {
    const { budget, locals } = frame;
    const kept: CelValue[] = [];
    let error: Fault | undefined;
    const failure = forEach(frame, loop, () => {
      const value = condition(frame);
      if (value === true) {
        budget.charge(13);
        kept.push(locals[loop.slot]!);
      } else if (value !== false) error = value instanceof Fault ? value : NO_SUCH_OVERLOAD;
      return true;
    });
    if (failure !== undefined) return failure;
    budget.charge(1);
    return error ?? kept;
  };
}

function transformList(loop: Loop, condition: Run | undefined, transform: Run, cost: number): Run {
  return (frame) => {
    const { budget } = frame;
    const made: CelValue[] = [];
    let error: Fault | undefined;
    const failure = forEach(frame, loop, () => {
      const wanted = condition === undefined ? true : condition(frame);
      if (wanted === true) {
        budget.charge(1);
        const value = transform(frame);
        budget.charge(cost);
        if (value instanceof Fault) error ??= value;
        else if (made.push(value) > LIST_LIMIT) budget.allocate(made.length, LIST_LIMIT);
      } else if (wanted !== false) error = wanted instanceof Fault ? wanted : NO_SUCH_OVERLOAD;
      return true;
    });
    if (failure !== undefined) return failure;
    budget.charge(1);
    return error ?? made;
  };
}

type Insert = (frame: Frame, slot: number, into: CelMap, value: CelValue) => Fault | undefined;

function insert(into: CelMap, key: CelValue, value: CelValue): Fault | undefined {
  const size = into.entries.size;
  if (!into.set(key, value)) return fault(`unsupported key type: ${typeNameOf(key)}`);
  return into.entries.size === size ? fault(`insert failed: key ${String(key)} already exists`) : undefined;
}

const insertPair: Insert = (frame, slot, into, value) => insert(into, frame.locals[slot]!, value);

const insertEntries: Insert = (frame, _slot, into, value) => {
  if (!isMap(value)) return NO_SUCH_OVERLOAD;
  const entries = mapEntries(value);
  frame.budget.burn(entries.length);
  for (const [key, element] of entries) {
    const error = insert(into, key, element);
    if (error !== undefined) return error;
  }
  return undefined;
};

function transformMap(loop: Loop, condition: Run | undefined, transform: Run, cost: number, put: Insert): Run {
  return (frame) => {
    const { budget } = frame;
    const made = new CelMap();
    let error: Fault | undefined;
    const failure = forEach(frame, loop, () => {
      const wanted = condition === undefined ? true : condition(frame);
      if (wanted === true) {
        if (error !== undefined && cost === 3) budget.charge(1);
        else {
          const value = transform(frame);
          budget.charge(cost);
          error ??= value instanceof Fault ? value : put(frame, loop.slot, made, value);
        }
      } else if (wanted !== false) error = wanted instanceof Fault ? wanted : NO_SUCH_OVERLOAD;
      return true;
    });
    if (failure !== undefined) return failure;
    budget.charge(1);
    return error ?? made;
  };
}
