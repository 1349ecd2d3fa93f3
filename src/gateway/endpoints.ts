import type { ServerResponse } from 'node:http';
import { SallyportError } from '../errors.ts';
import { type EndpointRequest, type EndpointResponse, isPublicEndpoint } from '../identity/session-endpoint.ts';
import { readBody } from './body.ts';
import type { ClientResponse, Exchange } from './exchange.ts';
import { type RecordingReader, readsRecordings } from './recording/recording-reader.ts';
import type { Outcome } from './relay.ts';

export type EndpointHandler = (request: EndpointRequest) => Promise<EndpointResponse>;

/** No path of a Kubernetes API server begins so. */
const ROOT = '/sallyport/';
/** The gateway's own endpoints. */
export class Endpoints {
  readonly #handler: EndpointHandler | undefined;
  readonly #bodyTimeout: number;
  readonly #recordings: RecordingReader | undefined;

  /**
   * @param handler undefined where agent sessions are not configured
   * @param recordings undefined where nothing is recorded
   */
  constructor(handler: EndpointHandler | undefined, bodyTimeout: number, recordings: RecordingReader | undefined) {
    this.#handler = handler;
    this.#bodyTimeout = bodyTimeout;
    this.#recordings = recordings;
  }

  /** Whether this one is answered without a caller. */
  open(exchange: Exchange): boolean {
    return isPublicEndpoint(exchange.request.method ?? '', exchange.request.url ?? '');
  }

  owns(exchange: Exchange): boolean {
    return (exchange.request.url ?? '').startsWith(ROOT);
  }

  /** @throws SallyportError */
  async answer(exchange: Exchange, response: ClientResponse): Promise<Outcome> {
    if (readsRecordings(exchange.request.url ?? '')) {
      if (this.#recordings !== undefined) return await this.#recordings.answer(exchange, response);
      throw new SallyportError('SP_RECORDING_NOT_FOUND', 'this gateway records nothing');
    }
    if (this.#handler === undefined) {
      throw new SallyportError('SP_SESSION_REFUSED', 'this gateway gives no agent sessions (identity.sessions)');
    }
    const { request } = exchange;
    const method = request.method!;
    const body = method === 'POST' ? await readBody(exchange, this.#bodyTimeout) : Buffer.alloc(0);
    const answer = await this.#handler({
      method,
      path: request.url ?? '',
      headers: request.headers,
      body,
      caller: exchange.caller,
    });
    const bytes = Buffer.from(answer.body);
    (response as ServerResponse).writeHead(answer.status, {
      ...answer.headers,
      'content-length': bytes.length,
      'x-request-id': exchange.id,
    });
    response.end(bytes);
    return { status: answer.status, bytes: bytes.length, upstreamDuration: 0, end: 'Complete' };
  }
}
