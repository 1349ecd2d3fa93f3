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

function overlaps(path: readonly Segment[], names: readonly string[]): boolean {
  const [segment, ...rest] = path;
  if (segment === undefined || names.length === 0) return true;
  const [name, ...below] = names;
  if (segment.is === 'deep') return overlaps(rest, names) || overlaps(path, below);
  // Which item it is cannot be known from a path alone.
  return (segment.is !== 'key' || segment.key === name) && overlaps(rest, below);
}
