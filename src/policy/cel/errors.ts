/** A place in an expression: 1-based line, 1-based column counted in code points. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

export interface CompileIssue extends Position {
  readonly message: string;
}

/** The expression is refused when the policy is written: it does not parse, does not type-check, or holds a bad constant. */
export class CelCompileError extends Error {
  override readonly name = 'CelCompileError';
  readonly line: number;
  readonly column: number;
  /** Every mistake found, in the order of the source; the first one is the error's own message and position. */
  readonly issues: readonly CompileIssue[];

  constructor(issues: readonly [CompileIssue, ...CompileIssue[]]) {
    super(issues[0].message);
    this.line = issues[0].line;
    this.column = issues[0].column;
    this.issues = issues;
  }
}

/** The expression was evaluated and has no answer: a missing key, an overflow, a wrong type behind `dyn`. */
export class CelRuntimeError extends Error {
  override readonly name = 'CelRuntimeError';
}

/**
 * The evaluation was stopped: it cost too much or took too long. Not a CEL error value: neither `||` nor `all` absorbs
 * it, because a caller who may exhaust a Deny rule into "no match" has opened the gate. The request is to be refused.
 */
export class CelBudgetError extends Error {
  override readonly name = 'CelBudgetError';
  readonly exceeded: 'cost' | 'time';

  constructor(exceeded: 'cost' | 'time', message: string) {
    super(message);
    this.exceeded = exceeded;
  }
}
