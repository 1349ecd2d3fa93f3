import { Budget } from './budget.ts';
import { check, type Mistake } from './checker.ts';
import { Compiler } from './compile.ts';
import { ConstantError } from './constant-error.ts';
import { scopeOf } from './environment.ts';
import { CelCompileError, CelRuntimeError } from './errors.ts';
import { checkLiterals } from './literal-checks.ts';
import { parse } from './parser.ts';
import { Frame, type Run } from './plan.ts';
import { Source } from './source.ts';
import type { CelType } from './types.ts';
import { type CelValue, Fault, type Lazy } from './values.ts';

/** Mistakes that are reported of one expression: a hostile one could have a hundred thousand. */
const MAX_ISSUES = 20;

export { Budget, type BudgetLimits, DEFAULT_LIMITS } from './budget.ts';
export { CelBudgetError, CelCompileError, CelRuntimeError, type CompileIssue, type Position } from './errors.ts';
export { fromJson, parseJson } from './json.ts';
export {
  BOOL,
  BYTES,
  type CelType,
  DOUBLE,
  DURATION,
  DYN,
  formatType,
  INT,
  listOf,
  mapOf,
  NULL,
  objectOf,
  optionalOf,
  STRING,
  TIMESTAMP,
  UINT,
} from './types.ts';
export {
  type AnyMap,
  CelBytes,
  CelDouble,
  CelMap,
  CelOptional,
  CelUint,
  type CelValue,
  fault,
  isMap,
  Lazy,
  LazyMap,
  mapEntries,
  mapGet,
  mapKeys,
  mapSize,
} from './values.ts';

/** A function of the embedding program, such as `images(object)`. */
export interface CustomFunction {
  /** May be qualified (`sallyport.images`) where it is not a member. */
  readonly name: string;
  /** `pod.images()` instead of `images(pod)`: the receiver is the first parameter. */
  readonly member?: boolean;
  readonly parameters: readonly CelType[];
  readonly result: CelType;
  /** Pure. Arguments are never errors. Give `budget.burn(steps)` the work of a loop that an input can make long. */
  readonly implementation: (args: readonly CelValue[], budget: Budget) => CelValue | Fault;
  /** Cost by Kubernetes' measure (1 is about one step), charged before the call; 1 where not given. */
  readonly cost?: (args: readonly CelValue[]) => number;
}

export interface Environment {
  readonly variables: Readonly<Record<string, CelType>>;
  readonly functions?: readonly CustomFunction[];
}

export type Activation = Readonly<Record<string, CelValue | Lazy>>;

export interface Program {
  readonly source: string;
  readonly resultType: CelType;
  /** Declared variables that the expression reads: what of `object`, `oldObject`, `target`, … must be fetched. */
  readonly references: ReadonlySet<string>;
  /**
   * Synchronous. A declared variable that the activation lacks is a `CelRuntimeError` when read.
   * @throws CelRuntimeError the expression has no answer
   * @throws CelBudgetError stopped; the request is to be refused
   */
  evaluate(activation: Activation, budget?: Budget): CelValue;
}

/**
 * Compiles once; the program may be evaluated any number of times.
 * @throws CelCompileError with every mistake, line and column
 */
export function compile(source: string, environment: Environment): Program {
  const text = new Source(source);
  const root = parse(text);
  const checked = check(root, scopeOf(environment));
  const mistakes = checked.mistakes.length > 0 ? checked.mistakes : checkLiterals(root, checked);
  if (mistakes.length > 0) throw compileError(text, mistakes);

  const compiler = new Compiler(checked);
  let run: Run;
  try {
    ({ run } = compiler.compile(root));
  } catch (error) {
    if (!(error instanceof ConstantError)) throw error;
    throw compileError(text, [{ offset: error.node.offset, message: error.message }]);
  }
  return {
    source,
    resultType: checked.types.get(root)!,
    references: checked.references,
    evaluate: (activation, budget = new Budget()) => evaluate(run, compiler.slots, activation, budget),
  };
}

function evaluate(run: Run, slots: number, activation: Activation, budget: Budget): CelValue {
  budget.begin();
  try {
    const value = run(new Frame(activation, budget, slots));
    if (value instanceof Fault) throw new CelRuntimeError(value.message);
    return value;
  } finally {
    budget.end();
  }
}

function compileError(source: Source, mistakes: readonly Mistake[]): CelCompileError {
  const inOrder = mistakes.toSorted((a, b) => a.offset - b.offset).slice(0, MAX_ISSUES);
  const [first, ...rest] = inOrder.map(({ offset, message }) => ({ message, ...source.position(offset) }));
  return new CelCompileError([first!, ...rest]);
}
