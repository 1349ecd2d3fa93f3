import type { AgentPolicy, NamedExpression } from './agent-policy.ts';
import { type CelType, DYN } from './cel/engine.ts';
import { ErrorCollector, type PolicyCompileError } from './compile-error.ts';
import type { RecordingTerms } from './decision.ts';
import { compileExpression, type Expression, type Variables } from './expression.ts';
import { type CompiledRule, compileRule } from './rule.ts';
import { subjectKey, subjectProblem } from './subjects.ts';
import { environment } from './variables.ts';

/** One AgentPolicy, all its work done. Immutable; shared by every PolicySet that holds it. */
export interface CompiledPolicy {
  readonly name: string;
  readonly uid: string;
  readonly generation: number;
  readonly enforcement: 'Enforce' | 'Warn' | 'Audit';
  readonly subjects: readonly string[];
  readonly recording: RecordingTerms;
  readonly variables: Variables;
  readonly rules: readonly CompiledRule[];
  readonly errors: readonly PolicyCompileError[];
  /** What it was compiled from: the same object need not be compiled again. */
  readonly source: AgentPolicy;
}

const ENFORCEMENTS = new Set(['Enforce', 'Warn', 'Audit']);

export function compilePolicy(policy: AgentPolicy): CompiledPolicy {
  const { metadata, spec } = policy;
  const collector = new ErrorCollector(metadata.name);
  let enforcement = spec.enforcement ?? 'Enforce';
  if (!ENFORCEMENTS.has(enforcement)) {
    collector.add('', 'enforcement', 'must be Enforce, Warn or Audit');
    enforcement = 'Enforce';
  }
  let everySubjectSound = true;
  const subjects: string[] = [];
  for (const [index, subject] of (spec.subjects ?? []).entries()) {
    const problem = subjectProblem(subject);
    if (problem !== undefined) {
      everySubjectSound = false;
      collector.add('', `subjects[${index}]`, problem);
    }
    if (typeof subject?.name === 'string') subjects.push(subjectKey(subject));
  }
  const variables = compileVariables(spec.variables ?? [], collector);
  const rules = (spec.rules ?? []).map((rule) => compileRule(rule, variables, collector));
  return {
    name: metadata.name,
    uid: metadata.uid ?? '',
    generation: metadata.generation ?? 0,
    enforcement,
    subjects: [...new Set(subjects)],
    recording: { level: spec.recording?.level ?? 'Metadata', mode: spec.recording?.mode ?? 'ByOperation' },
    variables,
    // A policy for subjects it may not have still restricts, but allows nothing.
    rules: everySubjectSound
      ? rules
      : rules.map((rule) => (rule.action === 'Allow' ? { ...rule, broken: true } : rule)),
    errors: collector.errors,
    source: policy,
  };
}

function compileVariables(variables: readonly NamedExpression[], collector: ErrorCollector): Variables {
  const types: Record<string, CelType> = Object.create(null) as Record<string, CelType>;
  const expressions: Expression[] = [];
  let current = environment({});
  for (const { name, expression } of variables) {
    const place = { rule: '', expression: `variables[${name}]` };
    if (typeof name !== 'string' || !/^[A-Za-z_][A-Za-z0-9_]{0,62}$/.test(name) || name in types) {
      collector.add('', place.expression, 'the name must be a CEL identifier and unique');
      continue;
    }
    const compiled = compileExpression(
      expression,
      name,
      place,
      { environment: current, expressions },
      undefined,
      collector,
    );
    if (compiled === undefined) continue;
    expressions.push(compiled);
    types[name] = compiled.program.resultType ?? DYN;
    current = environment({ ...types });
  }
  return { expressions, environment: current };
}
