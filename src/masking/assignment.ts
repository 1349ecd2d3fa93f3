import type { Finding } from './finding.ts';
import { classifyName, isPlausible, type NameClass } from './secret-name.ts';

const MAX_NAME = 96;
const MAX_VALUE = 65_536;
const BACKSLASH = 0x5c;

/** What a program assigns: a call, a function, an element; the secret is not in the text. */
const CODE =
  /^(?:function\(|[A-Za-z_$][\w$]{0,63}(?:\.[A-Za-z_$][\w$]{0,63}){0,4}\(\)|[a-z_$][\w$]{0,63}(?:\.[A-Za-z_$][\w$]{0,63}){1,4}[([])/;

/** Words at which names of secrets are looked for. */
export const NAME_KEYWORDS: readonly string[] = [
  ...['pass', 'pwd', 'secret', 'token', 'apikey', 'key', 'cred', 'psk', 'jwt', 'bearer', 'sessid', 'sid', 'sig'],
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
  let end = at;
  while (end < text.length && end - at < MAX_NAME && isNameChar(text.charCodeAt(end))) end++;
  const value = valueRange(text, start, end);
  if (value === undefined) return undefined;
  const named = classifyName(nameBetween(text, start, end));
  if (named === 'none') return undefined;
  return judge(text, value, named);
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
  if (!isPlausible(value, named)) return undefined;
  // `user:${PASSWORD}@` and the like: a reference inside is a template, not a secret.
  if (/\$\{[A-Za-z_.]+\}|\{\{.*\}\}/.test(value)) return undefined;
  return { start, end, kind: named === 'password' ? 'generic-password' : 'generic-credential' };
}

interface Range {
  readonly start: number;
  readonly end: number;
}

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
  } else if (!isFlag(text, nameStart) || quoted || at === blanksFrom) return undefined;
  return readValue(text, at, nameStart, sign === 0x3d);
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
  while (end < text.length && end - at <= MAX_VALUE && !endsPlain(text.charCodeAt(end))) end++;
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
