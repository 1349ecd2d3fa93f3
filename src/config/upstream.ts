import * as z from 'zod';
import { duration } from './duration.ts';

/** The API server behind the gate. */
export const upstream = z.strictObject({
  kubeconfig: z
    .string()
    .optional()
    .describe('Kubeconfig with the gateway’s own account; absent: the in-cluster ServiceAccount.'),
  context: z.string().optional().describe('Context of that kubeconfig; absent: its current one.'),
  namespace: z
    .string()
    .regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/)
    .default('sallyport-system')
    .describe('The gateway’s namespace: sessions, keys; closed to every governed caller by bedrock.'),
  maxConnections: z
    .int()
    .min(1)
    .max(65_535)
    .default(4_096)
    .describe('Connections to the API server at most: so many for reads, so many for all else; watches share a few.'),
  connectTimeout: duration('5s', { min: '100ms', max: '1m' }).describe('TCP and TLS to the API server.'),
  requestTimeout: duration('65s', { min: '1s', max: '10m' }).describe(
    'From the request’s last byte to the answer’s first; never applies to a watch, a log or a stream once it answers.',
  ),
});

/** How streams (exec, attach, port-forward, watch, logs) live and end. */
export const streams = z.strictObject({
  pingInterval: duration('20s', { min: '1s', max: '5m' }).describe('Ping on streams that are quiet.'),
  maxPortStreams: z.int().min(1).max(10_000).default(256).describe('Connections through one port-forward at once.'),
  maxDuration: duration('4h', { min: '1m', max: '72h' }).describe('No upgraded stream lives longer.'),
});

/** What one caller may take. */
export const limits = z.strictObject({
  requestsPerSecond: z.number().positive().default(50).describe('Sustained rate of one caller.'),
  burst: z.int().min(1).default(200).describe('Requests at once above the rate.'),
  parallelRequests: z.int().min(1).default(200).describe('Requests under way, watches among them.'),
  parallelStreams: z.int().min(1).default(50).describe('Upgraded streams (exec, attach, port-forward) at once.'),
  bytesHeld: z
    .int()
    .min(3 << 20)
    .default(32 << 20)
    .describe('Bytes of bodies held in memory for decisions.'),
  callers: z.int().min(100).default(10_000).describe('Callers remembered; the longest unseen is forgotten first.'),
});

export const policy = z.strictObject({
  defaultEnforcement: z
    .enum(['Enforce', 'Audit'])
    .default('Enforce')
    .describe(
      'Audit lets callers through whom no Enforce policy names, except into what bedrock closes and what a rule must name: for roll-out only; a permanent warning in metrics.',
    ),
  staleAfter: duration('2m', { min: '10s', max: '30m' }).describe(
    'Without a sign of life from the policy watch for this long, every request is refused.',
  ),
  celDeadline: duration('100ms', { min: '5ms', max: '5s' }).describe('Time for all expressions of one request.'),
});

export const shutdown = z.strictObject({
  readyDelay: duration('3s', { max: '1m' }).describe('From "not ready" to the first refused connection.'),
  drainTimeout: duration('30s', { max: '10m' }).describe('For requests under way.'),
  streamDeadline: duration('20s', { max: '1h' }).describe('For streams, after which they end with a message.'),
});

export const log = z.strictObject({
  level: z.enum(['trace', 'debug', 'info', 'warn', 'error']).default('info').describe('Log level.'),
});
