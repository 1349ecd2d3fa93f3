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

/**
 * What evaluations may spend. Make one per request and pass it to every `evaluate` of that request; its totals are
 * then the request's. Not shared between requests that run at the same time (evaluation is synchronous).
 */
export class Budget {
  readonly limits: Required<BudgetLimits>;
  /** Of the evaluation under way, or of the last one. */
  cost = 0;
  private fuel = FUEL;
  private costBefore = 0;
  private millisecondsBefore = 0;
  private costLimit = 0;
  private started = 0;
  private deadline = 0;

  constructor(limits: BudgetLimits = {}) {
    this.limits = { ...DEFAULT_LIMITS, ...limits };
  }

  /** Cost of everything evaluated under this budget so far. */
  get totalCost(): number {
    return this.costBefore + this.cost;
  }

  /** Called by the engine when an evaluation begins. */
  begin(): void {
    this.costBefore += this.cost;
    this.cost = 0;
    this.fuel = FUEL;
    this.costLimit = Math.min(this.limits.expressionCost, this.limits.totalCost - this.costBefore);
    this.started = performance.now();
    const left = this.limits.totalMilliseconds - this.millisecondsBefore;
    this.deadline = this.started + Math.min(this.limits.expressionMilliseconds, left);
    if (this.costLimit < 0) throw new CelBudgetError('cost', 'the request has used up its cost of expressions');
    if (left <= 0) throw new CelBudgetError('time', 'the request has used up its time for expressions');
  }

  /** Called by the engine when an evaluation ends, however it ends. */
  end(): void {
    this.millisecondsBefore += performance.now() - this.started;
  }

  charge(cost: number): void {
    this.cost += cost;
    if (this.cost > this.costLimit) {
      throw new CelBudgetError('cost', `operation cancelled: actual cost limit of ${this.costLimit} exceeded`);
    }
  }

  /** Counts work that may be long: loops of the language and of the library, by steps. */
  burn(steps: number): void {
    this.fuel -= steps;
    if (this.fuel < 0) this.lookAtTheClock();
  }

  private lookAtTheClock(): void {
    this.fuel = FUEL;
    if (performance.now() > this.deadline) {
      throw new CelBudgetError('time', `operation cancelled: longer than ${this.limits.expressionMilliseconds} ms`);
    }
  }
}
