import { SallyportError } from '../../errors.ts';
import { isObject, type Json, memberAt } from '../../request/json.ts';
import type { MaskPlan } from '../mask-plan.ts';
import { isDropped, touchesHidden } from './hidden-paths.ts';
import type { View } from './original.ts';
import { pathText, type Steps } from './path-text.ts';
import { treeHoldsPlaceholder } from './placeholder-search.ts';
import type { Restorer } from './restorer.ts';
import type { Tracer } from './tracer.ts';

/** A JSON Patch (RFC 6902) with its values back, and the object as it leaves it: as stored, and with tokens. */
export interface RestoredPatch {
  readonly patch: Json[];
  readonly real: Json;
  readonly traced: Json;
  /** Whether it asks, copies or moves: then what was judged must be what is patched. */
  readonly reads: boolean;
}

/** As the API server's own. */
const MAX_OPERATIONS = 10_000;
/** Values that are looked at for all of its operations together. */
const MAX_LOOKED = 2_000_000;
/** Values that all copies and moves of a patch may carry together. */
const MAX_COPIED = 200_000;

function sizeOf(value: Json): number {
  const members = Array.isArray(value) ? value : isObject(value) ? [...value.values()] : [];
  return members.reduce<number>((sum, member) => sum + sizeOf(member), 1);
}

interface Documents {
  real: Json;
  shown: Json;
  traced: Json;
}

/**
 * Reads a JSON Patch operation by operation, on the object as it is after those before. `test`, `copy` and `move` that touch,
 * contain or lie under what is masked are refused: the first tells whether a guess is right, the others carry a value to where
 * it is seen.
 * @throws SallyportError SP_MASKING_PROBE, SP_MASKING_PLACEHOLDER, SP_BAD_REQUEST
 */
export function restoreJsonPatch(
  sent: readonly Json[],
  current: View,
  kind: string,
  how: { readonly plan: MaskPlan; readonly tracer: Tracer; readonly restorer: Restorer },
): RestoredPatch {
  const documents: Documents = {
    real: copy(current.real!),
    shown: copy(current.shown!),
    traced: copy(current.traced!),
  };
  const patch: Json[] = [];
  let reads = false;
  let copied = 0;
  const looked = { left: MAX_LOOKED };
  if (sent.length > MAX_OPERATIONS)
    throw new SallyportError('SP_BAD_REQUEST', `a JSON Patch has at most ${MAX_OPERATIONS} operations`);
  for (const [index, operation] of sent.entries()) {
    const op = textOf(operation, 'op');
    const path = stepsOf(textOf(operation, 'path'), documents.real);
    const from = op === 'copy' || op === 'move' ? stepsOf(textOf(operation, 'from'), documents.real) : undefined;
    reads ||= from !== undefined || op === 'test';
    const probes = (steps: Steps): boolean =>
      hides(documents.traced, steps, how.tracer, looked) || touchesHidden(how.plan, kind, steps);
    const asked = op === 'test' ? path : from;
    if (asked !== undefined && probes(asked)) throw probe(op, asked);
    // Whether a member is there that answers leave out is not to be learned either.
    if (op !== 'test' && touchesHidden(how.plan, kind, path, isDropped)) throw probe(op, path);
    if (op === 'add' || op === 'replace') {
      const inserted = op === 'add' && Array.isArray(at(documents.real, path.slice(0, -1)));
      const views = inserted ? [] : [{ ...documents, own: true }];
      const given = memberAt(operation, 'value') ?? null;
      const pair = how.restorer.run(given, views, kind, path);
      patch.push(new Map(operation as ReadonlyMap<string, Json>).set('value', pair.real));
      change(documents, op, path, { real: pair.real, shown: given, traced: pair.traced }, index);
      continue;
    }
    if (treeHoldsPlaceholder(operation)) {
      throw new SallyportError(
        'SP_MASKING_PLACEHOLDER',
        `operation ${index} (${op}): a placeholder cannot be used here`,
      );
    }
    patch.push(operation);
    if (op === 'test') continue;
    if (from === undefined) {
      if (op === 'remove') change(documents, op, path, undefined, index);
      continue;
    }
    const value = at(documents.real, from);
    if (hides(documents.traced, path, how.tracer, looked)) how.restorer.literals.push(pathText(path));
    if (value === undefined) throw absent(index, op);
    // Each copy may double what the next one copies.
    copied += sizeOf(value);
    if (copied > MAX_COPIED) throw new SallyportError('SP_BAD_REQUEST', 'a JSON Patch copies or moves too much');
    if (op === 'move') change(documents, 'remove', from, undefined, index);
    change(documents, 'add', path, { real: value, shown: value, traced: value }, index);
  }
  return { patch, real: documents.real, traced: documents.traced, reads };
}

