import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerResponse } from 'node:http2';
import type { Duplex } from 'node:stream';
import { SallyportError, toStatus } from '../errors.ts';
import type { ClientRequest, ClientResponse, Exchange } from './exchange.ts';
import { UpstreamRefusal } from './upstream-refusal.ts';

/** RFC 9110 7.6.1, and what must not pass between two connections. */
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
]);

/** What the API server says of its own connection with the gateway; the client's is another. */
const NOT_FOR_CLIENTS = new Set(['alt-svc', 'set-cookie', 'www-authenticate', 'audit-id', 'x-request-id']);

/** Connections whose last answer was given: RFC 9112 9.6, what was pipelined behind that request is not carried out. */
const leaving = new WeakSet<object>();

export function isLeaving(request: ClientRequest): boolean {
  return leaving.has(request.socket);
}

/** How long, in milliseconds, and how much a client may go on sending after it was refused. */
const LINGER = 5_000;
const LINGER_BYTES = 8 << 20;

/**
 * Writes the head of a relayed answer: the API server's headers less those of its own hop, and the request id.
 * @param length of the body, where it is known; what the API server said of it stays
 */
export function writeHead(
  exchange: Exchange,
  response: ClientResponse,
  status: number,
  upstream: readonly string[],
  length?: number,
): void {
  const headers: string[] = [];
  let told = length === undefined;
  for (let i = 0; i < upstream.length; i += 2) {
    const name = upstream[i]!.toLowerCase();
    if (HOP_BY_HOP.has(name) || NOT_FOR_CLIENTS.has(name)) continue;
    if (name === 'content-length') told = true;
    headers.push(name, upstream[i + 1]!);
  }
  if (!told) headers.push('content-length', String(length));
  headers.push('audit-id', exchange.id, 'x-request-id', exchange.id);
  for (const warning of exchange.decision?.warnings ?? []) headers.push('warning', warningValue(warning));
  if (isHttp2(response)) {
    response.writeHead(status, grouped(headers));
    return;
  }
  if (exchange.closing()) headers.push('connection', 'close');
  response.writeHead(status, headers);
}

/** Answers with the Status of an error. Does nothing when an answer has begun: the connection is then ended. */
export function answerError(exchange: Exchange, response: ClientResponse, error: unknown): SallyportError {
  const known = asSallyportError(error);
  if (error instanceof UpstreamRefusal && !response.headersSent) {
    const headers = ['content-type', 'application/json', 'content-length', String(error.body.length)];
    writeHead(exchange, response, error.status, headers);
    response.end(error.body);
    return known;
  }
  if (response.headersSent) {
    response.destroy(known);
    return known;
  }
  const status = toStatus(known, exchange.id);
  const plain = readsErrorsAsText(exchange.request, known);
  const body = Buffer.from(plain ? `${status.message}\n` : JSON.stringify(status));
  const headers = statusHeaders(exchange, known, body.length, plain ? 'text/plain; charset=utf-8' : undefined);
  const shown = exchange.request.method === 'HEAD' ? Buffer.alloc(0) : body;
  if (isHttp2(response)) {
    response.writeHead(known.status, grouped(headers));
    response.end(shown);
  } else if (exchange.request.complete) {
    if (exchange.closing()) headers.push('connection', 'close');
    response.writeHead(known.status, headers);
    response.end(shown);
  } else {
    // What is left of the body is no next request, so the connection ends with this answer.
    headers.push('connection', 'close');
    response.writeHead(known.status, headers);
    if (shown === undefined) response.flushHeaders();
    else response.write(shown);
    endOnceRead(exchange.request as IncomingMessage, response);
  }
  return known;
}

/**
 * Ends an answer that is whole already. What the client still sends is read and dropped first, within bounds: unread
 * bytes would turn the close into a reset, which throws the answer away at a client that is still sending.
 */
function endOnceRead(request: IncomingMessage, response: ServerResponse): void {
  // Null once the client has gone.
  const socket = request.socket as Duplex | null;
  if (socket !== null) leaving.add(socket);
  let dropped = 0;
  const end = (): void => {
    clearTimeout(timer);
    response.end();
  };
  const timer = setTimeout(end, LINGER);
  request.on('data', (chunk: Buffer) => {
    dropped += chunk.length;
    if (dropped > LINGER_BYTES) end();
  });
  request.once('end', end).once('close', end).once('error', end);
  request.resume();
}

/**
 * Whether the client would not read a Status: client-go's discovery takes the body as it is, and of a 403 in JSON kubectl
 * then prints "unknown"; of a text it prints the text.
 */
function readsErrorsAsText(request: ClientRequest, error: SallyportError): boolean {
  return error.status === 403 && /;\s*as=APIGroupDiscoveryList\b/.test(request.headers.accept ?? '');
}

/** The headers of an error's answer, flat. */
export function statusHeaders(
  exchange: Exchange,
  error: SallyportError,
  length: number,
  contentType = 'application/json',
): string[] {
  const headers = ['content-type', contentType, 'content-length', String(length), 'cache-control', 'no-store'];
  headers.push('audit-id', exchange.id, 'x-request-id', exchange.id, 'x-content-type-options', 'nosniff');
  if (error.status === 401) headers.push('www-authenticate', 'Bearer realm="sallyport"');
  if (error.retryAfter !== undefined) headers.push('retry-after', String(Math.ceil(error.retryAfter)));
  for (const warning of exchange.decision?.warnings ?? []) headers.push('warning', warningValue(warning));
  return headers;
}

/** Any fault that nobody foresaw is an SP_INTERNAL whose cause goes to the log only. */
export function asSallyportError(error: unknown): SallyportError {
  if (error instanceof SallyportError) return error;
  if (error instanceof UpstreamRefusal) return new SallyportError('SP_UPSTREAM_REFUSED', error.message);
  return new SallyportError('SP_INTERNAL', 'a fault of the gateway; its log has the cause under this request id', {
    cause: error,
  });
}

/** RFC 9111 5.5 warn-code 299, as kubectl prints it; quoted, ASCII. */
function warningValue(text: string): string {
  const ascii = text.replace(/[^\x20-\x7e]/g, '?').replace(/["\\]/g, '\\$&');
  return `299 - "${ascii.slice(0, 2_000)}"`;
}

function isHttp2(response: ClientResponse): response is Http2ServerResponse {
  return 'createPushResponse' in response;
}

function grouped(headers: readonly string[]): Record<string, string | string[]> {
  const result: Record<string, string | string[]> = {};
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!;
    const value = headers[i + 1]!;
    const before = result[name];
    if (before === undefined) result[name] = value;
    else if (Array.isArray(before)) before.push(value);
    else result[name] = [before, value];
  }
  return result;
}
