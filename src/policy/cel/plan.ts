import type { Budget } from './budget.ts';
import type { CelValue, Lazy } from './values.ts';

/** What one evaluation works with. */
export class Frame {
  readonly activation: Readonly<Record<string, CelValue | Lazy>>;
  readonly budget: Budget;
  /** Variables of macros, by the slot that the compiler gave them. */
  readonly locals: CelValue[];

  constructor(activation: Readonly<Record<string, CelValue | Lazy>>, budget: Budget, slots: number) {
    this.activation = activation;
    this.budget = budget;
    this.locals = new Array<CelValue>(slots).fill(null);
  }
}

/** A compiled part: gives its value, or a `Fault`; charges what it costs. */
export type Run = (frame: Frame) => CelValue;

export interface Plan {
  readonly run: Run;
  /** The value, where it is known when compiling. Costs nothing. */
  readonly constant?: CelValue;
}

export const constantPlan = (value: CelValue): Plan => ({ run: () => value, constant: value });
