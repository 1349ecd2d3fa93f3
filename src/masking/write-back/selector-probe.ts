import { SallyportError } from '../../errors.ts';
import { fieldTerms } from '../../request/field-selector.ts';
import { type Json, writeJson } from '../../request/json.ts';
import type { MaskPlan } from '../mask-plan.ts';
import { maskObject } from '../object-mask.ts';
import { touchesHidden } from './hidden-paths.ts';
import { pathText, type Steps } from './path-text.ts';

interface Term {
  readonly path: Steps;
  readonly values: readonly string[];
}

/**
 * Refuses selectors that ask about what may not be seen: whether an object comes back tells whether the guess was right. That
 * is a selector on a masked field or label, and one whose value would itself be masked where it stands.
 * @param kind of the objects that are selected; '' where it is not known
 * @throws SallyportError SP_MASKING_PROBE
 */
export function refuseProbes(
  plan: MaskPlan,
  kind: string,
  selectors: { readonly label: readonly string[]; readonly field: readonly string[] },
): void {
  const terms = [...selectors.label.flatMap(labelTerms), ...selectors.field.flatMap(fieldPaths)];
  for (const { path, values } of terms) {
    if (touchesHidden(plan, kind, path) || values.some((value) => isMasked(plan, path, value))) {
      const message = `${pathText(path)} is masked for this caller, so it cannot be selected by: what a selector finds would tell its value`;
      throw new SallyportError('SP_MASKING_PROBE', message);
    }
  }
}

function isMasked(plan: MaskPlan, path: Steps, value: string): boolean {
  let tree: Json = value;
  for (const step of [...path].reverse()) tree = new Map([[String(step), tree]]);
  const { masked: _, forObject: __, ...quiet } = plan;
  const bytes = Buffer.from(writeJson(tree));
  return maskObject(quiet, bytes, { kind: 'Selector' }) !== bytes;
}

/** Requirements of a label selector (apimachinery `labels.Parse`); what is not one is the API server's to refuse. */
function labelTerms(selector: string): Term[] {
  const terms: Term[] = [];
  for (const [requirement] of selector.matchAll(/(?:[^,(]|\([^)]*\)?)+/g)) {
    const found = /^\s*!?\s*([A-Za-z0-9./_-]+)\s*(.*)$/s.exec(requirement);
    if (found === null) continue;
    const values = [...found[2]!.replace(/^(?:not)?in(?=[\s(])/, '').matchAll(/[A-Za-z0-9._-]+/g)].map(
      ([value]) => value,
    );
    terms.push({ path: ['metadata', 'labels', found[1]!], values });
  }
  return terms;
}

function fieldPaths(selector: string): Term[] {
  return fieldTerms(selector).map(({ field, value }) => ({ path: stepsOf(field), values: [value] }));
}

/** `spec.a.b`, and what Kubernetes' own fields look like: `metadata.name`. */
function stepsOf(field: string): Steps {
  return field.split(/[.[\]"']+/).filter((step) => step !== '');
}
