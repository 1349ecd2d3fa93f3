import * as z from 'zod';

/** What callers may write over what they may not see (docs/masking.md). */
export const masking = z.strictObject({
  literalWrites: z
    .strictObject({
      perHour: z
        .int()
        .min(0)
        .max(10_000)
        .default(5)
        .describe(
          'New values that one caller may write over masked ones of one object in an hour, at all replicas together.',
        ),
      replicas: z
        .int()
        .min(1)
        .max(1_000)
        .default(1)
        .describe(
          'Replicas among which these are divided, rounded down: none knows of what the others count. With more replicas than writes there are none.',
        ),
      remembered: z
        .int()
        .min(100)
        .max(1_000_000)
        .default(50_000)
        .describe('Pairs of caller and object whose writes are remembered; beyond it a new pair is refused.'),
    })
    .prefault({})
    .describe('Each such write tells whether the value was the same; so they are counted.'),
});
