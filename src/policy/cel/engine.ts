import type { Budget } from './budget.ts';
import type { CelType } from './types.ts';
import type { CelValue, Fault } from './values.ts';

export { Budget, type BudgetLimits, DEFAULT_LIMITS } from './budget.ts';
export { CelBudgetError, CelCompileError, CelRuntimeError, type CompileIssue, type Position } from './errors.ts';
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

/** A value that is worked out at the first use, once for all expressions that share the activation. */
export class Lazy {
  private thunk: (() => CelValue) | undefined;
  private known: CelValue | undefined;
  constructor(thunk: () => CelValue) {
    this.thunk = thunk;
  }
  get(): CelValue {
    if (this.known === undefined) {
      this.known = this.thunk?.() ?? null;
      this.thunk = undefined;
    }
    return this.known;
  }
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
export function compile(_source: string, _environment: Environment): Program {
  throw new Error('the engine is being built');
}
