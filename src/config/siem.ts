import * as z from 'zod';
import { duration } from './duration.ts';

const https = z.url({ protocol: /^https?$/ });

const webhook = z.strictObject({
  url: https.describe('Takes POSTs of JSON; https, or http on loopback.'),
  secretFile: z
    .string()
    .describe('Secret of the signature (Standard Webhooks), 24 bytes at least; read again when it changes.'),
  caFile: z.string().optional().describe('PEM; replaces the system’s authorities.'),
  bearerTokenFile: z.string().optional().describe('Token for the Authorization header; read again when it changes.'),
});

const syslog = z.strictObject({
  host: z.string().min(1).max(253).describe('Receiver of RFC 5424 over TLS.'),
  port: z.int().min(1).max(65_535).default(6_514).describe('Its port.'),
  caFile: z.string().optional().describe('PEM; replaces the system’s authorities.'),
  certFile: z.string().optional().describe('PEM: the gateway’s certificate for it.'),
  keyFile: z.string().optional().describe('PEM: its key.'),
});

const otlp = z.strictObject({
  endpoint: https.describe('The logs endpoint itself, e.g. `https://otel.shop.example:4318/v1/logs`.'),
  caFile: z.string().optional().describe('PEM; replaces the system’s authorities.'),
  bearerTokenFile: z.string().optional().describe('Token for the Authorization header; read again when it changes.'),
});

const stream = z
  .strictObject({
    name: z
      .string()
      .regex(/^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$/)
      .describe('For metrics, the log and the folder of its queue.'),
    format: z
      .enum(['Sallyport', 'KubernetesAudit', 'OCSF'])
      .default('Sallyport')
      .describe('The recording’s own events, Events of audit.k8s.io/v1, or OCSF API Activity (class 6003).'),
    stages: z
      .enum(['All', 'ResponseComplete'])
      .default('All')
      .describe('Whether events before the forward are sent too, or only what has ended.'),
    bodies: z.boolean().default(false).describe('Bodies of requests and answers too, as far as they are recorded.'),
    stdout: z.strictObject({}).optional().describe('Lines of JSON on standard output.'),
    webhook: webhook.optional().describe('Signed batches of JSON.'),
    syslog: syslog.optional().describe('RFC 5424 over TLS.'),
    otlp: otlp.optional().describe('OpenTelemetry logs, OTLP over HTTP in JSON.'),
    maxQueueBytes: z
      .int()
      .min(1 << 20)
      .default(256 << 20)
      .describe('Bytes that wait on disk while the receiver is away; beyond, new events are dropped and counted.'),
    batch: z.int().min(1).max(5_000).default(500).describe('Events sent at once.'),
    timeout: duration('15s', { min: '100ms', max: '5m' }).describe('For one batch.'),
  })
  .refine(
    ({ stdout, webhook: hook, syslog: log, otlp: otel }) =>
      [stdout, hook, log, otel].filter((one) => one !== undefined).length === 1,
    'name exactly one of stdout, webhook, syslog, otlp',
  )
  .refine(
    ({ syslog: log }) => (log?.certFile === undefined) === (log?.keyFile === undefined),
    'certFile and keyFile go together',
  );

/** Receivers of every event as it happens. */
export const siem = z
  .array(stream)
  .max(8)
  .refine((all) => new Set(all.map(({ name }) => name)).size === all.length, 'names must differ')
  .default([])
  .describe('Where every event goes as it happens: a SIEM.');

export type SiemStream = z.output<typeof stream>;
