import { isUtf8 } from 'node:buffer';
import { trimmedEnd } from './blank.ts';
import type { Finding } from './finding.ts';
import { withoutHalves } from './json-string.ts';
import { classifyName, isPlausible, type NameClass } from './secret-name.ts';

const MAX_NAME = 96;
const MAX_VALUE = 65_536;
/** Of a value that nothing encloses. */
const MAX_PLAIN = 16_384;
const BACKSLASH = 0x5c;

/** What a program assigns: a call, a function, an element; the secret is not in the text. */
const CODE =
  /^(?:function\(|[A-Za-z_$][\w$]{0,63}(?:\.[A-Za-z_$][\w$]{0,63}){0,4}\(\)|[a-z_$][\w$]{0,63}(?:\.[A-Za-z_$][\w$]{0,63}){1,4}[([])/;

/** Words at which names of secrets are looked for. */
export const NAME_KEYWORDS: readonly string[] = [
  ...['pass', 'pwd', 'pw', 'secret', 'token', 'key', 'cred', 'psk', 'jwt', 'bearer', 'sessid', 'sid', 'sig', 'auth'],
];

/**
 * Reads `NAME = value` around a keyword: environment, YAML, properties, INI, TOML, logfmt, JSON at any depth of escaping,
 * query strings, connection strings, keyword arguments, flags. Linear in what it passes over, which is bounded.
 * @param at where the keyword begins
 * @returns the value's range
 */
export function readAssignment(text: string, at: number): Finding | undefined {
  let start = at;
  while (start > 0 && at - start < MAX_NAME && isNameChar(text.charCodeAt(start - 1))) start--;
  // \napi_key: the letter belongs to the escape.
  if (start < at && text.charCodeAt(start - 1) === BACKSLASH && 'nrt'.includes(text[start]!)) start++;
  let end = at;
  while (end < text.length && end - at < MAX_NAME && isNameChar(text.charCodeAt(end))) end++;
  const name = nameBetween(text, start, end);
  let named = classifyName(name);
  // "API key", "access token": two words in a sentence.
  if (named === 'none') {
    const before = /(?:^|[^A-Za-z])([A-Za-z]{2,12}) $/.exec(text.slice(Math.max(0, start - 16), start))?.[1];
    if (before === undefined) return undefined;
    named = classifyName(`${before}_${name}`);
    if (named === 'none') return undefined;
  }
  const value = valueRange(text, start, end) ?? looseRange(text, start, end, named);
  return value === undefined ? undefined : judge(text, value, named);
}

function nameBetween(text: string, start: number, end: number): string {
  // \n"password and friends: what stands before an escaped quote is not part of the name.
  return text
    .slice(start, end)
    .replace(/^[-.]+/, '')
    .replace(/\[[^\]]*\]?$/, '');
}

function judge(text: string, { start, end }: Range, named: NameClass): Finding | undefined {
  if (end - start > MAX_VALUE) return undefined;
  const value = text.slice(start, end);
  if (!isPlausible(value, named) || isBinary(value) || standsInBinary(text, start, end)) return undefined;
  // `user:${PASSWORD}@` and the like: a reference inside is a template, not a secret.
  if (/\$\{[A-Za-z_.]+\}|\{\{.*\}\}/.test(value)) return undefined;
  return { start, end, kind: kindOf(named) };
}

/** In a program or a picture two letters and a sign stand by chance. */
function isBinary(value: string): boolean {
  if (/[\0-\x08\x0e-\x1f\x7f]/.test(value)) return true;
  const high = value.match(/[\x80-\xff]/g)?.length ?? 0;
  return high * 4 > value.length && !isUtf8(Buffer.from(withoutHalves(value), 'latin1'));
}

/**
 * Random bytes hold `pw=…` once in some ten megabytes, and an archive that comes through changed is broken. What stands around
 * it tells: control characters and bytes that are no UTF-8. Text in an old encoding has the one without the other, and an
 * environment read from /proc the other without the one.
 */
function standsInBinary(text: string, start: number, end: number): boolean {
  const around = text.slice(Math.max(0, start - 64), end + 16);
  const high = around.match(/[\x80-\xff]/g)?.length ?? 0;
  if (high * 6 <= around.length || !/[\0-\x08\x0e-\x1a\x1c-\x1f\x7f]/.test(around)) return false;
  return !isUtf8(
    Buffer.from(withoutHalves(around).replace(/^[\x80-\xbf]{1,3}|[\xc0-\xff][\x80-\xbf]{0,2}$/g, ''), 'latin1'),
  );
}

/** The kind of a value that only its name tells of. */
export function kindOf(named: NameClass): string {
  return named === 'password' ? 'generic-password' : named === 'pair' ? 'basic-auth' : 'generic-credential';
}

interface Range {
  readonly start: number;
  readonly end: number;
}

const ELEMENT = /[^<>\n\\]{1,1024}(?=<)/y;

function valueRange(text: string, nameStart: number, nameEnd: number): Range | undefined {
  let at = nameEnd;
  let quoted = false;
  // The quote that closes the name, with as many backslashes as its depth in JSON has.
  while (at < text.length && (isQuote(text.charCodeAt(at)) || text.charCodeAt(at) === BACKSLASH)) {
    quoted ||= isQuote(text.charCodeAt(at));
    if (++at - nameEnd > 16) return undefined;
  }
  const blanksFrom = at;
  at = skipBlanks(text, at);
  const sign = text.charCodeAt(at);
  if (sign === 0x3d || sign === 0x3a) {
    at++;
    const second = text.charCodeAt(at);
    if (second === 0x3d || second === 0x3e) at++; // == => :=
    at = skipBlanks(text, at);
  } else if (sign === 0x3e && at === nameEnd && text[nameStart - 1] === '<') {
    // <password>…</password>
    ELEMENT.lastIndex = at + 1;
    const content = text[nameStart] === '/' ? undefined : ELEMENT.exec(text)?.[0];
    return content === undefined ? undefined : { start: at + 1, end: at + 1 + content.length };
  } else if (sign === 0x7c && /\|[ `*]{0,4}$/.test(text.slice(Math.max(0, nameStart - 6), nameStart))) {
    // | API_KEY | … |
    at = skipBlanks(text, at + 1);
    const cell = /[^|\n]{1,1024}(?= *\|)/y;
    cell.lastIndex = at;
    const length = trimmedEnd(cell.exec(text)?.[0] ?? '').length;
    return length === 0 ? undefined : { start: at, end: at + length };
  } else if (!isFlag(text, nameStart) || quoted || at === blanksFrom) return undefined;
  return readValue(text, at, nameStart, sign === 0x3d);
}

const INTRODUCES = /(?:^|[ \t-\r;&|"']|\\n)(?:ENV|ARG|setx|SET|login [^ \t-\r]{1,128}|account [^ \t-\r]{1,128}) {1,4}$/;
/** What ends a value that only a blank sets off from its name: the line's end, written out or not, or its quote. */
const LOOSE =
  /[ \t]{1,8}(?:(?:is|was|will be)[:]? {1,4})?((?:\\{0,4}["'])?)([^ \t-\r"'\\]{4,256})\1(?=[ \t-\r]*(?:$|\r|\n|\\[nr"]|,? (?:and|valid|for|until)\b|[.,;](?:[ \t-\r]|$)|"))/y;

/**
 * `password x` with nothing between: as a line of its own (.netrc, redis.conf), behind a word that introduces names (ENV, setx,
 * `login x`), or in a sentence (`your password is x`). Prose has the same form, so the value must not look like a word.
 */
function looseRange(text: string, nameStart: number, nameEnd: number, named: NameClass): Range | undefined {
  LOOSE.lastIndex = nameEnd;
  const found = LOOSE.exec(text);
  if (found === null) return undefined;
  const value = found[2]!.replace(/[.,;]$/, '');
  const start = nameEnd + found[0].length - found[2]!.length - found[1]!.length;
  const range = { start, end: start + value.length };
  const before = text.slice(Math.max(0, nameStart - 160), nameStart);
  if (before.endsWith(' ') && INTRODUCES.test(before)) return range;
  const isSentence = /^[ \t]+(?:is|was|will)\b/.test(found[0]);
  const isLine =
    /(?:^|[\n\r>]|\\n)[ \t]*$/.test(before) || /\d\d:\d\d:\d\d\S{0,24} (?:std(?:out|err) [FP] )?[ \t]*$/.test(before);
  if (!isSentence && !isLine) return undefined;
  // kubectl and its kin say `secret shop-db-2` on a line of its own: a machine's credential is longer and wilder.
  const floor = named === 'password' ? 6 : 16;
  return value.length >= floor && isWild(value) ? range : undefined;
}

/** Digits among letters, and no name of an object or a version. */
function isWild(value: string): boolean {
  if (!/[A-Za-z]/.test(value) || !(/[0-9]/.test(value) || /[a-z][A-Z].*[a-z]/.test(value))) return false;
  return !/^(?:v?\d+(?:\.\d+)*|[a-z]+(?:[-.][a-z]+)*-?\d{1,3}|\d+[a-z]{1,3}|[a-z/]+(?::[a-z0-9.]+)?)$/.test(value);
}

function readValue(text: string, at: number, nameStart: number, equals: boolean): Range | undefined {
  let slashes = 0;
  while (text.charCodeAt(at + slashes) === BACKSLASH && slashes < 16) slashes++;
  const quote = text.charCodeAt(at + slashes);
  if (isQuote(quote)) {
    const start = at + slashes + 1;
    return { start, end: closing(text, start, quote, slashes) };
  }
  let end = at;
  while (end < text.length && end - at <= MAX_PLAIN && !endsPlain(text.charCodeAt(end))) end++;
  // \n or \" inside a JSON string ends what stands unquoted there.
  const value = text.slice(at, end);
  const escaped = value.search(/\\+["'nrt]/);
  if (escaped !== -1) end = at + escaped;
  if (CODE.test(text.slice(at, Math.min(end, at + 256)))) return undefined;
  end = at + cutPlain(text, text.slice(at, end), nameStart, equals);
  return end > at ? { start: at, end } : undefined;
}

/** The quote with just as many backslashes before it; quotes of the value's own have more. */
function closing(text: string, start: number, quote: number, slashes: number): number {
  let run = 0;
  for (let i = start; i < text.length && i - start <= MAX_VALUE; i++) {
    const c = text.charCodeAt(i);
    if (c === 0x0a) return i;
    if (c === BACKSLASH) run++;
    else {
      if (c === quote && run <= slashes && (run === slashes || run % 2 === 0)) return i - run;
      run = 0;
    }
  }
  return Math.min(text.length, start + MAX_VALUE);
}

/** Where the value ends in queries, connection strings and argument lists. */
function cutPlain(text: string, value: string, nameStart: number, equals: boolean): number {
  let length = value.length;
  const before = text[nameStart - 1] ?? '';
  if (equals) {
    if (before === '?' || before === '&') length = shorter(length, value.indexOf('&'));
    length = shorter(length, value.search(/[;,&][A-Za-z_][\w .-]{0,40}=/));
    if (before === ';') length = shorter(length, value.indexOf(';'));
  } else length = shorter(length, value.search(/[,;][A-Za-z_"'{]/));
  while (length > 0 && ',;)]}'.includes(value[length - 1]!)) length--;
  return length;
}

const shorter = (length: number, cut: number): number => (cut === -1 ? length : Math.min(length, cut));

/** `--password x`: a flag takes what follows the blank. */
function isFlag(text: string, nameStart: number): boolean {
  return text.startsWith('--', nameStart) || (text[nameStart] === '-' && /[\s"']/.test(text[nameStart - 1] ?? ' '));
}

function skipBlanks(text: string, at: number): number {
  let end = at;
  while (end - at < 32 && (text.charCodeAt(end) === 0x20 || text.charCodeAt(end) === 0x09)) end++;
  return end;
}

const isQuote = (c: number): boolean => c === 0x22 || c === 0x27 || c === 0x60;
const endsPlain = (c: number): boolean => c <= 0x20 || c === 0x22 || c === 0x27 || c === 0x60;

/** Letters, digits, `_ - . / [ ]`. */
function isNameChar(c: number): boolean {
  return (
    (c >= 0x61 && c <= 0x7a) ||
    (c >= 0x41 && c <= 0x5a) ||
    (c >= 0x30 && c <= 0x39) ||
    c === 0x5f ||
    c === 0x2d ||
    c === 0x2e ||
    c === 0x2f
  );
}
