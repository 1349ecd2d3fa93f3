import { quantile } from './quantile.ts';

/** How numbers are written. `–` stands for what was not or could not be measured. */
export function number(value: number, digits: number): string {
  if (!Number.isFinite(value)) return '–';
  return value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** Of a difference. */
export function signed(value: number): string {
  return Number.isFinite(value) ? `${value < 0 ? '' : '+'}${number(value, 2)}` : '–';
}

/** From the lower to the upper quartile: how far apart the rounds were. */
export function spread(values: readonly number[], digits: number): string {
  const finite = values.filter((value) => Number.isFinite(value));
  if (finite.length < 2) return '–';
  return `${number(quantile(finite, 0.25), digits)} – ${number(quantile(finite, 0.75), digits)}`;
}

export function ratio(value: number): string {
  return Number.isFinite(value) ? `${number(value, 2)} ×` : '–';
}

export function percent(share: number): string {
  return Number.isFinite(share) ? `${share < 0 ? '' : '+'}${number(share * 100, 1)} %` : '–';
}

export function megabytes(bytes: number): string {
  return Number.isFinite(bytes) ? `${number(bytes / 1_048_576, 1)} MiB` : '–';
}

export function kilobytes(bytes: number): string {
  return Number.isFinite(bytes) ? `${number(bytes / 1_024, 1)} KiB` : '–';
}
