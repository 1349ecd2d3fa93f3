import type { Segment } from '../field-path.ts';
import type { FieldMask, MaskPlan } from '../mask-plan.ts';
import { structureOf } from '../structure.ts';
import type { Steps } from './path-text.ts';

/**
 * Whether a path touches what is masked by its place: it is it, contains it, or lies under it. Whatever stands there, and
 * whether anything does: an answer that depended on that would tell.
 */
export function touchesHidden(
  plan: MaskPlan,
  kind: string,
  steps: Steps,
  only?: (field: FieldMask) => boolean,
): boolean {
  const names = steps.map(String);
  if (plan.fields.some((field) => (only === undefined || only(field)) && overlaps(field.path, names))) return true;
  return only === undefined && plan.structure && structureOf(kind).some((path) => overlaps(path, names));
}

/** Fields that an answer leaves out: not even whether they are there is known. */
export const isDropped = ({ action }: FieldMask): boolean => action === 'Drop';

/** All that could be next at once: paths with several `**` have many ways through. */
function overlaps(path: readonly Segment[], names: readonly string[]): boolean {
  let open = withDeep(path, new Set([0]));
  for (const name of names) {
    if (open.has(path.length)) return true;
    const next = new Set<number>();
    for (const at of open) {
      const segment = path[at]!;
      if (segment.is === 'deep') next.add(at);
      // Which item it is cannot be known from a path alone.
      else if (segment.is !== 'key' || segment.key === name) next.add(at + 1);
    }
    open = withDeep(path, next);
    if (open.size === 0) return false;
  }
  return true;
}

/** `**` is any number of steps, none among them. */
function withDeep(path: readonly Segment[], open: Set<number>): Set<number> {
  for (const at of open) if (path[at]?.is === 'deep') open.add(at + 1);
  return open;
}
