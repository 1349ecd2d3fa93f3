import { z } from 'zod';

const UNITS: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/**
 * Reads a duration as Go writes it (`1h30m`, `250ms`).
 * @returns milliseconds, or undefined when the text is not one.
 */
export function parseDuration(text: string): number | undefined {
  if (!/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(text)) return undefined;
  let total = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)) total += Number(amount) * UNITS[unit!]!;
  return total;
}

/** A duration in the configuration; its parsed value is in milliseconds. */
export function duration(fallback: string, bounds: { min?: string; max?: string } = {}) {
  const min = parseDuration(bounds.min ?? '0s')!;
  const max = parseDuration(bounds.max ?? '8760h')!;
  return z
    .string()
    .default(fallback)
    .transform((text, context) => {
      const value = parseDuration(text);
      if (value === undefined) {
        context.addIssue({ code: 'custom', message: `expected a duration such as 30s, 15m or 1h30m, got "${text}"` });
        return z.NEVER;
      }
      if (value < min || value > max) {
        context.addIssue({
          code: 'custom',
          message: `expected a duration from ${bounds.min ?? '0s'} to ${bounds.max ?? '8760h'}, got "${text}"`,
        });
        return z.NEVER;
      }
      return value;
    });
}
