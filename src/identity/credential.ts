import { notAuthenticated } from './refusal.ts';

/** Characters of a bearer token at most. */
export const MAX_TOKEN_LENGTH = 16_384;

const BEARER_PROTOCOL = 'base64url.bearer.authorization.k8s.io.';
/** RFC 6750 section 2.1, `b64token`: no white space, no comma, so two joined tokens never read as one. */
const TOKEN = /^[A-Za-z0-9\-._~+/]+=*$/;

/** The part of a request in which a credential can be. */
export interface RequestHead {
  /** Names and values in turn, as received: node's `headers` keeps only the first of two Authorization lines. */
  readonly rawHeaders: readonly string[];
  /** The request target as received. */
  readonly target: string;
}

/**
 * The one bearer token of a request: from `Authorization: Bearer`, or from the sub-protocol that browsers' WebSockets
 * use for it (`base64url.bearer.authorization.k8s.io.<token>`). More than one credential, of whatever kind, is refused:
 * a front end might have judged the other one.
 * @returns undefined when there is none, so that a client certificate may speak
 * @throws SP_NOT_AUTHENTICATED
 */
export function bearerToken(head: RequestHead): string | undefined {
  if (queryHoldsToken(head.target)) throw notAuthenticated('a token in the query');
  const { rawHeaders } = head;
  let authorization: string | undefined;
  let protocol: string | undefined;
  let otherProtocols = 0;
  let webSocket = false;
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]!;
    const value = rawHeaders[index + 1]!;
    // Lengths first: on the hot path most headers need no lower-casing.
    if (name.length === 13 && name.toLowerCase() === 'authorization') {
      if (authorization !== undefined) throw notAuthenticated('two Authorization headers');
      authorization = value;
    } else if (name.length === 22 && name.toLowerCase() === 'sec-websocket-protocol') {
      for (const item of value.split(',')) {
        const offered = item.trim();
        if (!offered.toLowerCase().startsWith(BEARER_PROTOCOL)) {
          if (offered !== '') otherProtocols += 1;
          continue;
        }
        if (protocol !== undefined) throw notAuthenticated('two bearer sub-protocols');
        protocol = offered;
      }
    } else if (name.length === 7 && name.toLowerCase() === 'upgrade') {
      webSocket ||= value.trim().toLowerCase() === 'websocket';
    }
  }
  if (protocol === undefined) return authorization === undefined ? undefined : fromAuthorization(authorization);
  if (authorization !== undefined) throw notAuthenticated('an Authorization header and a bearer sub-protocol');
  // As the API server: read on a WebSocket upgrade only, and only beside a sub-protocol that can be answered with.
  if (!webSocket) throw notAuthenticated('a bearer sub-protocol without a WebSocket upgrade');
  if (otherProtocols === 0) throw notAuthenticated('a bearer sub-protocol without another one');
  return fromProtocol(protocol);
}

function fromAuthorization(value: string): string {
  const space = value.indexOf(' ');
  const scheme = space === -1 ? value : value.slice(0, space);
  if (scheme.toLowerCase() !== 'bearer') throw notAuthenticated('an Authorization scheme other than Bearer');
  return checkedToken(space === -1 ? '' : value.slice(space + 1));
}

function fromProtocol(protocol: string): string {
  if (!protocol.startsWith(BEARER_PROTOCOL)) throw notAuthenticated('a bearer sub-protocol in another spelling');
  const encoded = protocol.slice(BEARER_PROTOCOL.length);
  if (encoded.length > MAX_TOKEN_LENGTH * 2) throw notAuthenticated('a token over the size limit');
  const bytes = Buffer.from(encoded, 'base64url');
  // Node skips what is no base64url; only the one canonical spelling is accepted.
  if (bytes.toString('base64url') !== encoded) throw notAuthenticated('a bearer sub-protocol that is no base64url');
  return checkedToken(bytes.toString('latin1'));
}

function checkedToken(token: string): string {
  if (token === '') throw notAuthenticated('an empty token');
  if (token.length > MAX_TOKEN_LENGTH) throw notAuthenticated('a token over the size limit');
  if (!TOKEN.test(token)) throw notAuthenticated('a token with characters that none has');
  return token;
}

/** `access_token` (RFC 6750 section 2.3) would stand in every access log on its way. */
function queryHoldsToken(target: string): boolean {
  const start = target.indexOf('?');
  if (start === -1 || !/access|%/i.test(target)) return false;
  for (const pair of target.slice(start + 1).split(/[&;]/)) {
    let key = pair.split('=', 1)[0]!.replaceAll('+', ' ');
    try {
      key = decodeURIComponent(key);
    } catch {
      // Not decodable: the request grammar refuses it; here the raw key is compared.
    }
    if (key.trim().toLowerCase() === 'access_token') return true;
  }
  return false;
}
