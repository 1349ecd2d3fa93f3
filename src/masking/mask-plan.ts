import type { Segment } from './field-path.ts';
import type { Finding } from './finding.ts';
import type { Place, Placeholders } from './marker.ts';
import type { Recognizer } from './recognizer.ts';

export type MaskAction = 'Redact' | 'Partial' | 'Hash' | 'Drop';

export interface FieldMask {
  readonly path: readonly Segment[];
  readonly action: MaskAction;
  readonly scope: 'Object' | 'Installation';
  readonly rule: string;
}

/** What was masked: for metrics, the decision log and `--explain`. Never the value. */
export interface Masked {
  readonly rule: string;
  readonly kind: string;
  readonly path: string;
}

/** All that masks one answer: of the rules that name its caller and what is asked, and of the defaults. */
export interface MaskPlan {
  readonly recognizer: Recognizer;
  readonly fields: readonly FieldMask[];
  /** What is done with what detectors and patterns find; by rule, `''` for the defaults. */
  action(rule: string): { readonly action: MaskAction; readonly scope: 'Object' | 'Installation' };
  /** Secrets, TokenRequests and their kin are masked by structure; off for callers who are exempt. */
  readonly structure: boolean;
  /** Whether anything is left out of answers, so that what is written back lacks it. */
  readonly drops?: boolean;
  /** The rule's name for what detectors find. */
  readonly rule: string;
  readonly placeholders: Placeholders;
  /** The first rule that demands masking here, beyond the defaults: what cannot be masked must then not pass. */
  readonly demandedBy?: string;
  /** The first rule by which archives must not be made. */
  readonly refusesCopies?: string;
  masked?(what: Masked): void;
  /**
   * Of an answer with many objects, rules may speak of some only: the plan of one, or undefined where it is exempt. Absent
   * where all have the same.
   */
  forObject?(namespace: string, name: string): MaskPlan | undefined;
  /**
   * Write-back only, never for an answer: told of each value (one character a byte) and of what is written for it (undefined:
   * left out); says what to write in its stead, in letters, digits and dots.
   */
  trace?(place: Place, value: string, written: string | undefined): string;
}

/** Kinds with so few possible values that an installation-wide hash could be searched. */
export const LOW_ENTROPY: ReadonlySet<string> = new Set([
  'credit-card',
  'iban',
  'ssn',
  'phone',
  'email',
  'generic-password',
]);

/**
 * What to write for a value.
 * @returns undefined to drop it
 */
export function substitute(
  plan: MaskPlan,
  place: Place,
  value: string,
  kind: string,
  how: { readonly action: MaskAction; readonly scope: 'Object' | 'Installation' },
): string | undefined {
  plan.masked?.({ rule: place.rule, kind, path: place.path });
  const written = replacement(plan, place, value, kind, how);
  return plan.trace === undefined ? written : plan.trace(place, value, written);
}

function replacement(
  plan: MaskPlan,
  place: Place,
  value: string,
  kind: string,
  how: { readonly action: MaskAction; readonly scope: 'Object' | 'Installation' },
): string | undefined {
  switch (how.action) {
    case 'Drop':
      return undefined;
    case 'Hash':
      return how.scope === 'Installation' && !LOW_ENTROPY.has(kind)
        ? plan.placeholders.hashInstallation(place.rule, Buffer.from(value, 'latin1'))
        : plan.placeholders.hash(place, Buffer.from(value, 'latin1'));
    case 'Partial':
      return plan.placeholders.redact(place) + tailOf(value);
    default:
      return plan.placeholders.redact(place);
  }
}

/** Whether `substitute` looks at the value: a placeholder does not depend on it, so for most it need not even be read. */
export function readsValue({ trace }: MaskPlan, how: { readonly action: MaskAction }): boolean {
  return how.action !== 'Redact' || trace !== undefined;
}

/** At most four characters, and at most a quarter; only plain ones, so that no character is cut. */
function tailOf(value: string): string {
  const tail = value.slice(value.length - Math.min(4, Math.floor(value.length / 4)));
  return /^[A-Za-z0-9]{1,4}$/.test(tail) ? tail : '';
}

/**
 * What to write for a number or a boolean: something of its type, so that clients can read the object.
 * @returns JSON, or undefined to leave the member out
 */
export function substituteScalar(
  plan: MaskPlan,
  place: Place,
  value: string,
  { action }: FieldMask,
): string | undefined {
  plan.masked?.({ rule: place.rule, kind: 'field', path: place.path });
  const written = action === 'Drop' ? undefined : value === 'true' || value === 'false' ? 'false' : '0';
  return plan.trace === undefined ? written : `"${plan.trace(place, value, written)}"`;
}

/** Writes findings in one text of an object. */
export function replacer(plan: MaskPlan, object: string, path: string): (finding: Finding, value: string) => string {
  return (finding, value) => {
    const rule = finding.rule ?? plan.rule;
    return substitute(plan, { object, path, rule }, value, finding.kind, plan.action(finding.rule ?? '')) ?? '';
  };
}
