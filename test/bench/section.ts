export interface Table {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** A promise about speed or memory, and what came of it. */
export interface Must {
  readonly what: string;
  readonly measured: string;
  readonly pass: boolean;
}

/** What one part of the benchmark found out. */
export interface Section {
  readonly title: string;
  /** How it was measured, and what was left out and why. */
  readonly notes: readonly string[];
  readonly tables: readonly Table[];
  /** What another program has printed, as it printed it. */
  readonly printed?: readonly string[];
  readonly musts: readonly Must[];
}
