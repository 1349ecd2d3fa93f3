import type { IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Duplex } from 'node:stream';
import { SallyportError } from '../../errors.ts';
import { acceptMatches, freshWebSocketKey, headerNames } from '../../streams/websocket/handshake.ts';
import type { UpgradeContext } from './context.ts';
import { STREAM_PROTOCOL_HEADER } from './offer.ts';

/** The API server changed its connection over, and the change was validated. */
export interface Switched {
  readonly kind: 'switched';
  readonly socket: Duplex;
  readonly head: Buffer;
  readonly protocol: string;
}

/** The API server declined, with an ordinary answer. */
export interface Declined {
  readonly kind: 'declined';
  readonly status: number;
  readonly headers: readonly string[];
  readonly body: Buffer;
  /** True for a Kubernetes Status: a decision of the API server, and not a protocol it does not speak. */
  readonly isStatus: boolean;
}

/** Of the answer that declines an upgrade, in bytes. */
const MAX_DECLINED_BODY = 256 * 1024;

export type DialRequest = { readonly family: 'websocket' | 'spdy'; readonly protocols: readonly string[] };

/**
 * Asks the API server for an upgrade on a connection of its own, over HTTP/1.1, never pooled, never reused: a socket whose
 * upgrade failed must not carry anyone's next request (CVE-2018-1002105).
 * @throws SallyportError SP_UPSTREAM_*; also for a 101 that is not the one that was asked for.
 */
export async function dialUpgrade(context: UpgradeContext, wanted: DialRequest): Promise<Switched | Declined> {
  const { upstream, operation, signal } = context;
  const key = freshWebSocketKey();
  const headers = [
    'Host',
    upstream.origin.host,
    'Connection',
    'Upgrade',
    'Upgrade',
    wanted.family === 'websocket' ? 'websocket' : 'SPDY/3.1',
    ...(wanted.family === 'websocket'
      ? ['Sec-WebSocket-Version', '13', 'Sec-WebSocket-Key', key]
      : ['Content-Length', '0']),
    ...protocolHeaders(wanted),
  ];
  // Identity last: what the room of the identity asserted is what ends the block.
  headers.push(...withoutUpgrade(upstream.headers()));

  const { promise, resolve, reject } = Promise.withResolvers<Switched | Declined>();
  const { ca, cert, key: privateKey, serverName } = upstream.tls;
  const request = httpsRequest({
    host: upstream.origin.hostname.replace(/^\[|\]$/g, ''),
    port: upstream.origin.port === '' ? 443 : Number(upstream.origin.port),
    method: wanted.family === 'websocket' ? 'GET' : 'POST',
    path: operation.query === '' ? operation.path : `${operation.path}?${operation.query}`,
    headers,
    agent: false,
    maxHeaderSize: 128 * 1024,
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(privateKey === undefined ? {} : { key: privateKey }),
    ...(serverName === undefined ? {} : { servername: serverName }),
  });
  const fail = (error: SallyportError): void => {
    reject(error);
    request.destroy();
  };
  const connecting = setTimeout(() => fail(timedOut('could not be reached in time')), upstream.connectTimeout);
  const answering = setTimeout(() => fail(timedOut('did not answer in time')), upstream.answerTimeout);
  const left = (): void => fail(abortReason(signal));
  signal.addEventListener('abort', left, { once: true });

  request.once('socket', (socket) => {
    socket.once('secureConnect', () => {
      clearTimeout(connecting);
      context.onSent?.();
    });
  });
  request.once('error', (cause) => fail(unreachable('could not be reached', cause)));
  request.once('upgrade', (response, socket, head) => {
    // From here on the socket is the bridge's; until it listens, an error must not become an uncaught one.
    socket.on('error', () => {});
    const fault = faultOf(response, wanted, key);
    if (fault !== undefined) {
      socket.destroy();
      fail(unreachable('changed protocols in a way that was not asked for', new Error(fault)));
      return;
    }
    resolve({ kind: 'switched', socket, head, protocol: protocolOf(response, wanted) });
  });
  request.once('response', (response) => {
    collect(response).then((body) => resolve(declined(response, body)), fail);
  });
  request.end();
  try {
    const answer = await promise;
    if (answer.kind === 'declined') request.destroy();
    return answer;
  } finally {
    clearTimeout(connecting);
    clearTimeout(answering);
    signal.removeEventListener('abort', left);
  }
}

