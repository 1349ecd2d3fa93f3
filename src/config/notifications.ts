import * as z from 'zod';
import { duration } from './duration.ts';

const name = z
  .string()
  .regex(/^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$/)
  .describe('Names it in conditions, metrics and the log.');
const includeDiff = z
  .boolean()
  .default(false)
  .describe('Send the change too. It leaves the cluster with that; values of Secrets are hidden as ever.');
const file = z.string().min(1);
const caFile = file.optional().describe('PEM; replaces the system’s authorities.');

const slack = z.strictObject({
  name: name.default('slack'),
  webhookURLFile: file.describe(
    'File that holds the URL of the incoming webhook, which is a secret. Re-read when it changes.',
  ),
  includeDiff,
});

const webhook = z.strictObject({
  name: name.default('webhook'),
  url: z.url().max(2_048).describe('Where to POST; https, or http to loopback.'),
  secretFile: file.describe(
    'File that holds the secret of the signature (Standard Webhooks: `whsec_` and base64, or any text of 24 bytes and more). Re-read when it changes.',
  ),
  caFile,
  includeDiff,
});

const address = z
  .string()
  .max(320)
  .regex(/^[^\s<>"'@,;:\\]+@[A-Za-z0-9.[\]:-]+$/, 'a plain address, person@shop.example');

const email = z
  .strictObject({
    name: name.default('email'),
    host: z.string().min(1).max(253).describe('SMTP server.'),
    port: z.int().min(1).max(65_535).default(587).describe('Its port.'),
    tls: z
      .enum(['StartTLS', 'Implicit', 'None'])
      .default('StartTLS')
      .describe('StartTLS is demanded, never only tried; None only to loopback.'),
    caFile,
    username: z.string().min(1).max(256).optional().describe('Where the server wants a sign-in.'),
    passwordFile: file.optional().describe('File that holds the password. Re-read when it changes.'),
    from: address.describe('Sender.'),
    to: z.array(address).min(1).max(50).describe('Who is told.'),
    includeDiff,
  })
  .superRefine((channel, context) => {
    if ((channel.username === undefined) !== (channel.passwordFile === undefined)) {
      context.addIssue({ code: 'custom', path: ['passwordFile'], message: 'username and passwordFile go together' });
    }
    if (channel.tls === 'None' && !LOOPBACK.has(channel.host)) {
      context.addIssue({ code: 'custom', path: ['tls'], message: 'without TLS only to loopback' });
    }
  });

export const LOOPBACK: ReadonlySet<string> = new Set(['127.0.0.1', '::1', '[::1]', 'localhost']);

/** Why nothing must be sent to `text`, or undefined: https, or http to loopback; never with a user in it. */
export function targetProblem(text: string): string | undefined {
  const url = URL.parse(text);
  if (url === null) return 'not a URL';
  if (url.username !== '' || url.password !== '') return 'no user information in a URL';
  if (url.protocol === 'https:' || (url.protocol === 'http:' && LOOPBACK.has(url.hostname))) return undefined;
  return 'https only (http to loopback)';
}

/** Who is told that a request waits for a person (docs/notifications.md). Durations are milliseconds once parsed. */
export const notifications = z
  .strictObject({
    linkURL: z
      .string()
      .max(1_024)
      .optional()
      .describe('Link in messages; `{namespace}` and `{name}` are put in. Absent: none, only the command.'),
    gather: duration('2s', { min: '0s', max: '1m' }).describe(
      'Requests of one agent session that come within this are one message.',
    ),
    events: z.boolean().default(true).describe('Kubernetes Events on ApprovalRequests, with names only.'),
    slack: z.array(slack).max(8).default([]).describe('Slack incoming webhooks.'),
    webhooks: z.array(webhook).max(8).default([]).describe('JSON to any HTTP server, signed.'),
    email: z.array(email).max(8).default([]).describe('E-mail.'),
  })
  .superRefine((all, context) => {
    const names = [...all.slack, ...all.webhooks, ...all.email].map((channel) => channel.name);
    if (new Set(names).size !== names.length)
      context.addIssue({ code: 'custom', message: 'names of channels must be unique' });
    for (const [index, { url }] of all.webhooks.entries()) {
      const problem = targetProblem(url);
      if (problem) context.addIssue({ code: 'custom', path: ['webhooks', index, 'url'], message: problem });
    }
    if (all.linkURL !== undefined) {
      const problem = targetProblem(all.linkURL.replaceAll(/\{(namespace|name)\}/g, 'x'));
      if (problem) context.addIssue({ code: 'custom', path: ['linkURL'], message: problem });
    }
  });

export type NotificationsConfiguration = z.output<typeof notifications>;
export type SlackConfiguration = z.output<typeof slack>;
export type WebhookConfiguration = z.output<typeof webhook>;
export type EmailConfiguration = z.output<typeof email>;
