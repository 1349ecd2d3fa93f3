import { SallyportError } from '../../errors.ts';
import { isObject, type Json, memberAt, writeJson } from '../../request/json.ts';
import type { MaskPlan } from '../mask-plan.ts';
import { maskObject } from '../object-mask.ts';
import { restoreJsonPatch } from './json-patch.ts';
import type { Ledger } from './ledger.ts';
import { type View, viewOf } from './original.ts';
import { treeHoldsPlaceholder } from './placeholder-search.ts';
import { Restorer } from './restorer.ts';
import { wouldShow } from './stays-masked.ts';
import { Tracer } from './tracer.ts';

/** A write as it is asked for. */
export interface Written {
  readonly plan: MaskPlan;
  /** What is written, where the body does not say it; '' where that is not known. */
  readonly kind: string;
  /** `create`, `update` or `patch`. */
  readonly verb: string;
  readonly patchType: string | undefined;
  readonly tree: Json;
}

/** What else than the object itself may hold the values: see `Ledger`. */
export interface Sources {
  readonly tracer: Tracer;
  readonly views: readonly View[];
  readonly ledger: Ledger | undefined;
}

export interface WrittenBack {
  /** What is written, with the values. */
  readonly tree: Json;
  /** How many texts got a value back. */
  readonly restored: number;
  /** Paths where a hidden value would be overwritten by one that the caller brings. */
  readonly literals: readonly string[];
  /** The revision that the write has to be bound to (`boundTo`); undefined where it needs none, or the client named one. */
  readonly revision: string | undefined;
}

const JSON_PATCH = 'application/json-patch+json';

/** Whether a write can only be understood beside the object as it is: it holds placeholders, or touches what is hidden. */
export function needsCurrent({ plan, kind, verb, patchType, tree }: Written): boolean {
  if (treeHoldsPlaceholder(tree)) return true;
  if (verb === 'create') return false;
  // A field that is left out of answers is missing here as well, and a number that is hidden holds no placeholder.
  if (patchType === JSON_PATCH || plan.fields.length > 0 || plan.drops === true) return true;
  const { masked: _, forObject: __, ...quiet } = plan;
  const bytes = Buffer.from(writeJson(tree));
  return maskObject(quiet, bytes, { kind }) !== bytes;
}

/**
 * Puts back what the placeholders in a write stand for.
 * @param current the object as it is stored, in JSON; undefined where there is none
 * @throws SallyportError SP_MASKING_PLACEHOLDER, SP_MASKING_SHOWN, SP_MASKING_PROBE, SP_MASKING_CHANGED, SP_MASKING_UNREADABLE
 */
export function writeBack(written: Written, current: Buffer | undefined, sources?: Sources): WrittenBack {
  const { plan, verb, patchType, tree } = written;
  const tracer = sources?.tracer ?? new Tracer();
  const own = current === undefined ? undefined : viewOf(plan, tracer, current, written.kind);
  const kind = textAt(own?.real, 'kind') ?? written.kind;
  const restorer = new Restorer({ tracer, ledger: sources?.ledger, whole: verb === 'update' });
  const revision = textAt(own?.real, 'metadata', 'resourceVersion');
  if (patchType === JSON_PATCH && Array.isArray(tree)) {
    if (own === undefined) return untouched(written);
    const result = restoreJsonPatch(tree, own, kind, { plan, tracer, restorer });
    refuseShown(written, tracer, result.traced, result.real, kind);
    const reads = result.reads || restorer.restored > 0;
    const bound = reads && !tree.some((operation) => touchesRevision(operation));
    return {
      tree: result.patch,
      restored: restorer.restored,
      literals: restorer.literals,
      revision: bound ? revision : undefined,
    };
  }
  const given = textAt(tree, 'metadata', 'resourceVersion') ?? '';
  if (given !== '' && revision !== undefined && given !== revision && treeHoldsPlaceholder(tree)) throw changed();
  const views = [...(own === undefined ? [] : [own]), ...(sources?.views ?? [])];
  const pair = restorer.run(tree, views, kind);
  if (restorer.restored === 0) return { tree, restored: 0, literals: restorer.literals, revision: undefined };
  refuseShown(written, tracer, pair.traced, pair.real, kind);
  const { restored, literals } = restorer;
  return { tree: pair.real, restored, literals, revision: given === '' ? revision : undefined };
}

/**
 * A write that the API server carries out only on that revision of the object: else it answers 409 and does nothing. What was
 * put back was read at that revision; on a later one it could bring an old value back to life.
 */
export function boundTo(revision: string, tree: Json): Json {
  if (Array.isArray(tree)) {
    // A failed `test` would be a 422 that cannot be told from others, and what comes last counts.
    const last = [
      ['op', 'add'],
      ['path', '/metadata/resourceVersion'],
      ['value', revision],
    ] as const;
    return [...tree, new Map<string, Json>(last)];
  }
  if (!isObject(tree)) return tree;
  const metadata = tree.get('metadata');
  const bound = new Map<string, Json>(isObject(metadata) ? metadata : []);
  bound.set('resourceVersion', revision);
  return new Map<string, Json>(tree).set('metadata', bound);
}

/** The object changed under the write. */
export function changed(): SallyportError {
  const message =
    'the object has been modified since it was read: read it again, and apply the change to what it is now';
  return new SallyportError('SP_MASKING_CHANGED', message);
}

/** Masked again, what is written must hide all that was put back. */
function refuseShown({ plan }: Written, tracer: Tracer, traced: Json, real: Json, kind: string): void {
  const again = viewOf(plan, tracer, Buffer.from(writeJson(real)), kind).traced;
  const path = wouldShow(tracer, traced, real, again);
  if (path === undefined) return;
  const message = `${path}: the masked value would be seen there; leave it where it is hidden`;
  throw new SallyportError('SP_MASKING_SHOWN', message);
}

function untouched({ tree }: Written): WrittenBack {
  if (!treeHoldsPlaceholder(tree)) return { tree, restored: 0, literals: [], revision: undefined };
  throw new SallyportError('SP_MASKING_PLACEHOLDER', 'the patch holds a placeholder, and there is no such object');
}

function touchesRevision(operation: Json): boolean {
  const path = memberAt(operation, 'path');
  return path === '' || path === '/metadata' || path === '/metadata/resourceVersion';
}

function textAt(tree: Json | undefined, ...path: readonly string[]): string | undefined {
  const value = memberAt(tree, ...path);
  return typeof value === 'string' ? value : undefined;
}