function protocolHeaders(wanted: DialRequest): string[] {
  if (wanted.protocols.length === 0) return [];
  if (wanted.family === 'websocket') return ['Sec-WebSocket-Protocol', wanted.protocols.join(', ')];
  // Several lines, as client-go sends them: older servers do not split at commas.
  return wanted.protocols.flatMap((protocol) => ['X-Stream-Protocol-Version', protocol]);
}

const OWN_HEADERS = new Set([
  'host',
  'connection',
  'upgrade',
  'content-length',
  'transfer-encoding',
  'keep-alive',
  'te',
]);

/** The forwarded headers never speak of the upgrade: this function's caller does. */
function withoutUpgrade(headers: readonly string[]): string[] {
  const kept: string[] = [];
  for (let index = 0; index + 1 < headers.length; index += 2) {
    const name = headers[index]!.toLowerCase();
    if (OWN_HEADERS.has(name) || name.startsWith('sec-websocket-') || name === STREAM_PROTOCOL_HEADER) continue;
    kept.push(headers[index]!, headers[index + 1]!);
  }
  return kept;
}

/** What is wrong with a 101, or undefined. */
function faultOf(response: IncomingMessage, wanted: DialRequest, key: string): string | undefined {
  const { headers, statusCode } = response;
  if (statusCode !== 101) return `status ${statusCode}`;
  if (!headerNames(headers.connection, 'upgrade')) return 'Connection does not name Upgrade';
  const upgrade = (headers.upgrade ?? '').trim().toLowerCase();
  if (upgrade !== (wanted.family === 'websocket' ? 'websocket' : 'spdy/3.1')) return 'another protocol';
  const protocol = protocolOf(response, wanted);
  if (wanted.protocols.length > 0 && !wanted.protocols.includes(protocol)) return 'a sub-protocol that was not offered';
  if (wanted.protocols.length === 0 && protocol !== '') return 'a sub-protocol though none was offered';
  if (wanted.family === 'spdy') return undefined;
  if (!acceptMatches(key, headers['sec-websocket-accept'] ?? '')) return 'Sec-WebSocket-Accept does not match';
  if (headers['sec-websocket-extensions'] !== undefined) return 'an extension that was not offered';
  return undefined;
}

function protocolOf(response: IncomingMessage, wanted: DialRequest): string {
  const name = wanted.family === 'websocket' ? 'sec-websocket-protocol' : STREAM_PROTOCOL_HEADER;
  const value = response.headers[name];
  return typeof value === 'string' ? value.trim() : '';
}

async function collect(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > MAX_DECLINED_BODY) throw new Error('over the limit');
      chunks.push(chunk);
    }
  } catch (cause) {
    throw unreachable('declined with an answer that could not be read', cause);
  }
  return Buffer.concat(chunks);
}

function declined(response: IncomingMessage, body: Buffer): Declined {
  const headers: string[] = [];
  for (const name of ['content-type', 'retry-after', 'warning'] as const) {
    const value = response.headers[name];
    if (typeof value === 'string') headers.push(name, value);
  }
  return { kind: 'declined', status: response.statusCode ?? 502, headers, body, isStatus: isStatus(body) };
}

function isStatus(body: Buffer): boolean {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'));
    return typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'Status';
  } catch {
    return false;
  }
}

function unreachable(what: string, cause: unknown): SallyportError {
  if (cause instanceof SallyportError) return cause;
  return new SallyportError('SP_UPSTREAM_UNREACHABLE', `the API server ${what}: try again`, { cause });
}

function timedOut(what: string): SallyportError {
  return new SallyportError('SP_UPSTREAM_TIMEOUT', `the API server ${what}: try again`);
}

/** The reason of an abort as an error that the client may be told. */
export function abortReason(signal: AbortSignal): SallyportError {
  const reason: unknown = signal.reason;
  return reason instanceof SallyportError
    ? reason
    : new SallyportError('SP_STREAM_ENDED', 'the gateway ended this stream', { cause: reason });
}
