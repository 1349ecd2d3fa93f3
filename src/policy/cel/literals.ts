import { CelBytes, CelDouble, CelUint, type CelValue, smallInt } from './values.ts';

/** Why a literal that the lexer accepts has no value. */
export class LiteralError extends Error {}

const INT64_MAX = 9223372036854775807n;
const INT64_MIN = -9223372036854775808n;
const UINT64_MAX = 18446744073709551615n;

export function intLiteral(text: string, negative: boolean): CelValue {
  const value = negative ? -BigInt(text) : BigInt(text);
  if (value > INT64_MAX || value < INT64_MIN) throw new LiteralError('invalid int literal');
  return smallInt(value);
}

export function uintLiteral(text: string): CelValue {
  const value = BigInt(text.slice(0, -1));
  if (value > UINT64_MAX) throw new LiteralError('invalid uint literal');
  return new CelUint(value);
}

export function doubleLiteral(text: string, negative: boolean): CelValue {
  const value = Number(text);
  if (!Number.isFinite(value)) throw new LiteralError('invalid double literal');
  return new CelDouble(negative ? -value : value);
}

const SIMPLE: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};

/** One escape, or one other character; the lexer has checked the form of the escapes. */
const PIECE = /\\(?:([xX])([0-9a-fA-F]{2})|([uU])([0-9a-fA-F]{8}|[0-9a-fA-F]{4})|([0-3][0-7][0-7])|(.))|[^\\]+/gsu;

interface Body {
  readonly raw: boolean;
  readonly text: string;
}

function body(lexeme: string): Body {
  const start = lexeme.search(/["']/);
  const raw = /[rR]/.test(lexeme.slice(0, start));
  const quote = lexeme[start]!.repeat(3);
  const triple = lexeme.length - start >= 6 && lexeme.startsWith(quote, start);
  const width = triple ? 3 : 1;
  return { raw, text: lexeme.slice(start + width, -width).replace(/\r\n?/g, '\n') };
}

/** `\U` takes eight digits and `\u` four, whatever follows. */
function unicodeEscapes(text: string): string {
  return text.replace(
    /\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|[^uU])/gs,
    (all: string, four?: string, eight?: string) => {
      const digits = four ?? eight;
      return digits === undefined ? all : `\\U${digits.padStart(8, '0')}`;
    },
  );
}

function codePoint(value: number): string {
  if (value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) throw new LiteralError('invalid unicode code point');
  return String.fromCodePoint(value);
}

export function stringLiteral(lexeme: string): string {
  const { raw, text } = body(lexeme);
  if (raw || !text.includes('\\')) return text;
  return unicodeEscapes(text).replace(PIECE, (...groups) => {
    const [all, , hex, , unicode, octal, simple] = groups as (string | undefined)[];
    if (hex !== undefined) return codePoint(Number.parseInt(hex, 16));
    if (unicode !== undefined) return codePoint(Number.parseInt(unicode, 16));
    if (octal !== undefined) return codePoint(Number.parseInt(octal, 8));
    return simple === undefined ? (all as string) : (SIMPLE[simple] ?? simple);
  });
}

/** In bytes, `\x` and octal escapes are bytes, not code points; `\u` has no meaning there. */
export function bytesLiteral(lexeme: string): CelBytes {
  const { raw, text } = body(lexeme);
  if (raw) return new CelBytes(Buffer.from(text, 'utf8'));
  const parts: Buffer[] = [];
  for (const groups of unicodeEscapes(text).matchAll(PIECE)) {
    const [all, , hex, , unicode, octal, simple] = groups;
    if (unicode !== undefined) throw new LiteralError('unable to unescape string');
    if (hex !== undefined) parts.push(Buffer.of(Number.parseInt(hex, 16)));
    else if (octal !== undefined) parts.push(Buffer.of(Number.parseInt(octal, 8)));
    else parts.push(Buffer.from(simple === undefined ? all : (SIMPLE[simple] ?? simple), 'utf8'));
  }
  return new CelBytes(Buffer.concat(parts));
}
