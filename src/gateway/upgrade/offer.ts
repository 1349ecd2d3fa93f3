import type { IncomingMessage } from 'node:http';
import { SallyportError } from '../../errors.ts';
import { headerNames, headerTokens, validWebSocketKey } from '../../streams/websocket/handshake.ts';
import { readSubprotocols } from '../../streams/websocket/subprotocol.ts';

/** What a client asks to change its connection into. */
export type UpgradeOffer =
  | { readonly family: 'websocket'; readonly key: string; readonly protocols: readonly string[] }
  | { readonly family: 'spdy'; readonly protocols: readonly string[] };

/** The header by which SPDY negotiates what Kubernetes speaks over it; several lines, or one with commas. */
export const STREAM_PROTOCOL_HEADER = 'x-stream-protocol-version';

/**
 * Reads the upgrade that a request offers. Only protocols come out of it: bearer sub-protocols are credentials, taken by
 * `upgradeBearers` and never forwarded.
 * @throws SallyportError SP_UPGRADE_REFUSED
 */
export function readOffer(request: IncomingMessage): UpgradeOffer {
  const { headers } = request;
  if (!headerNames(headers.connection, 'upgrade')) throw refuse('Connection does not name Upgrade');
  const upgrade = (headers.upgrade ?? '').trim().toLowerCase();
  if (upgrade === 'websocket') {
    if (request.method !== 'GET') throw refuse('a WebSocket begins with GET');
    if (headers['sec-websocket-version'] !== '13') throw refuse('only version 13 of WebSocket is spoken');
    const key = headers['sec-websocket-key'] ?? '';
    if (!validWebSocketKey(key)) throw refuse('Sec-WebSocket-Key is missing or malformed');
    return { family: 'websocket', key, protocols: subprotocols(request).protocols };
  }
  if (upgrade === 'spdy/3.1') {
    return { family: 'spdy', protocols: headerTokens(headers[STREAM_PROTOCOL_HEADER]) };
  }
  throw refuse('only websocket and SPDY/3.1 are spoken');
}

/**
 * Credentials that an upgrade carries as WebSocket sub-protocols (browsers cannot set Authorization). The identity room is
 * to refuse a malformed one, more than one, and one beside an Authorization header.
 */
export function upgradeBearers(request: IncomingMessage): { tokens: readonly string[]; malformed: boolean } {
  const { bearerTokens, malformedBearer } = subprotocols(request);
  return { tokens: bearerTokens, malformed: malformedBearer };
}

function subprotocols(request: IncomingMessage) {
  return readSubprotocols(headerTokens(request.headers['sec-websocket-protocol']));
}

function refuse(why: string): SallyportError {
  return new SallyportError('SP_UPGRADE_REFUSED', why);
}
