/** The value below which `share` (0 to 1) of the values lie; NaN of none. */
export function quantile(values: readonly number[] | Float64Array, share: number): number {
  if (values.length === 0) return Number.NaN;
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))]!;
}

/** The middle one, or the mean of the two middle ones, of those that are numbers. NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = Float64Array.from(values.filter((value) => !Number.isNaN(value))).sort();
  if (sorted.length === 0) return Number.NaN;
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/**
 * The median of the ratios of what was measured in the same round: what else the machine did in that round is in both.
 * Rounds in which one of the two is missing do not count.
 */
export function medianRatio(numerators: readonly number[], denominators: readonly number[]): number {
  const ratios: number[] = [];
  for (const [round, numerator] of numerators.entries()) {
    const denominator = denominators[round];
    if (denominator !== undefined && denominator > 0 && Number.isFinite(numerator))
      ratios.push(numerator / denominator);
  }
  return median(ratios);
}
