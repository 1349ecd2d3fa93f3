import type { Masked } from '../../masking/mask-plan.ts';
import type { Metrics } from '../../observe/metrics.ts';

interface Count {
  readonly rule: string;
  readonly kind: string;
  count: number;
}

/** How often something was masked in one exchange, by rule and kind. */
export class MaskCounts {
  readonly #counts = new Map<string, Count>();
  /** What was counted last: most often it comes again. */
  #last: Count | undefined;

  add({ rule, kind }: Masked): void {
    if (this.#last?.rule === rule && this.#last.kind === kind) {
      this.#last.count++;
      return;
    }
    const key = `${rule}\0${kind}`;
    const known = this.#counts.get(key);
    if (known === undefined) this.#counts.set(key, (this.#last = { rule, kind, count: 1 }));
    else {
      known.count++;
      this.#last = known;
    }
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
