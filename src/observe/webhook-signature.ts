import { createHmac } from 'node:crypto';

/** Bytes of a secret at least: shorter ones can be guessed. */
export const SHORTEST_WEBHOOK_SECRET = 24;

/** Standard Webhooks 1.0: HMAC-SHA-256 over `id.timestamp.body`. @param timestamp seconds */
export function signatureHeaders(id: string, timestamp: number, body: string, secret: string): Record<string, string> {
  const mac = createHmac('sha256', webhookSecret(secret)).update(`${id}.${timestamp}.${body}`).digest('base64');
  return { 'webhook-id': id, 'webhook-timestamp': String(timestamp), 'webhook-signature': `v1,${mac}` };
}

/** `whsec_` and base64, or the text itself. */
export function webhookSecret(text: string): Buffer {
  const secret = text.trim();
  return secret.startsWith('whsec_')
    ? Buffer.from(secret.slice('whsec_'.length), 'base64')
    : Buffer.from(secret, 'utf8');
}
