import { DEFAULT_FAMILIES, type Family } from './detector.ts';
import type { Placeholders } from './marker.ts';
import type { Masked, MaskPlan } from './mask-plan.ts';
import { Recognizer } from './recognizer.ts';
import { RULE_DETECTORS } from './structure.ts';

const RECOGNIZERS = new Map<string, Recognizer>();

/** Tables of keywords are built once for each set of families. */
export function recognizerFor(families: readonly Family[]): Recognizer {
  const key = [...families].sort((a, b) => (a < b ? -1 : 1)).join();
  let known = RECOGNIZERS.get(key);
  if (known === undefined) RECOGNIZERS.set(key, (known = new Recognizer(families)));
  return known;
}

/** What is masked where no rule says anything. */
export function defaultPlan(
  placeholders: Placeholders,
  families: readonly Family[] = DEFAULT_FAMILIES,
  masked?: (what: Masked) => void,
): MaskPlan {
  return {
    recognizer: recognizerFor(families),
    fields: [],
    action: () => ({ action: 'Redact', scope: 'Object' }),
    structure: true,
    rule: RULE_DETECTORS,
    placeholders,
    ...(masked === undefined ? {} : { masked }),
  };
}
