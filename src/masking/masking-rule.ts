import { RE2JS, RE2JSException } from 're2js';
import { entropy } from './checksum.ts';
import { FAMILIES, type Family } from './detector.ts';
import { FieldPathError, isIdentity, parseFieldPath } from './field-path.ts';
import type { FieldMask, MaskAction } from './mask-plan.ts';
import type { MaskingRule, MaskingRuleSpec } from './masking-rule.generated.ts';
import type { OwnPattern } from './recognizer.ts';
import { compileScope, type RuleScope } from './rule-scope.ts';

export type { MaskingRule, MaskingRuleSpec } from './masking-rule.generated.ts';

/** A mistake in a rule, with where its author finds it. */
export interface MaskingRuleError {
  readonly rule: string;
  /** As `spec.fields[2].path`. */
  readonly at: string;
  /** 1-based, where the mistake is within a text. */
  readonly column: number | undefined;
  readonly message: string;
}

export interface CompiledMaskingRule {
  readonly name: string;
  readonly spec: MaskingRuleSpec;
  readonly uid: string;
  readonly generation: number;
  readonly about: RuleScope;
  readonly exempt: boolean;
  readonly action: MaskAction;
  readonly scope: 'Object' | 'Installation';
  readonly fields: readonly FieldMask[];
  readonly families: readonly Family[];
  readonly patterns: readonly OwnPattern[];
  /** With any, the rule fails closed: what it matches must not be passed on. */
  readonly errors: readonly MaskingRuleError[];
}

const ACTIONS: readonly MaskAction[] = ['Redact', 'Partial', 'Hash', 'Drop'];
const MAX_PATTERNS = 1000;
const MAX_FIELDS = 64;
const MAX_REGEX = 1024;
/** Instructions of one compiled expression, and of a rule's together: time is linear in the text times these. */
const MAX_PROGRAM = 2000;
const MAX_PROGRAMS = 50_000;
const MAX_LINE = 65_536;

/** Compiles a rule from the cluster or from a file: nothing of it is trusted to have been validated. */
export function compileMaskingRule(rule: MaskingRule): CompiledMaskingRule {
  const name = String(rule.metadata?.name ?? '');
  const errors: MaskingRuleError[] = [];
  const fail = (at: string, message: string, column?: number): undefined => {
    errors.push({ rule: name, at, column, message: message.slice(0, 1024) });
    return undefined;
  };
  const spec = (rule.spec ?? {}) as MaskingRuleSpec;
  const action = ACTIONS.find((known) => known === (spec.action ?? 'Redact')) ?? fail('spec.action', 'no such action');
  const scope = spec.hashScope === 'Installation' ? 'Installation' : 'Object';
  const families = (spec.detectors ?? []).filter((family, i) => {
    if (FAMILIES.includes(family)) return true;
    fail(`spec.detectors[${i}]`, `no such family; there are ${FAMILIES.join(', ')}`);
    return false;
  });
  const fields = compileFields(spec, { name, action: action ?? 'Redact', scope }, fail);
  const patterns = compilePatterns(spec, name, fail);
  const about = compileScope(spec, fail);
  if (spec.copies !== undefined && spec.copies !== 'Mask' && spec.copies !== 'Refuse') {
    fail('spec.copies', 'Mask or Refuse');
  }
  const exempt = spec.exempt === true;
  const parts = [spec.fields?.length, spec.detectors?.length, spec.patterns?.length, spec.copies?.length];
  const masks = parts.some((length) => (length ?? 0) > 0);
  if (exempt === masks) {
    fail(
      'spec',
      exempt
        ? 'a rule that exempts masks nothing of its own'
        : 'a rule needs fields, detectors, patterns or copies, or exempts',
    );
  }
  const { uid = '', generation = 0 } = rule.metadata ?? {};
  const how = { exempt, action: action ?? 'Redact', scope } as const;
  return { name, spec, uid, generation, about, ...how, fields, families, patterns, errors };
}

type Fail = (at: string, message: string, column?: number) => undefined;