function probe(op: string, path: Steps): SallyportError {
  const message = `${pathText(path)} is, holds or lies in something that is masked for this caller: ${op} would tell of it. Use add, replace or remove`;
  return new SallyportError('SP_MASKING_PROBE', message);
}

function absent(index: number, op: string): SallyportError {
  return new SallyportError(
    'SP_BAD_REQUEST',
    `JSON Patch operation ${index} (${op}): there is no such path in the object`,
  );
}

/** Whether a hidden value is there, in it, or around it. */
function hides(traced: Json | undefined, path: Steps, tracer: Tracer, looked: { left: number }): boolean {
  let node: Json | undefined = traced;
  for (const step of path) {
    if (typeof node === 'string') break;
    node = Array.isArray(node) ? node[Number(step)] : isObject(node) ? node.get(String(step)) : undefined;
  }
  return node !== undefined && anyHidden(node, tracer, looked);
}

function anyHidden(node: Json, tracer: Tracer, looked: { left: number }): boolean {
  if (--looked.left < 0) throw new SallyportError('SP_BAD_REQUEST', 'a JSON Patch tests or copies too much');
  if (typeof node === 'string') return tracer.holds(node);
  if (Array.isArray(node)) return node.some((item) => anyHidden(item, tracer, looked));
  return isObject(node) && [...node.values()].some((member) => anyHidden(member, tracer, looked));
}

function at(node: Json | undefined, path: Steps): Json | undefined {
  for (const step of path) {
    node = Array.isArray(node) ? node[Number(step)] : isObject(node) ? node.get(String(step)) : undefined;
  }
  return node;
}

function textOf(operation: Json, name: string): string {
  const value = memberAt(operation, name);
  if (typeof value !== 'string')
    throw new SallyportError('SP_BAD_REQUEST', `a JSON Patch operation needs "${name}", a string`);
  return value;
}

/** RFC 6901. An index is a plain number: readers that take `-1` or `01` too would see another place. */
function stepsOf(pointer: string, document: Json): Steps {
  if (pointer === '') return [];
  if (!pointer.startsWith('/') || /~(?![01])/.test(pointer))
    throw new SallyportError('SP_BAD_REQUEST', 'not a JSON pointer');
  const steps: (string | number)[] = [];
  let node: Json | undefined = document;
  for (const part of pointer.slice(1).split('/')) {
    const name = part.replaceAll('~1', '/').replaceAll('~0', '~');
    if (Array.isArray(node)) {
      if (name !== '-' && !/^(?:0|[1-9][0-9]{0,8})$/.test(name))
        throw new SallyportError('SP_BAD_REQUEST', 'a JSON pointer has an index that is no plain number');
      const index: number = name === '-' ? node.length : Number(name);
      steps.push(index);
      node = node[index];
    } else {
      steps.push(name);
      node = isObject(node) ? node.get(name) : undefined;
    }
  }
  return steps;
}

function change(
  documents: Documents,
  op: 'add' | 'replace' | 'remove',
  path: Steps,
  value: Documents | undefined,
  index: number,
): void {
  for (const name of ['real', 'shown', 'traced'] as const) {
    const next = changed(documents[name], op, path, value === undefined ? undefined : copy(value[name]));
    // What answers leave out is not in what is shown.
    if (next === undefined && name !== 'shown') throw absent(index, op);
    if (next !== undefined) documents[name] = next;
  }
}

/** @returns undefined where there is no such place */
function changed(
  document: Json,
  op: 'add' | 'replace' | 'remove',
  path: Steps,
  value: Json | undefined,
): Json | undefined {
  if (path.length === 0) return value;
  const parent = at(document, path.slice(0, -1));
  const last = path[path.length - 1]!;
  if (Array.isArray(parent)) {
    const index = Number(last);
    if (op === 'add' ? index > parent.length : index >= parent.length) return undefined;
    if (op === 'add') parent.splice(index, 0, value!);
    else if (op === 'replace') parent[index] = value!;
    else parent.splice(index, 1);
    return document;
  }
  if (!isObject(parent)) return undefined;
  const name = String(last);
  if (op !== 'add' && !parent.has(name)) return undefined;
  if (op === 'remove') parent.delete(name);
  else parent.set(name, value!);
  return document;
}

function copy(value: Json): Json {
  if (Array.isArray(value)) return value.map(copy);
  return isObject(value) ? new Map([...value].map(([name, member]) => [name, copy(member)])) : value;
}
