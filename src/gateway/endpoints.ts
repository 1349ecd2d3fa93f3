import { SallyportError } from '../errors.ts';
import type { Caller } from '../identity/caller.ts';
import { readBody } from './body.ts';
import type { ClientResponse, Exchange } from './exchange.ts';
import type { Outcome } from './relay.ts';

/** A request to the gateway itself, under `/sallyport/`: no path of a Kubernetes API server begins so. */
export interface EndpointRequest {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
  /** Undefined for the open endpoints only. */
  readonly caller: Caller | undefined;
  readonly requestID: string;
}

export interface EndpointAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Buffer;
}

export type EndpointHandler = (request: EndpointRequest) => Promise<EndpointAnswer>;

const ROOT = '/sallyport/';
/** Asked before anyone is signed in: where to sign in. Nothing secret is in the answer. */
const OPEN = new Set(['/sallyport/v1/config']);

/** The gateway's own endpoints. */
export class Endpoints {
  readonly #handler: EndpointHandler | undefined;
  readonly #bodyTimeout: number;

  /** @param handler undefined where agent sessions are not configured. */
  constructor(handler: EndpointHandler | undefined, bodyTimeout: number) {
    this.#handler = handler;
    this.#bodyTimeout = bodyTimeout;
  }

  /** Whether this one is answered without a caller. */
  open(exchange: Exchange): boolean {
    return OPEN.has(pathOf(exchange)) && exchange.request.method === 'GET';
  }

  owns(exchange: Exchange): boolean {
    return pathOf(exchange).startsWith(ROOT);
  }

  /** @throws SallyportError */
  async answer(exchange: Exchange, response: ClientResponse): Promise<Outcome> {
    if (this.#handler === undefined) {
      throw new SallyportError('SP_SESSION_REFUSED', 'this gateway gives no agent sessions (identity.sessions)');
    }
    const { request } = exchange;
    const method = request.method!;
    const body = method === 'POST' ? await readBody(exchange, this.#bodyTimeout) : Buffer.alloc(0);
    const answer = await this.#handler({
      method,
      path: pathOf(exchange),
      headers: request.headers,
      body,
      caller: exchange.caller,
      requestID: exchange.id,
    });
    const bytes = Buffer.from(answer.body);
    response.writeHead(answer.status, {
      'cache-control': 'no-store',
      ...answer.headers,
      'content-length': bytes.length,
      'x-request-id': exchange.id,
      'x-content-type-options': 'nosniff',
    } as Record<string, string | number>);
    response.end(bytes);
    return { status: answer.status, bytes: bytes.length, upstreamDuration: 0, end: 'Complete' };
  }
}

function pathOf(exchange: Exchange): string {
  const url = exchange.request.url ?? '';
  const question = url.indexOf('?');
  return question === -1 ? url : url.slice(0, question);
}
