import * as z from 'zod';
import { duration } from './duration.ts';

/** How requests are held and asked about (docs/approvals.md). */
export const approvals = z.strictObject({
  holdsPerCaller: z
    .int()
    .min(0)
    .max(1_000)
    .default(10)
    .describe('Connections of one caller that wait for a person at once; a further one is refused at once.'),
  pendingPerCaller: z
    .int()
    .min(1)
    .max(10_000)
    .default(50)
    .describe('Requests of one caller that wait for a person; what comes beyond is refused and not asked about.'),
  requestsPerCaller: z
    .int()
    .min(1)
    .max(20_000)
    .default(1_000)
    .describe('ApprovalRequest objects of one caller, ended ones among them until the controller removes them.'),
  maxRequests: z
    .int()
    .min(100)
    .max(45_000)
    .default(20_000)
    .describe('ApprovalRequest objects in the cluster, ended ones among them; beyond it nobody is asked anything.'),
  retryAfter: duration('10m', { min: '1s', max: '24h' }).describe(
    'What was denied, or not decided or used in time, can be asked again after this.',
  ),
  streamLimit: duration('15m', { min: '10s', max: '24h' }).describe(
    'An approved exec or attach with input or a terminal ends after this.',
  ),
  staleAfter: duration('30s', { min: '5s', max: '10m' }).describe(
    'Without a sign of life from the watch on approvals for this long, whatever needs one is refused.',
  ),
  diffDirectory: z
    .string()
    .min(1)
    .optional()
    .describe(
      'Directory for diffs over 64 KiB; absent: such a diff is not kept, and approving without it takes allowTruncated.',
    ),
});
