import { readFileSync } from 'node:fs';
import type { WebhookConfiguration } from '../config/notifications.ts';
import { ReloadedFile } from '../kubernetes/reloaded-file.ts';
import { SHORTEST_WEBHOOK_SECRET, signatureHeaders, webhookSecret } from '../observe/webhook-signature.ts';
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
        if (webhookSecret(text).length >= SHORTEST_WEBHOOK_SECRET) return;
        throw new Error(`${secretFile}: a secret of less than ${SHORTEST_WEBHOOK_SECRET} bytes`);
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
