import type { Bed } from './bed.ts';
import type { Section } from './section.ts';

/** One part of the benchmark: a table or two, and the promises that they bear out. */
export interface Part {
  /** As `BENCH_ONLY` names it. */
  readonly key: string;
  /** Only when it is named: it takes too long for every run. */
  readonly byName: boolean;
  /** @param quick a smoke run: that everything works, not what it costs */
  measure(bed: Bed, quick: boolean): Promise<Section>;
}

/**
 * A part in its own words of size: rounds, seconds, bytes. To add one, write a file of it and name it in parts.ts.
 * @param sizes `full` may speak for the project; `quick` is over in seconds
 */
export function part<Size>(
  key: string,
  sizes: { readonly full: Size; readonly quick: Size },
  run: (bed: Bed, size: Size) => Promise<Section>,
  { byName = false }: { readonly byName?: boolean } = {},
): Part {
  return { key, byName, measure: (bed, quick) => run(bed, quick ? sizes.quick : sizes.full) };
}
