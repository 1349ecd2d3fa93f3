import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import type { TLSSocket } from 'node:tls';
import { SallyportError } from '../errors.ts';
import type { Caller } from '../identity/caller.ts';
import type { UpstreamName } from '../identity/upstream-name.ts';
import type { RequestTrace } from '../observe/tracing.ts';
import type { Decision } from '../policy/decision.ts';
import type { Question } from '../policy/question.ts';
import type { Body } from '../request/body.ts';
import type { Operation } from '../request/operation.ts';
import type { Permit } from './approval/permit.ts';
import type { Lease } from './limits.ts';
import type { ExchangeMasking } from './masking/masking.ts';
import type { Restoration } from './masking/restoration.ts';
import type { RecordedExchange } from './recording/recorded-exchange.ts';

export type ClientRequest = IncomingMessage | Http2ServerRequest;
export type ClientResponse = ServerResponse | Http2ServerResponse;

/** What was found out for a decision beyond the request line. */
export type Findings = Pick<Question, 'object' | 'oldObject' | 'target' | 'namespaceObject' | 'creates' | 'unknown'>;

/** One request on its way through the rooms; each room adds what it found out, and later ones only read it. */
export class Exchange {
  /** Event id, `Audit-ID` upstream, `X-Request-Id`, the end of every error: one UUID joins them all. */
  readonly id: string;
  readonly startedAt: number = performance.now();
  readonly request: ClientRequest;
  readonly sourceIP: string;
  caller: Caller | undefined;
  operation: Operation | undefined;
  identity: UpstreamName | undefined;
  decision: Decision | undefined;
  /** What masks the answer; undefined where nothing does. */
  masking: ExchangeMasking | undefined;
  /** What was put back in the body of a write; undefined where nothing was masked in it. */
  restoration: Restoration | undefined;
  /** What was found out for the decision; ports are judged by it too. */
  findings: Findings | undefined;
  /** Milliseconds that deciding took, without waiting for people. */
  decisionDuration: number | undefined;
  /** Milliseconds that asking a person took, and waiting for their word. */
  approvalDuration: number | undefined;
  /** By what it was let through, where it needs a person's word. */
  permit: Permit | undefined;
  lease: Lease | undefined;
  /** Undefined where this one is not traced. */
  trace: RequestTrace | undefined;
  /** What is kept of it; undefined where nothing is, or not yet. */
  record: RecordedExchange | undefined;
  parsedBody: Body | undefined;
  /** The body, where a decision had to read it; it is then what is forwarded. */
  body: Buffer | undefined;
  /** The body as the client sent it, where `body` is another one. */
  sentBody: Buffer | undefined;
  /** The body's media type as forwarded, where it is not the client's (YAML is forwarded as the JSON it was read as). */
  bodyType: string | undefined;
  /** Nobody waits for an answer any more. */
  clientLeft = false;
  /** Whether the gateway stops: an HTTP/1.1 answer then is its connection's last. */
  readonly closing: () => boolean;
  readonly #left = new AbortController();

  constructor(request: ClientRequest, closing: () => boolean = () => false, id: string = randomUUID()) {
    this.id = id;
    this.request = request;
    this.closing = closing;
    this.sourceIP = clientSocket(request)?.remoteAddress ?? '';
  }

  /** Aborted when the client leaves, its session ends, or the gateway stops. */
  get signal(): AbortSignal {
    return this.#left.signal;
  }

  /** The client's connection, or its stream of one, has closed before the answer was whole. */
  leave(): void {
    this.clientLeft = true;
    this.end(new SallyportError('SP_BAD_REQUEST', 'the client left'));
  }

  /** @param reason for the log and, where one can still be told, for the client. */
  end(reason: Error): void {
    if (!this.#left.signal.aborted) this.#left.abort(reason);
  }
}

/** One port of a port-forward, to be asked about by itself: the same event, and the one ends with the other. */
export function portOf(exchange: Exchange, port: number): Exchange {
  const one = new Exchange(exchange.request, exchange.closing, exchange.id);
  const { caller, identity, masking, findings, signal } = exchange;
  Object.assign(one, { caller, identity, masking, findings });
  one.operation = { ...exchange.operation!, portForward: { ports: [port] } };
  const end = (): void => one.end(signal.reason as Error);
  if (signal.aborted) end();
  signal.addEventListener('abort', end, { once: true });
  one.signal.addEventListener('abort', () => exchange.end(one.signal.reason as Error), { once: true });
  return one;
}

/** The TLS connection a request came on; for HTTP/2 the session's. */
export function clientSocket(request: ClientRequest): TLSSocket | undefined {
  const { socket } = 'stream' in request && request.stream?.session ? request.stream.session : request;
  return socket as TLSSocket | undefined;
}
