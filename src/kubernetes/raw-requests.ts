import type { IncomingMessage } from 'node:http';
import { type RequestOptions, request } from 'node:https';
import { KubeConfig } from '@kubernetes/client-node';

export interface RawAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: Buffer;
}

const MAX_ANSWER = 64 << 20;
const TIMEOUT = 60_000;

/** Requests as they are given, with a person's own kubeconfig (exec plugins of cloud providers included), to its API server. */
export class RawRequests {
  readonly #config = new KubeConfig();

  /** @throws Error naming the file or context that is not there, or a server that is not https */
  constructor(options: { readonly kubeconfig: string; readonly context?: string | undefined }) {
    this.#config.loadFromFile(options.kubeconfig);
    if (options.context !== undefined) {
      if (this.#config.getContextObject(options.context) === null) {
        throw new Error(`there is no context "${options.context}"`);
      }
      this.#config.setCurrentContext(options.context);
    }
    if (!this.server.startsWith('https://')) throw new Error('the kubeconfig’s server must begin with https://');
  }

  get server(): string {
    return this.#config.getCurrentCluster()?.server ?? '';
  }

  /** @param target path and query @throws Error in one line when there is no answer */
  async send(
    method: string,
    target: string,
    headers: Readonly<Record<string, string>>,
    body: Buffer | undefined,
  ): Promise<RawAnswer> {
    const options: RequestOptions = { method, headers: { ...headers }, timeout: TIMEOUT };
    await this.#config.applyToHTTPSOptions(options);
    const base = this.server.replace(/\/$/, '');
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      const outgoing = request(`${base}${target}`, options, resolve);
      outgoing.once('timeout', () => outgoing.destroy(new Error('no answer in time')));
      outgoing.once('error', reject);
      outgoing.end(body);
    });
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > MAX_ANSWER) throw new Error(`the answer is over ${MAX_ANSWER} bytes`);
      chunks.push(chunk);
    }
    return {
      status: answer.statusCode ?? 0,
      contentType: answer.headers['content-type'] ?? '',
      body: Buffer.concat(chunks, size),
    };
  }
}
