import { kindOf } from './assignment.ts';
import type { Family } from './detector.ts';
import type { Finding } from './finding.ts';
import { assigns, attached, hasUserinfo, type KeywordCheck } from './keyword-check.ts';
import { classifyName, isPair, isPlausible, isStandIn } from './secret-name.ts';

/** A kind that takes more than an expression: read by hand from where its keyword stands. */
export interface ShapedKind {
  readonly family: Family;
  readonly keywords: readonly string[];
  readonly check?: KeywordCheck;
  read(text: string, at: number): readonly Finding[];
}

const MAX_USERINFO = 1024;
const MAX_BLOCK = 32_768;
const MAX_HEADER = 8192;

export const SHAPED_KINDS: readonly ShapedKind[] = [
  { family: 'credentials', keywords: ['://'], check: hasUserinfo, read: readUserinfo },
  { family: 'credentials', keywords: ['authorization'], read: readAuthorization },
  { family: 'credentials', keywords: ['bearer ', 'basic ', 'bearer%00'], read: readScheme },
  { family: 'credentials', keywords: ['cookie'], read: readCookies },
  { family: 'credentials', keywords: ['@tcp(', '@unix('], read: readDsn },
  { family: 'credentials', keywords: ['-u ', '--user ', '--user=', '--proxy-user '], read: readUserFlag },
  { family: 'credentials', keywords: [' -p'], check: attached, read: readAttachedPassword },
  { family: 'credentials', keywords: [':0000:'], read: readPgpass },
  { family: 'tokens-by-name', keywords: ['value', 'default'], check: assigns, read: readNamedValue },
  { family: 'private-keys', keywords: ['private key'], read: readArmour },
];

/** The password of `scheme://user:password@host` (RFC 3986, 3.2.1). */
function readUserinfo(text: string, at: number): Finding[] {
  const from = at + 3;
  const limit = Math.min(text.length, from + MAX_USERINFO);
  let colon = -1;
  let end = -1;
  for (let i = from; i < limit; i++) {
    const c = text.charCodeAt(i);
    if (c <= 0x20 || c === 0x22 || c === 0x27 || c === 0x2f || c === 0x3c || c === 0x3e || c === 0x60 || c === 0x5c)
      break;
    if (c === 0x3a && colon === -1) colon = i;
    if (c === 0x40) end = i;
  }
  if (end === -1) return [];
  // A token in the user's place.
  if (colon === -1 || colon > end) {
    const user = text.slice(from, end);
    const isToken = user.length >= 20 && /^[A-Za-z0-9_-]+$/.test(user) && /[0-9]/.test(user) && /[A-Za-z]/.test(user);
    return isToken ? [{ start: from, end, kind: 'url-credentials' }] : [];
  }
  if (colon > end - 2) return [];
  const value = text.slice(colon + 1, end);
  return isStandIn(value) || value.includes('${') ? [] : [{ start: colon + 1, end, kind: 'url-credentials' }];
}

