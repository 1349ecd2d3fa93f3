import { SallyportError } from '../errors.ts';

/**
 * The request target of RFC 9112 §3.2.1 (origin-form only), split into path segments and raw query.
 *
 * A gateway that decides on one reading of a path and forwards another has decided nothing (CVE-2021-39206,
 * CVE-2023-33189). So there is one spelling: what has a second reading anywhere on the way is refused, what is a mere
 * matter of spelling is decoded and written again canonically, and only that form is forwarded.
 */
export interface Target {
  /** Decoded segments; the empty string at the end stands for a trailing slash. Never empty elsewhere. */
  readonly segments: string[];
  /** The same segments as they are written in the canonical path. */
  readonly written: string[];
  /** The path as it is written canonically, a trailing slash kept. */
  readonly path: string;
  /** Whether any segment held an escape or a `;`: false spares every later look at single characters. */
  readonly odd: boolean;
  /** What follows the first `?`, still raw; '' when there is none. */
  readonly rawQuery: string;
}

/** Bytes of the path as sent. Kubernetes' own longest paths stay under 1 KiB. */
export const MAX_PATH_LENGTH = 8 * 1024;
/** Bytes of path and query. The argv of an exec travels in the query, percent-encoded: hence more than for the path. */
export const MAX_TARGET_LENGTH = 48 * 1024;

const SLASH = 0x2f;
const PERCENT = 0x25;
const QUESTION = 0x3f;
const SEMICOLON = 0x3b;

/** 1 for the characters that RFC 3986 lets stand in a path segment (pchar), without `%` and `;`. */
const PCHAR = new Uint8Array(128);
for (const character of "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,=:@") {
  PCHAR[character.charCodeAt(0)] = 1;
}

/**
 * Splits and checks a raw request target.
 * @param raw the request line's target (HTTP/1.1) or `:path` (HTTP/2), untouched.
 * @throws SallyportError SP_BAD_REQUEST
 */
export function parseTarget(raw: string): Target {
  const length = raw.length;
  if (length === 0 || raw.charCodeAt(0) !== SLASH) {
    throw refuse('the request target must be an absolute path: absolute-form, authority-form and "*" are not accepted');
  }
  if (length > MAX_TARGET_LENGTH) {
    throw refuse(`the request target is longer than ${MAX_TARGET_LENGTH} bytes`);
  }
  let end = 0;
  let odd = false;
  for (; end < length; end++) {
    const code = raw.charCodeAt(end);
    if (code < 128 && PCHAR[code] === 1) continue;
    if (code === SLASH) {
      if (end > 0 && raw.charCodeAt(end - 1) === SLASH) throw refuse('the path has an empty segment ("//")');
    } else if (code === QUESTION) {
      break;
    } else if (code === PERCENT || code === SEMICOLON) {
      odd = true;
    } else {
      throw refuse(`the path holds ${nameOf(code)}, which must be percent-encoded or is not allowed in a path at all`);
    }
  }
  if (end > MAX_PATH_LENGTH) throw refuse(`the path is longer than ${MAX_PATH_LENGTH} bytes`);
  let path = end === length ? raw : raw.slice(0, end);
  const written = path.slice(1).split('/');
  let segments = written;
  if (odd) {
    segments = new Array<string>(written.length);
    for (let i = 0; i < written.length; i++) {
      const segment = written[i]!;
      if (segment.includes('%')) {
        const decoded = decodeSegment(segment);
        segments[i] = decoded;
        written[i] = encodeSegment(decoded);
      } else {
        segments[i] = segment;
      }
    }
    path = `/${written.join('/')}`;
  }
  for (const segment of segments) checkDots(segment);
  return { segments, written, path, odd, rawQuery: end < length ? raw.slice(end + 1) : '' };
}

function decodeSegment(segment: string): string {
  const decoded = decodeEscapes(segment, 'path');
  for (let i = 0; i < decoded.length; i++) {
    const code = decoded.charCodeAt(i);
    // %2f and %5c: one hop sees a name, the next a separator. Control characters end lines in logs and headers.
    if (code === SLASH || code === 0x5c) throw refuse('the path holds an encoded slash or backslash');
    if (code < 0x20 || (code >= 0x7f && code <= 0x9f)) throw refuse('the path holds an encoded control character');
  }
  return decoded;
}

/** `.` and `..` in every spelling, also before a `;` (servlet containers drop `;…`, and then see `..`). */
function checkDots(segment: string): void {
  const first = segment.charCodeAt(0);
  if (first !== 0x2e && first !== SEMICOLON) return;
  const semicolon = segment.indexOf(';');
  const name = semicolon < 0 ? segment : segment.slice(0, semicolon);
  if (name === '.' || name === '..' || (name === '' && semicolon >= 0)) throw refuse('the path holds a dot segment');
}

const UNESCAPED = /%(?:24|26|2B|2C|3A|3B|3D|40)/g;
const RAW: Readonly<Record<string, string>> = {
  '%24': '$',
  '%26': '&',
  '%2B': '+',
  '%2C': ',',
  '%3A': ':',
  '%3B': ';',
  '%3D': '=',
  '%40': '@',
};

/** The one spelling of a segment: RFC 3986 pchars stand for themselves, all else is UTF-8 in upper-case escapes. */
export function encodeSegment(decoded: string): string {
  return encodeURIComponent(decoded).replace(UNESCAPED, (written) => RAW[written]!);
}

/** Percent-decodes; malformed escapes and bytes that are not UTF-8 are refused, never passed through. */
export function decodeEscapes(text: string, where: 'path' | 'query'): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw refuse(`the ${where} holds a malformed percent-escape, or one that is not UTF-8`);
  }
}

export function refuse(message: string): SallyportError {
  return new SallyportError('SP_BAD_REQUEST', message);
}

/** A character by its number, so that a message holds nothing of the client's own. */
function nameOf(code: number): string {
  return `the character U+${code.toString(16).toUpperCase().padStart(4, '0')}`;
}
