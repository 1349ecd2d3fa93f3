import { createHash } from 'node:crypto';
import { Agent, type Dispatcher, request } from 'undici';
import { signatureHeaders } from '../../observe/webhook-signature.ts';
import { faultOfStatus, type Sink, SinkError } from './sink.ts';

const MAX_ANSWER = 64 << 10;

export interface HttpSinkOptions {
  readonly url: string;
  /** PEM; replaces the system's authorities. */
  readonly ca: string | undefined;
  readonly contentType: string;
  /** The body of a batch. */
  readonly body: (events: readonly string[]) => string;
  /** Read for each batch: files are replaced while the process runs. */
  readonly headers: () => Readonly<Record<string, string>>;
  /** Secret of Standard Webhooks signatures; undefined: not signed. */
  readonly secret: (() => string) | undefined;
  /** @returns how many of the events the receiver's answer says that it did not take. */
  readonly rejected?: (answer: string) => number;
}

/** Posts batches. A batch that is sent again has the same id, so that a receiver can tell. */
export class HttpSink implements Sink {
  readonly #options: HttpSinkOptions;
  readonly #agent: Agent;

  constructor(options: HttpSinkOptions) {
    this.#options = options;
    this.#agent = new Agent({
      connections: 2,
      allowH2: false,
      connect: { timeout: 5_000, ...(options.ca === undefined ? {} : { ca: options.ca }) },
    });
  }

  async send(events: readonly string[], signal: AbortSignal): Promise<number> {
    const { url, contentType, body: bodyOf, headers, secret, rejected } = this.#options;
    const body = bodyOf(events);
    const id = `msg_${createHash('sha256').update(body).digest('hex').slice(0, 32)}`;
    const signature = secret === undefined ? {} : signatureHeaders(id, Math.floor(Date.now() / 1_000), body, secret());
    let answer: Dispatcher.ResponseData;
    let text = '';
    try {
      answer = await request(url, {
        method: 'POST',
        body,
        // Redirects are not followed: what was recorded is meant for one receiver.
        headers: { 'content-type': contentType, 'user-agent': 'sallyport', ...headers(), ...signature },
        dispatcher: this.#agent,
        signal,
      });
      for await (const chunk of answer.body) {
        if (text.length < MAX_ANSWER) text += (chunk as Buffer).toString('utf8');
      }
    } catch (error) {
      const { code, name } = error as NodeJS.ErrnoException;
      throw new SinkError('Later', `${new URL(url).host}: ${signal.aborted ? 'no answer in time' : (code ?? name)}`);
    }
    const { statusCode } = answer;
    if (statusCode >= 200 && statusCode < 300) {
      // What it took in part must not be sent again.
      return Math.min(rejected?.(text) ?? 0, events.length);
    }
    const wait = Number(answer.headers['retry-after'] ?? 0) * 1_000;
    throw new SinkError(faultOfStatus(statusCode), `${new URL(url).host} answered ${statusCode}`, wait > 0 ? wait : 0);
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }
}

/** A webhook's batch: `{"type": "recording.events", "data": {"events": […]}}`. */
export function webhookBody(events: readonly string[]): string {
  return `{"type":"recording.events","data":{"events":[${events.join(',')}]}}`;
}
