/**
 * Of every process in the image.
 *
 * V8 is told that the machine is small, as most Pods are: one thread for its collector and compilers (with four of them on two cores
 * a collection waits for threads that wait for cores, and everybody waits for the collection), and a nursery that cannot grow to
 * 32 MB. Measured in ADR 0072.
 */
export const ENVIRONMENT = {
  NODE_ENV: 'production',
  // Authorities that are mounted over the image's count too, beside those that Node.js brings.
  NODE_USE_SYSTEM_CA: '1',
  NODE_OPTIONS: '--max-semi-space-size=4 --v8-pool-size=1',
} as const;
