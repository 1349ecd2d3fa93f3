/** How numbers are written. `–` stands for what was not or could not be measured. */
export function number(value: number, digits: number): string {
  if (!Number.isFinite(value)) return '–';
  return value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
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