/** `user:password@tcp(host:3306)/database`, as Go's MySQL driver reads it. */
function readDsn(text: string, at: number): Finding[] {
  let start = at;
  while (start > 0 && at - start < 256 && !/[ \t-\r"'`=:/\\]/.test(text[start - 1]!)) start--;
  const value = text.slice(start, at);
  if (text[start - 1] !== ':' || value.length < 3 || isStandIn(value)) return [];
  return [{ start, end: at, kind: 'url-credentials' }];
}

/** What stands before on the same line, as far as it is looked at. */
function lineBefore(text: string, at: number): string {
  const before = text.slice(Math.max(0, at - 512), at);
  return before.slice(before.lastIndexOf('\n') + 1);
}

/** `curl -u user:password`. */
function readUserFlag(text: string, at: number): Finding[] {
  const lead = match(/--?(?:u|user|proxy-user)[ =]{1,4}["']?[^ \t-\r:"'\\]{1,128}:/y, text, at);
  if (lead === undefined || !/(?:\b|\\n)(?:curl|http|https|wget)\b/.test(lineBefore(text, at))) return [];
  const start = at + lead.length;
  const value = match(/[^ \t-\r"'\\]{3,256}/y, text, start);
  if (value === undefined || /^\d{1,6}$/.test(value) || isStandIn(value)) return [];
  return [{ start, end: start + value.length, kind: 'basic-auth' }];
}

/** `mysql -pPASSWORD`. */
function readAttachedPassword(text: string, at: number): Finding[] {
  const start = at + 3;
  const value = match(/["']?[^ \t-\r"'\\]{4,256}/y, text, start);
  if (
    value === undefined ||
    !/(?:\b|\\n)(?:mysql|mariadb|mysqldump|mysqladmin|mysqlsh|sshpass)\b/.test(lineBefore(text, at))
  )
    return [];
  const quote = /^["']/.test(value) ? 1 : 0;
  return isStandIn(value.slice(quote))
    ? []
    : [{ start: start + quote, end: start + value.length, kind: 'generic-password' }];
}

/** A line of .pgpass: host, port, database, user, password. */
function readPgpass(text: string, at: number): Finding[] {
  const host = lineBefore(text, at).match(
    /(?:^|[ \t-\r"']|\\n)([A-Za-z*][A-Za-z0-9.*-]{0,252}|\d{1,3}(?:\.\d{1,3}){3})$/,
  );
  const lead = match(/:\d{4,5}:[A-Za-z0-9_*-]{1,64}:[A-Za-z0-9_.*-]{1,64}:/y, text, at);
  if (host === null || lead === undefined) return [];
  const start = at + lead.length;
  const value = match(/(?:[^ \t-\r:"'\\]|\\[:\\]){4,256}(?=[ \t-\r]|$|["']|\\n)/y, text, start);
  return value === undefined || isStandIn(value)
    ? []
    : [{ start, end: start + value.length, kind: 'generic-password' }];
}

const NAMED_BEFORE =
  /(?:name|key)(?:[\\"']{0,8} {0,4}[:=] {0,4}[\\"']{0,8}|>)([A-Za-z0-9_./-]{2,96}?)(?:\\[nrt]|<\/(?:name|key)>|[\\"',{< ]){0,40}$/i;

/** `{"name": "DB_PASSWORD", "value": "…"}`, `<add key="…" value="…"/>` on one line. */
function readNamedValue(text: string, at: number): Finding[] {
  const before = text.slice(Math.max(0, at - 160), at);
  const name = NAMED_BEFORE.exec(before)?.[1];
  if (name === undefined) return [];
  const named = classifyName(name);
  const lead = match(/(?:value|default)s?(?:[\\"']{0,8} {0,4}[:=] {0,4}|>)/iy, text, at);
  if (named === 'none' || lead === undefined) return [];
  const start = at + lead.length;
  const slashes = match(/\\{0,8}["']/y, text, start);
  const from = start + (slashes?.length ?? 0);
  const value = match(slashes === undefined ? /[^ \t-\r"'\\,}\]<]{4,4096}/y : /[^"'\\\n]{4,4096}/y, text, from);
  return value !== undefined && isPlausible(value, named)
    ? [{ start: from, end: from + value.length, kind: kindOf(named) }]
    : [];
}

/** `Authorization: Scheme credentials`, as a header line, a JSON member or an argument. */
function readAuthorization(text: string, at: number): Finding[] {
  const head = match(/authorization[\\"']{0,8}[ \t]{0,8}[:=,][ \t]{0,8}[\\"'[]{0,8}/iy, text, at);
  if (head === undefined) return [];
  const from = at + head.length;
  const scheme = match(/(?:[A-Za-z][A-Za-z0-9-]{1,20})(?: +|%20)/y, text, from) ?? '';
  return plainValue(text, from + scheme.length, 'authorization-header');
}

function readScheme(text: string, at: number): Finding[] {
  if (at > 0 && /[A-Za-z0-9_-]/.test(text[at - 1]!)) return [];
  const scheme = match(/(?:bearer|basic)(?: {1,4}|%20)/iy, text, at);
  if (scheme === undefined) return [];
  const value = match(/[A-Za-z0-9+/_.~-]{8,8192}={0,2}/y, text, at + scheme.length);
  if (value === undefined) return [];
  // "basic authentication failed" is prose: a credential has digits or capitals.
  const isBasic = /^basic/i.test(scheme);
  const fits = isBasic ? isPair(value) : value.length >= 16 && /[0-9]/.test(value);
  const start = at + scheme.length;
  return fits ? [{ start, end: start + value.length, kind: isBasic ? 'basic-auth' : 'bearer-token' }] : [];
}

function plainValue(text: string, from: number, kind: string): Finding[] {
  let end = from;
  while (end < text.length && end - from < MAX_HEADER && !/[ \t-\r"'`\\]/.test(text[end]!)) end++;
  while (end > from && ',;)]}'.includes(text[end - 1]!)) end--;
  const value = text.slice(from, end);
  return value.length < 6 || isStandIn(value) || value.includes('${') ? [] : [{ start: from, end, kind }];
}

const COOKIE_ATTRIBUTES = /^(?:path|domain|expires|max-age|samesite|version|priority)$/i;

/** Each value of `Cookie:` and the one of `Set-Cookie:` (RFC 6265) that is long enough to be one. */
function readCookies(text: string, at: number): Finding[] {
  const head = match(/cookie[\\"']{0,8}[ \t]{0,8}[:=,][ \t]{0,8}[\\"'[]{0,8}/iy, text, at);
  if (head === undefined) return [];
  const findings: Finding[] = [];
  let from = at + head.length;
  const limit = Math.min(text.length, from + MAX_HEADER);
  while (from < limit) {
    const pair = match(/[ \t]*[A-Za-z0-9!#$%&*+.^_|~-]{1,128}=/y, text, from);
    if (pair === undefined) break;
    const start = from + pair.length;
    const value = match(/[^ \t-\r"'\\;,]{0,4096}/y, text, start) ?? '';
    const name = pair.trim().slice(0, -1);
    if (value.length >= 8 && !COOKIE_ATTRIBUTES.test(name) && !/^_g[ai]/.test(name) && !isStandIn(value)) {
      findings.push({ start, end: start + value.length, kind: 'cookie' });
    }
    from = start + value.length;
    if (text[from] !== ';') break;
    from++;
  }
  return findings;
}

/**
 * RFC 7468 armour. On one line (with `\n` written out) to its end; otherwise the rest of the line, left open: the lines after
 * it are the text engine's.
 */
function readArmour(text: string, at: number): Finding[] {
  const begin = text.lastIndexOf('-----BEGIN ', at);
  if (begin === -1 || at - begin > 40) return [];
  const newline = text.indexOf('\n', at);
  const lineEnd = newline === -1 ? text.length : text[newline - 1] === '\r' ? newline - 1 : newline;
  const end = text.indexOf('-----END ', at);
  if (end !== -1 && end < lineEnd && end - begin < MAX_BLOCK) {
    const tail = match(/-----END [A-Z0-9 ]{1,40}-----/y, text, end) ?? '-----END ';
    return [{ start: begin, end: end + tail.length, kind: 'private-key' }];
  }
  return [{ start: begin, end: Math.min(lineEnd, begin + MAX_BLOCK), kind: 'private-key', open: true }];
}

function match(pattern: RegExp, text: string, at: number): string | undefined {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0];
}
