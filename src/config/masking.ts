import { z } from 'zod';

/** What callers may write over what they may not see (docs/masking.md). */
export const masking = z.strictObject({
  literalWrites: z
    .strictObject({
      perHour: z
        .int()
        .min(0)
        .max(10_000)
        .default(5)
        .describe('New values that one caller may write over masked ones of one object in an hour, at each replica.'),
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
