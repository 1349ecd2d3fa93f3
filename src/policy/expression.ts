import {
  BOOL,
  CelCompileError,
  type CelType,
  compile,
  type Environment,
  formatType,
  type Program,
  STRING,
} from './cel/engine.ts';
import type { ErrorCollector } from './compile-error.ts';
import { INPUTS, type Input } from './variables.ts';

/** An expression of a policy, compiled, with what it and the variables it uses read. */
export interface Expression {
  readonly name: string;
  readonly program: Program;
  readonly reads: ReadonlySet<Input>;
}

/** A policy's `variables`, in the order they are written: each may use those before it, so no cycle can be written. */
export interface Variables {
  readonly expressions: readonly Expression[];
  readonly environment: Environment;
}

/** Where an expression stands, for messages to its author. */
export interface Place {
  readonly rule: string;
  readonly expression: string;
}

/** Undefined, with the mistakes collected, where the expression does not compile to one of these types. */
export function compileExpression(
  source: string,
  name: string,
  place: Place,
  variables: Variables,
  results: readonly CelType[] | undefined,
  collector: ErrorCollector,
): Expression | undefined {
  try {
    const program = compile(source, variables.environment);
    if (results !== undefined && !results.some((type) => type.kind === program.resultType.kind)) {
      const wanted = results.map(formatType).join(' or ');
      const message = `must evaluate to ${wanted}, not ${formatType(program.resultType)}`;
      collector.add(place.rule, place.expression, message, { line: 1, column: 1 });
      return undefined;
    }
    const reads = new Set<Input>(INPUTS.filter((input) => program.references.has(input)));
    if (program.references.has('variables')) {
      // By name anywhere in the text: too many at most. Of one built at run time the input is missing, an error.
      const words = new Set(source.match(/[A-Za-z_][A-Za-z0-9_]*/g));
      for (const used of variables.expressions)
        if (words.has(used.name)) for (const input of used.reads) reads.add(input);
    }
    return { name, program, reads };
  } catch (error) {
    if (error instanceof CelCompileError) {
      for (const issue of error.issues) collector.add(place.rule, place.expression, issue.message, issue);
    } else {
      // A fault of the compiler must not take the other policies down with it.
      collector.add(place.rule, place.expression, error instanceof Error ? error.message : String(error));
    }
    return undefined;
  }
}

export const CONDITION_TYPES: readonly CelType[] = [BOOL];
export const MESSAGE_TYPES: readonly CelType[] = [STRING];
