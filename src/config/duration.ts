import * as z from 'zod';
import { parseDuration } from './duration-text.ts';

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
