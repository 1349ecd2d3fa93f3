/** A mistake in a policy, with the place where its author finds it. */
export interface PolicyCompileError {
  readonly policy: string;
  /** Empty for a mistake outside the rules (variables, subjects). */
  readonly rule: string;
  /** `matchConditions[foreign-image]`, `variables[pod]`, `messageExpression`, `match`, `subjects[2]`, `approval`. */
  readonly expression: string;
  /** 1-based, columns in code points; undefined where the mistake is not in an expression. */
  readonly line: number | undefined;
  readonly column: number | undefined;
  readonly message: string;
}

const MAX_MESSAGE = 1024;

export class ErrorCollector {
  readonly errors: PolicyCompileError[] = [];
  readonly policy: string;

  constructor(policy: string) {
    this.policy = policy;
  }

  add(
    rule: string,
    expression: string,
    message: string,
    at?: { readonly line: number; readonly column: number },
  ): void {
    this.errors.push({
      policy: this.policy,
      rule,
      expression,
      line: at?.line,
      column: at?.column,
      message: message.length > MAX_MESSAGE ? `${message.slice(0, MAX_MESSAGE - 1)}…` : message,
    });
  }
}
