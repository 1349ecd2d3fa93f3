import type { Rule } from './agent-policy.ts';
import { approvalTerms } from './approval-terms.ts';
import type { ErrorCollector } from './compile-error.ts';
import type { ApprovalTerms } from './decision.ts';
import { CONDITION_TYPES, compileExpression, type Expression, MESSAGE_TYPES, type Variables } from './expression.ts';
import { type CompiledMatch, compileMatch } from './match.ts';
import type { Input } from './variables.ts';

export interface CompiledRule {
  readonly name: string;
  readonly action: 'Allow' | 'RequireApproval' | 'Deny';
  /** Undefined where `match` itself is wrong. */
  readonly match: CompiledMatch | undefined;
  readonly conditions: readonly Expression[];
  readonly message: string;
  readonly messageExpression: Expression | undefined;
  readonly approval: ApprovalTerms | undefined;
  /**
   * The rule does not compile. An Allow rule then matches nothing; a Deny or RequireApproval rule refuses whatever its
   * `match` covers, and everything if that is wrong too. So a mistake never widens access.
   */
  readonly broken: boolean;
  readonly conditionReads: ReadonlySet<Input>;
  /** What conditions and message read. */
  readonly reads: ReadonlySet<Input>;
}

const ACTIONS = new Set(['Allow', 'RequireApproval', 'Deny']);

export function compileRule(rule: Rule, variables: Variables, collector: ErrorCollector): CompiledRule {
  const before = collector.errors.length;
  const name = typeof rule.name === 'string' ? rule.name : '';
  const match = attempt(() => compileMatch(rule.match), name, 'match', collector);
  let action = rule.action;
  if (!ACTIONS.has(action)) {
    collector.add(name, 'action', 'must be Allow, RequireApproval or Deny');
    action = 'Deny';
  }
  const conditions: Expression[] = [];
  for (const condition of rule.matchConditions ?? []) {
    const place = { rule: name, expression: `matchConditions[${condition?.name}]` };
    const source = condition?.expression ?? '';
    const compiled = compileExpression(source, condition?.name ?? '', place, variables, CONDITION_TYPES, collector);
    if (compiled !== undefined) conditions.push(compiled);
  }
  const approval =
    action === 'RequireApproval' ? attempt(() => approvalTerms(rule.approval), name, 'approval', collector) : undefined;
  const broken = collector.errors.length > before;
  // The message says why, it does not decide: where it is wrong the rule still means what it says.
  const messageExpression =
    rule.messageExpression === undefined
      ? undefined
      : compileExpression(
          rule.messageExpression,
          'messageExpression',
          { rule: name, expression: 'messageExpression' },
          variables,
          MESSAGE_TYPES,
          collector,
        );
  const conditionReads = new Set<Input>(conditions.flatMap((condition) => [...condition.reads]));
  return {
    name,
    action,
    match,
    conditions,
    message: rule.message ?? '',
    messageExpression,
    approval,
    broken,
    conditionReads,
    reads: new Set([...conditionReads, ...(messageExpression?.reads ?? [])]),
  };
}

function attempt<T>(work: () => T, rule: string, expression: string, collector: ErrorCollector): T | undefined {
  try {
    return work();
  } catch (error) {
    collector.add(rule, expression, error instanceof Error ? error.message : String(error));
    return undefined;
  }
}
