import * as z from 'zod';
import { admission } from './admission.ts';
import { approvals } from './approvals.ts';
import { certificates } from './certificates.ts';
import { controller } from './controller.ts';
import { identityMethods } from './identity.ts';
import { listen, probes } from './listen.ts';
import { masking } from './masking.ts';
import { notifications } from './notifications.ts';
import { recording } from './recording.ts';
import { sessions } from './sessions.ts';
import { tracing } from './tracing.ts';
import { limits, log, policy, shutdown, streams, upstream } from './upstream.ts';

const identity = z
  .intersection(
    identityMethods,
    z.strictObject({ sessions: sessions.prefault({}).describe('Agent sessions, and freezes.') }),
  )
  .describe('Who may call.');

/** The gateway's configuration file; docs/configuration.md describes every key and is checked against this. */
export const gateway = z.strictObject({
  listen: listen.describe('The port that agents and people connect to.'),
  probes: probes.prefault({}).describe('The port of /livez, /readyz and /metrics.'),
  upstream: upstream.prefault({}).describe('The API server behind the gate.'),
  audience: z
    .string()
    .min(1)
    .max(512)
    .default('sallyport')
    .describe('The audience of this gateway’s own tokens (agent sessions).'),
  identity,
  policy: policy.prefault({}).describe('How policies are loaded and asked.'),
  approvals: approvals.prefault({}).describe('How people are asked.'),
  admission: admission
    .optional()
    .describe('The webhook that asks the same policies inside the API server; absent: not served.'),
  certificates: certificates
    .optional()
    .describe('The controller’s own certificate authority. Absent: certificates come from elsewhere.'),
  recording: recording.prefault({}).describe('What is kept of what callers do.'),
  masking: masking.prefault({}).describe('What callers may write over what they may not see.'),
  limits: limits.prefault({}).describe('What one caller may take.'),
  streams: streams.prefault({}).describe('exec, attach, port-forward, watch, logs.'),
  controller: controller.prefault({}).describe('What one replica does for all: decisions, expiry, clean-up.'),
  notifications: notifications.prefault({}).describe('Who is told that a request waits for a person.'),
  shutdown: shutdown.prefault({}).describe('How the process stops.'),
  tracing: tracing.optional().describe('Traces to an OpenTelemetry collector. Absent: none.'),
  log: log.prefault({}).describe('The log, on standard output, one JSON object a line.'),
});

export type GatewayConfiguration = z.output<typeof gateway>;
