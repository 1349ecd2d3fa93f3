import type { FieldMask, MaskPlan } from './mask-plan.ts';
import { PathAutomaton, type PathState } from './path-automaton.ts';
import { RULE_STRUCTURE, structureOf } from './structure.ts';

const STRUCTURES = new Map<string, PathAutomaton<FieldMask>>();
const OF_FIELDS = new WeakMap<readonly FieldMask[], Map<string, PathAutomaton<FieldMask>>>();

/** All that is masked by its place in an object of a kind: its structure first, then what rules name. */
export function fieldPaths(plan: MaskPlan, kind: string): PathState<FieldMask> {
  const structured = plan.structure && structureOf(kind).length > 0 ? kind : '';
  let known = STRUCTURES;
  if (plan.fields.length > 0) {
    known = OF_FIELDS.get(plan.fields) ?? new Map<string, PathAutomaton<FieldMask>>();
    OF_FIELDS.set(plan.fields, known);
  }
  let automaton = known.get(structured);
  if (automaton === undefined) {
    const structure = structureOf(structured).map((path) => ({ path, of: fixed(path) }));
    automaton = new PathAutomaton([...structure, ...plan.fields.map((of) => ({ path: of.path, of }))]);
    known.set(structured, automaton);
  }
  return automaton.root;
}

const fixed = (path: FieldMask['path']): FieldMask => ({
  path,
  action: 'Redact',
  scope: 'Object',
  rule: RULE_STRUCTURE,
});
