import { CelBudgetError } from './errors.ts';

export interface BudgetLimits {
  /** Cost one expression may have, as Kubernetes counts it. */
  readonly expressionCost?: number;
  /** Time one expression may take: cost does not bound time. */
  readonly expressionMilliseconds?: number;
  /** Cost of all expressions evaluated under this budget. */
  readonly totalCost?: number;
  readonly totalMilliseconds?: number;
}

/** Kubernetes' own per-expression and per-request limits of cost; the limits of time are ours. */
export const DEFAULT_LIMITS: Required<BudgetLimits> = {
  expressionCost: 1_000_000,
  expressionMilliseconds: 50,
  totalCost: 10_000_000,
  totalMilliseconds: 200,
};

/** Fuel burnt between two looks at the clock: a unit is about one step of a loop. */
const FUEL = 512;
/** Lazy variables inside lazy variables. */
const MAX_DEPTH = 32;

/** What an evaluation saves of the one it interrupts, as when a lazy variable is evaluated inside a condition. */
interface Frame {
  readonly cost: number;
  readonly counted: number;
  readonly costLimit: number;
  readonly started: number;
  readonly outer: Frame | undefined;
}

/**
 * What evaluations may spend. Make one per request and pass it to every `evaluate` of that request; its totals are
 * then the request's. Not shared between requests that run at the same time (evaluation is synchronous).
 */
export class Budget {
  readonly limits: Required<BudgetLimits>;
  /** Of the evaluation under way, or of the last one. */
  cost = 0;
  private costLimit = 0;
  /** Runs on from one evaluation to the next, so that many short ones are seen by the clock too. */
  private fuel = FUEL;
  /** When the evaluation under way first looked at the clock; 0 before. Most end before they do. */
  private started = 0;
  /** Of everything so far, but for what `cost` has beyond `counted`. */
  private spentCost = 0;
  private counted = 0;
  private spentMilliseconds = 0;
  private outer: Frame | undefined;
  private depth = 0;

  constructor(limits: BudgetLimits = {}) {
    this.limits = { ...DEFAULT_LIMITS, ...limits };
  }

  /** Cost of everything evaluated under this budget so far. */
  get totalCost(): number {
    return this.spentCost + (this.depth > 0 ? this.cost - this.counted : 0);
  }

  /** Called by the engine when an evaluation begins. */
  begin(): void {
    if (this.totalCost >= this.limits.totalCost) {
      throw new CelBudgetError('cost', 'the request has used up its cost of expressions');
    }
    if (this.spentMilliseconds >= this.limits.totalMilliseconds) {
      throw new CelBudgetError('time', 'the request has used up its time for expressions');
    }
    if (this.depth >= MAX_DEPTH) throw new CelBudgetError('cost', 'expressions call one another without end');
    if (this.depth > 0) {
      this.spentCost += this.cost - this.counted;
      this.counted = this.cost;
      const { cost, counted, costLimit, started, outer } = this;
      this.outer = { cost, counted, costLimit, started, outer };
    }
    this.depth++;
    this.cost = 0;
    this.counted = 0;
    this.started = 0;
    this.costLimit = Math.min(this.limits.expressionCost, this.limits.totalCost - this.spentCost);
  }

  /** Called by the engine when an evaluation ends, however it ends. */
  end(): void {
    this.spentCost += this.cost - this.counted;
    if (this.started !== 0 && this.depth === 1) this.spentMilliseconds += performance.now() - this.started;
    if (--this.depth === 0) {
      this.counted = this.cost;
      return;
    }
    const { outer, ...saved } = this.outer as Frame;
    this.outer = outer;
    this.cost = saved.cost;
    this.counted = saved.counted;
    this.costLimit = saved.costLimit;
    // The clock of the outer one runs on while the inner one works.
    this.started = saved.started || this.started;
  }

  charge(cost: number): void {
    this.cost += cost;
    if (this.cost > this.costLimit) this.overCost();
  }

  /** Counts work that may be long: loops of the language and of the library, by steps. */
  burn(steps: number): void {
    this.fuel -= steps;
    if (this.fuel < 0) this.lookAtTheClock();
  }

  /** Stops an allocation whose size an input decides, before it is made. */
  allocate(elements: number, limit: number): void {
    this.burn(elements >> 3);
    if (elements > limit) throw new CelBudgetError('cost', `operation cancelled: a value of ${elements} parts`);
  }

  /** Milliseconds that the evaluation under way may still take: for work that cannot be interrupted. */
  get millisecondsLeft(): number {
    const { expressionMilliseconds, totalMilliseconds } = this.limits;
    const left = Math.min(expressionMilliseconds, totalMilliseconds - this.spentMilliseconds);
    return this.started === 0 ? left : left - (performance.now() - this.started);
  }

  private overCost(): never {
    throw new CelBudgetError('cost', `operation cancelled: actual cost limit of ${this.costLimit} exceeded`);
  }

  private lookAtTheClock(): void {
    this.fuel = FUEL;
    if (this.started === 0) {
      this.started = performance.now();
      return;
    }
    if (this.millisecondsLeft < 0) {
      throw new CelBudgetError('time', `operation cancelled: longer than ${this.limits.expressionMilliseconds} ms`);
    }
  }
}
