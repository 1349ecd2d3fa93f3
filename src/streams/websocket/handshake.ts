import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

const HANDSHAKE_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** A fresh `Sec-WebSocket-Key`: 16 random bytes in base64 (RFC 6455, 4.1). */
export function freshWebSocketKey(): string {
  return randomBytes(16).toString('base64');
}

/** A well-formed `Sec-WebSocket-Key`: the base64 of exactly 16 bytes. */
export function validWebSocketKey(key: string): boolean {
  return /^[A-Za-z0-9+/]{21}[AQgw]==$/.test(key);
}

/** The `Sec-WebSocket-Accept` that answers a key (RFC 6455, 4.2.2). */
export function acceptFor(key: string): string {
  return createHash('sha1')
    .update(key + HANDSHAKE_GUID)
    .digest('base64');
}

/** True when `accept` is the answer to `key`. */
export function acceptMatches(key: string, accept: string): boolean {
  const expected = Buffer.from(acceptFor(key));
  const given = Buffer.from(accept);
  return given.length === expected.length && timingSafeEqual(given, expected);
}

/** The tokens of a comma-separated header, in order, white space cut; a header may come as several lines. */
export function headerTokens(value: string | readonly string[] | undefined): string[] {
  if (value === undefined) return [];
  const joined = typeof value === 'string' ? value : value.join(',');
  return joined
    .split(',')
    .map((token) => token.trim())
    .filter((token) => token !== '');
}

/** True when a comma-separated header names `token`, compared case-insensitively as HTTP tokens are. */
export function headerNames(value: string | readonly string[] | undefined, token: string): boolean {
  return headerTokens(value).some((given) => given.toLowerCase() === token.toLowerCase());
}
