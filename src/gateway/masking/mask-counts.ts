import type { Masked } from '../../masking/mask-plan.ts';
import type { Metrics } from '../../observe/metrics.ts';

/** How often something was masked in one exchange, by rule and kind. */
export class MaskCounts {
  readonly #counts = new Map<string, { readonly rule: string; readonly kind: string; count: number }>();

  add({ rule, kind }: Masked): void {
    const key = `${rule}\0${kind}`;
    const known = this.#counts.get(key);
    if (known === undefined) this.#counts.set(key, { rule, kind, count: 1 });
    else known.count++;
  }

  get size(): number {
    return this.#counts.size;
  }

  /** As the decision log has it. */
  list(): readonly { readonly rule: string; readonly kind: string; readonly count: number }[] {
    return [...this.#counts.values()];
  }

  report(metrics: Pick<Metrics, 'masked'>): void {
    for (const { rule, kind, count } of this.#counts.values()) metrics.masked(rule, kind, count);
  }
}
