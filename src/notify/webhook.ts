import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { WebhookConfiguration } from '../config/notifications.ts';
import { ReloadedFile } from '../kubernetes/reloaded-file.ts';
import type { Channel } from './channel.ts';
import { HttpPost } from './http-post.ts';
import type { Message, Notice } from './notice.ts';

/** JSON to any HTTP server, signed as Standard Webhooks says: existing libraries can verify it. */
export class Webhook implements Channel {
  readonly kind = 'Webhook';
  readonly name: string;
  readonly #url: string;
  readonly #secret: ReloadedFile;
  readonly #post: HttpPost;
  readonly #includeDiff: boolean;

  /** @throws Error where a file cannot be read, or the secret is too short */
  constructor({ name, url, secretFile, caFile, includeDiff }: WebhookConfiguration) {
    this.name = name;
    this.#url = url;
    this.#includeDiff = includeDiff;
    this.#post = new HttpPost(caFile === undefined ? undefined : readFileSync(caFile, 'utf8'));
    this.#secret = new ReloadedFile(secretFile, {
      validate: (text) => {
        if (secretBytes(text).length < 24) throw new Error(`${secretFile}: a secret of less than 24 bytes`);
      },
    });
  }

  async send(message: Message, signal: AbortSignal): Promise<void> {
    const body = JSON.stringify(webhookBody(message, this.#includeDiff));
    const headers = signatureHeaders(message.id, Math.floor(Date.now() / 1000), body, this.#secret.current());
    await this.#post.send(this.#url, body, headers, signal);
  }

  close(): Promise<void> {
    return this.#post.close();
  }
}

/** Standard Webhooks 1.0: HMAC-SHA-256 over `id.timestamp.body`. @param timestamp seconds */
export function signatureHeaders(id: string, timestamp: number, body: string, secret: string): Record<string, string> {
  const mac = createHmac('sha256', secretBytes(secret)).update(`${id}.${timestamp}.${body}`).digest('base64');
  return { 'webhook-id': id, 'webhook-timestamp': String(timestamp), 'webhook-signature': `v1,${mac}` };
}

function secretBytes(text: string): Buffer {
  const secret = text.trim();
  return secret.startsWith('whsec_')
    ? Buffer.from(secret.slice('whsec_'.length), 'base64')
    : Buffer.from(secret, 'utf8');
}

/** docs/notifications.md has the fields. */
export function webhookBody({ time, notices }: Message, includeDiff: boolean): object {
  return {
    type: 'approval.requested',
    timestamp: time.toISOString(),
    data: { requests: notices.map((notice) => requestFields(notice, includeDiff)) },
  };
}

function requestFields({ diff, summary, ...rest }: Notice, includeDiff: boolean): object {
  return {
    ...rest,
    summary: summary.join('\n'),
    ...(includeDiff && diff !== undefined ? { diff: diff.map((line) => `${line}\n`).join('') } : {}),
  };
}
