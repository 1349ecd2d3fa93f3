import type { Registry } from 'prom-client';

/** What prom-client asks a metric for when it is scraped. */
interface Sample {
  readonly labels: Record<string, string | number>;
  readonly value: number;
  readonly metricName?: string;
}

/** Series of one metric at most: what callers can choose must not become memory. */
const MAX_SERIES = 2_000;
const SEPARATOR = '\u0000';
const OTHER = 'other';

/**
 * The cells of one metric by their label values. prom-client's own counters check and hash labels at every call, 1.5 µs
 * here for four labels; these do one look-up, and make prom-client's form when someone scrapes.
 */
abstract class Series<Cell> {
  readonly name: string;
  readonly help: string;
  readonly labels: readonly string[];
  readonly aggregator = 'sum';
  abstract readonly type: string;
  readonly #cells = new Map<string, Cell>();

  constructor(registry: Registry, name: string, help: string, labels: readonly string[]) {
    this.name = name;
    this.help = help;
    this.labels = labels;
    registry.registerMetric(this as never);
  }

  async get(): Promise<{ name: string; help: string; type: string; aggregator: string; values: Sample[] }> {
    const values: Sample[] = [];
    for (const [key, cell] of this.#cells) {
      const parts = this.labels.length === 0 ? [] : key.split(SEPARATOR);
      this.write(Object.fromEntries(this.labels.map((label, index) => [label, parts[index]!])), cell, values);
    }
    return { name: this.name, help: this.help, type: this.type, aggregator: this.aggregator, values };
  }

  reset(): void {
    this.#cells.clear();
  }

  protected cell(key: string): Cell {
    return this.#cells.get(key) ?? this.#add(key);
  }

  /** Over the bound everything new goes to one series. */
  #add(key: string): Cell {
    if (this.#cells.size >= MAX_SERIES) key = this.labels.map(() => OTHER).join(SEPARATOR);
    let cell = this.#cells.get(key);
    if (cell === undefined) this.#cells.set(key, (cell = this.empty()));
    return cell;
  }

  protected abstract empty(): Cell;
  protected abstract write(labels: Record<string, string>, cell: Cell, into: Sample[]): void;
}

/** A counter. Label values are given in the order of their names. */
export class Counter extends Series<{ value: number }> {
  readonly type = 'counter';

  inc(...values: string[]): void {
    this.add(1, ...values);
  }

  add(amount: number, ...values: string[]): void {
    this.cell(values.length === 0 ? '' : values.join(SEPARATOR)).value += amount;
  }

  /** Four labels, without making an array: the one counter of the hot path. */
  inc4(a: string, b: string, c: string, d: string): void {
    this.cell(`${a}${SEPARATOR}${b}${SEPARATOR}${c}${SEPARATOR}${d}`).value += 1;
  }

  protected empty() {
    return { value: 0 };
  }

  protected write(labels: Record<string, string>, cell: { value: number }, into: Sample[]): void {
    into.push({ labels, value: cell.value });
  }
}

/** A gauge that is set or moved. */
export class Gauge extends Series<{ value: number }> {
  readonly type = 'gauge';

  set(value: number, ...values: string[]): void {
    this.cell(values.join(SEPARATOR)).value = value;
  }

  add(amount: number, ...values: string[]): void {
    this.cell(values.join(SEPARATOR)).value += amount;
  }

  protected empty() {
    return { value: 0 };
  }

  protected write(labels: Record<string, string>, cell: { value: number }, into: Sample[]): void {
    into.push({ labels, value: cell.value });
  }
}

interface Distribution {
  /** One more than there are bounds: the last is +Inf. */
  readonly counts: Float64Array;
  sum: number;
}

/** A histogram of seconds with at most one label. */
export class Histogram extends Series<Distribution> {
  readonly type = 'histogram';
  readonly #bounds: readonly number[];

  constructor(registry: Registry, name: string, help: string, labels: readonly string[], bounds: readonly number[]) {
    super(registry, name, help, labels);
    this.#bounds = bounds;
  }

  observe(seconds: number, label = ''): void {
    const cell = this.cell(label);
    let index = 0;
    while (index < this.#bounds.length && seconds > this.#bounds[index]!) index++;
    cell.counts[index]! += 1;
    cell.sum += seconds;
  }

  protected empty(): Distribution {
    return { counts: new Float64Array(this.#bounds.length + 1), sum: 0 };
  }

  protected write(labels: Record<string, string>, cell: Distribution, into: Sample[]): void {
    let count = 0;
    for (const [index, own] of cell.counts.entries()) {
      count += own;
      const le = this.#bounds[index] ?? '+Inf';
      into.push({ metricName: `${this.name}_bucket`, labels: { ...labels, le }, value: count });
    }
    into.push({ metricName: `${this.name}_sum`, labels, value: cell.sum });
    into.push({ metricName: `${this.name}_count`, labels, value: count });
  }
}
