import { SallyportError } from '../errors.ts';

/**
 * The request headers that may go upstream. Everything else stays behind: Authorization and Cookie (the caller's own
 * credential), Proxy-*, hop-by-hop headers, Forwarded and X-Forwarded-*, Audit-ID (the request's id is set by the
 * gateway), Content-Length (the body may be rewritten), Sec-WebSocket-* and Upgrade (an upgrade has headers of its own).
 * True: several lines are one list (RFC 9110 §5.3). False: a second line is a second opinion, and refused.
 */
const FORWARDABLE: ReadonlyMap<string, boolean> = new Map([
  ['accept', true],
  ['accept-encoding', true],
  ['accept-language', true],
  ['cache-control', true],
  ['content-encoding', false],
  ['content-language', true],
  ['content-type', false],
  ['if-match', true],
  ['if-modified-since', false],
  ['if-none-match', true],
  ['if-range', false],
  ['if-unmodified-since', false],
  ['kubectl-command', false],
  ['kubectl-session', false],
  ['range', false],
  ['traceparent', false],
  ['tracestate', true],
  ['user-agent', false],
]);

/** The names above, for documentation and tests. */
export const FORWARDABLE_HEADERS: readonly string[] = [...FORWARDABLE.keys()];

/** Characters of one value and of all that are forwarded together. */
export const MAX_HEADER_VALUE = 8 * 1024;
export const MAX_HEADERS_TOTAL = 32 * 1024;
/** Lines that are looked at; Node's own limit is 2,000. */
export const MAX_HEADER_LINES = 200;

export interface ForwardableOptions {
  /** Replaces the client's Content-Type, where the gateway rewrote the body. */
  readonly contentType?: string;
}

/**
 * Builds the headers that go upstream from the allow-list above.
 * @param rawHeaders flat (name, value, …) as received
 * @returns flat (name, value, …), names in lower case, each name once
 * @throws SallyportError SP_BAD_REQUEST when a value is malformed, doubled where it must be single, or over the bounds
 */
export function forwardableHeaders(rawHeaders: readonly string[], options: ForwardableOptions = {}): string[] {
  if (rawHeaders.length > MAX_HEADER_LINES * 2) throw refuse(`more than ${MAX_HEADER_LINES} header lines`);
  const headers: string[] = [];
  let total = 0;
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!.toLowerCase();
    const isList = FORWARDABLE.get(name);
    if (isList === undefined || (name === 'content-type' && options.contentType !== undefined)) continue;
    const value = rawHeaders[i + 1]!;
    checkValue(name, value);
    total += name.length + value.length;
    if (total > MAX_HEADERS_TOTAL) throw refuse(`the forwarded headers are over ${MAX_HEADERS_TOTAL} bytes`);
    const earlier = positionOf(headers, name);
    if (earlier < 0) headers.push(name, value);
    else if (isList) headers[earlier + 1] += `, ${value}`;
    else throw refuse(`the header ${name} is given twice`);
  }
  if (options.contentType !== undefined) {
    checkValue('content-type', options.contentType);
    headers.push('content-type', options.contentType);
  }
  return headers;
}

/**
 * The value of a header that decides how the rest is read, so that there must be one opinion on it.
 * @param name in lower case
 * @throws SallyportError SP_BAD_REQUEST where it is given twice
 */
export function singleHeader(rawHeaders: readonly string[], name: string): string | undefined {
  let value: string | undefined;
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    if (rawHeaders[i]!.length !== name.length || rawHeaders[i]!.toLowerCase() !== name) continue;
    if (value !== undefined) throw refuse(`the header ${name} is given twice`);
    value = rawHeaders[i + 1];
  }
  return value;
}

function positionOf(headers: readonly string[], name: string): number {
  for (let i = 0; i < headers.length; i += 2) if (headers[i] === name) return i;
  return -1;
}

/** Printable ASCII and tab (RFC 9110 field-value without obs-text): CR, LF and NUL would begin another header. */
function checkValue(name: string, value: string): void {
  if (value.length > MAX_HEADER_VALUE) throw refuse(`the header ${name} is longer than ${MAX_HEADER_VALUE} bytes`);
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i);
    if ((code < 0x20 && code !== 0x09) || code > 0x7e) {
      throw refuse(`the header ${name} holds a character that is not printable ASCII`);
    }
  }
}

/** Headers whose value is a list of header or option names; a hop could be made to drop or to take what they name. */
const NAMING = new Set(['connection', 'proxy-connection', 'keep-alive', 'trailer', 'te', 'upgrade', 'vary']);

/**
 * The first header that claims an identity: any spelling of `Impersonate-*` or `X-Remote-*`, or such a name inside
 * `Connection` and its kin (`Connection: Impersonate-User` made proxies drop their own identity header and run the
 * request as their own account: CVE-2021-31999, CVE-2022-23652). Such a request is refused, not stripped.
 *
 * @param rawHeaders flat (name, value, …) as received
 * @returns the offending name in lower case with dashes, or undefined
 */
export function identityHeader(rawHeaders: readonly string[]): string | undefined {
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = normalise(rawHeaders[i]!);
    if (claimsIdentity(name)) return name;
    if (!NAMING.has(name)) continue;
    for (const part of (rawHeaders[i + 1] ?? '').split(/[,;]/)) {
      const token = normalise(part);
      if (claimsIdentity(token)) return token;
    }
  }
  return undefined;
}

/** One name for all spellings that some server along the way takes for the same (CVE-2025-64484: `Impersonate_User`). */
function normalise(name: string): string {
  let plain = name.toLowerCase();
  if (plain.includes('_')) plain = plain.replaceAll('_', '-');
  return plain.trim();
}

function claimsIdentity(name: string): boolean {
  return (
    (name.startsWith('impersonate') && (name.length === 11 || name.charAt(11) === '-')) ||
    (name.startsWith('x-remote') && (name.length === 8 || name.charAt(8) === '-'))
  );
}

function refuse(message: string): SallyportError {
  return new SallyportError('SP_BAD_REQUEST', message);
}
