import * as z from 'zod';

/** Traces to an OpenTelemetry collector: `tracing`. Absent: none, and nothing of it is loaded. */
export const tracing = z.strictObject({
  endpoint: z
    .url({ protocol: /^https?$/ })
    .describe('OTLP over HTTP, with its path: http://collector.observability:4318/v1/traces.'),
  sampleRatio: z
    .number()
    .min(0)
    .max(1)
    .default(0.05)
    .describe(
      'Part of the requests that is traced, by their trace id; what a caller’s `traceparent` says of it is not heeded.',
    ),
  headersFile: z
    .string()
    .optional()
    .describe('JSON object of headers for the collector (an API key); read at the start.'),
  timeout: z.int().min(100).max(60_000).default(5_000).describe('Milliseconds for one batch.'),
});

export type TracingConfiguration = z.output<typeof tracing>;
