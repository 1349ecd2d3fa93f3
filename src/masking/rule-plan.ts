import { recognizerFor } from './default-plan.ts';
import { DEFAULT_FAMILIES, type Family } from './detector.ts';
import type { Placeholders } from './marker.ts';
import type { Masked, MaskPlan } from './mask-plan.ts';
import type { CompiledMaskingRule, MaskingRuleError } from './masking-rule.ts';
import { Recognizer } from './recognizer.ts';
import { RULE_DETECTORS } from './structure.ts';

/** A rule that speaks of an answer does not compile: the answer must not be passed on. */
export class BrokenMaskingRule extends Error {
  readonly errors: readonly MaskingRuleError[];

  constructor(errors: readonly MaskingRuleError[]) {
    const [first] = errors;
    const column = first?.column === undefined ? '' : ` (column ${first.column})`;
    super(
      first === undefined
        ? 'a masking rule does not compile'
        : `MaskingRule ${first.rule}, ${first.at}${column}: ${first.message}`,
    );
    this.name = 'BrokenMaskingRule';
    this.errors = errors;
  }
}

/**
 * The plan of the rules that name a caller and match what is asked, over the defaults.
 * @param families what is recognised where no rule says anything
 * @returns undefined where an exemption holds: the answer passes as it is
 * @throws BrokenMaskingRule
 */
export function planOf(
  rules: readonly CompiledMaskingRule[],
  placeholders: Placeholders,
  families: readonly Family[] = DEFAULT_FAMILIES,
  masked?: (what: Masked) => void,
): MaskPlan | undefined {
  const errors = rules.flatMap((rule) => rule.errors);
  if (errors.length > 0) throw new BrokenMaskingRule(errors);
  const masking = rules.filter(({ exempt }) => !exempt);
  if (masking.length < rules.length && masking.length === 0) return undefined;
  const wanted = [...new Set([...families, ...masking.flatMap((rule) => rule.families)])];
  const patterns = masking.flatMap((rule) => rule.patterns);
  const byName = new Map(masking.map((rule) => [rule.name, rule]));
  // What detectors find is written as the first rule that asks for detectors says.
  const detecting = masking.find((rule) => rule.families.length > 0);
  const refusing = masking.find(({ spec }) => spec.copies === 'Refuse');
  return {
    recognizer: patterns.length === 0 ? recognizerFor(wanted) : new Recognizer(wanted, patterns),
    fields: masking.flatMap((rule) => rule.fields),
    action: (name) => {
      const rule = byName.get(name) ?? detecting;
      return { action: rule?.action ?? 'Redact', scope: rule?.scope ?? 'Object' };
    },
    structure: true,
    drops: masking.some(({ action, fields }) => action === 'Drop' || fields.some((field) => field.action === 'Drop')),
    rule: detecting?.name ?? RULE_DETECTORS,
    placeholders,
    ...(masking[0] === undefined ? {} : { demandedBy: masking[0].name }),
    ...(refusing === undefined ? {} : { refusesCopies: refusing.name }),
    ...(masked === undefined ? {} : { masked }),
  };
}
