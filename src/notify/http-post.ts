import { Agent, type Dispatcher, request } from 'undici';
import { DeliveryError, deliveryError } from './channel.ts';

/** An answer of nobody's interest is not read to its end. */
const MAX_ANSWER = 4_096;

/** Posts JSON; redirects are not followed, since a message is meant for one receiver. */
export class HttpPost {
  readonly #agent: Agent;

  /** @param ca PEM */
  constructor(ca?: string) {
    this.#agent = new Agent({
      connect: { timeout: 5_000, ...(ca === undefined ? {} : { ca }) },
      headersTimeout: 10_000,
      bodyTimeout: 10_000,
      connections: 4,
    });
  }

  /** @throws DeliveryError for anything but 2xx */
  async send(url: string, body: string, headers: Record<string, string>, signal: AbortSignal): Promise<void> {
    let answer: Dispatcher.ResponseData;
    try {
      answer = await request(url, {
        method: 'POST',
        body,
        headers: { 'content-type': 'application/json', 'user-agent': 'sallyport', ...headers },
        dispatcher: this.#agent,
        signal,
      });
      await answer.body.dump({ limit: MAX_ANSWER, signal });
    } catch (error) {
      throw deliveryError(error);
    }
    if (answer.statusCode >= 200 && answer.statusCode < 300) return;
    const seconds = Number(answer.headers['retry-after']);
    throw new DeliveryError(`HTTP ${answer.statusCode}`, seconds > 0 ? seconds * 1000 : undefined);
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }
}