function compileFields(
  spec: MaskingRuleSpec,
  rule: { readonly name: string; readonly action: MaskAction; readonly scope: 'Object' | 'Installation' },
  fail: Fail,
): FieldMask[] {
  const masks: FieldMask[] = [];
  const fields = spec.fields ?? [];
  if (fields.length > MAX_FIELDS) fail('spec.fields', `at most ${MAX_FIELDS} fields`);
  for (const [i, field] of fields.slice(0, MAX_FIELDS).entries()) {
    const at = `spec.fields[${i}]`;
    const action =
      ACTIONS.find((known) => known === (field.action ?? rule.action)) ?? fail(`${at}.action`, 'no such action');
    try {
      const path = parseFieldPath(String(field.path));
      if (isIdentity(path)) fail(`${at}.path`, 'names, kinds and the like cannot be masked', 1);
      else if (action !== undefined) masks.push({ path, action, scope: rule.scope, rule: rule.name });
    } catch (error) {
      if (!(error instanceof FieldPathError)) throw error;
      fail(`${at}.path`, error.message, error.column);
    }
  }
  return masks;
}

function compilePatterns(spec: MaskingRuleSpec, rule: string, fail: Fail): OwnPattern[] {
  const patterns: OwnPattern[] = [];
  const all = spec.patterns ?? [];
  if (all.length > MAX_PATTERNS) fail('spec.patterns', `at most ${MAX_PATTERNS} patterns`);
  let programs = 0;
  for (const [i, { name, regex, keywords = [], group = 0, minEntropy }] of all.slice(0, MAX_PATTERNS).entries()) {
    const at = `spec.patterns[${i}].regex`;
    if (regex.length > MAX_REGEX) {
      fail(at, `an expression has at most ${MAX_REGEX} characters`, MAX_REGEX + 1);
      continue;
    }
    let compiled: RE2JS;
    try {
      compiled = RE2JS.compile(regex);
    } catch (error) {
      if (!(error instanceof RE2JSException)) throw error;
      fail(at, error.message, columnOf(regex, error.message));
      continue;
    }
    const size = compiled.programSize();
    programs += size;
    if (size > MAX_PROGRAM) fail(at, 'the expression is too large; fewer or shorter repetitions make it smaller');
    else if (programs > MAX_PROGRAMS) fail(at, 'the expressions of this rule are too large together');
    else if (compiled.test('') && compiled.matcher('').find()) fail(at, 'the expression matches the empty text');
    else if (group > compiled.groupCount())
      fail(`spec.patterns[${i}].group`, `the expression has ${compiled.groupCount()} groups`);
    else {
      const floor = minEntropy === undefined ? 0 : Number(minEntropy);
      const find = (text: string) => matches(compiled, text, group, floor);
      patterns.push({ kind: name, rule, keywords: keywords.map((keyword) => keyword.toLowerCase()), find });
    }
  }
  return patterns;
}

/** Line by line: a match cannot depend on how a stream's lines arrived together. */
function matches(compiled: RE2JS, text: string, group: number, floor: number): { start: number; end: number }[] {
  const found: { start: number; end: number }[] = [];
  let from = 0;
  while (from < text.length) {
    const newline = text.indexOf('\n', from);
    const to = Math.min(newline === -1 ? text.length : newline, from + MAX_LINE);
    const line = text.slice(from, to);
    if (compiled.test(line)) {
      const matcher = compiled.matcher(line);
      while (matcher.find()) {
        const start = matcher.start(group);
        const end = matcher.end(group);
        if (start >= 0 && end > start && (floor === 0 || entropy(line.slice(start, end)) >= floor)) {
          found.push({ start: from + start, end: from + end });
        }
      }
    }
    from = newline === to ? to + 1 : to;
  }
  return found;
}

/** The expression's part that the message quotes, as 1-based column. */
function columnOf(regex: string, message: string): number | undefined {
  const quoted = /`([^`]*)`\s*$/.exec(message)?.[1];
  const at = quoted === undefined ? -1 : regex.indexOf(quoted);
  return at === -1 ? undefined : at + 1;
}
