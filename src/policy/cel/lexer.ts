import type { Source } from './source.ts';

export type TokenKind =
  | 'identifier'
  | 'quotedField'
  | 'int'
  | 'uint'
  | 'double'
  | 'string'
  | 'bytes'
  | 'symbol'
  | 'end';

export interface Token {
  readonly kind: TokenKind;
  /** As written; for a symbol (operators, brackets, `in`, `true`, `false`, `null`) the symbol itself. */
  readonly text: string;
  readonly offset: number;
}

const KEYWORDS = new Set(['in', 'true', 'false', 'null']);

const BLANK = /(?:[\t \r\n\f]+|\/\/[^\n]*)+/y;
const IDENTIFIER = /[A-Za-z_][A-Za-z0-9_]*/y;
const QUOTED_FIELD = /`[A-Za-z0-9_.\-/ ]+`/y;
const DOUBLE = /(?:[0-9]+(?:\.[0-9]+(?:[eE][+-]?[0-9]+)?|[eE][+-]?[0-9]+)|\.[0-9]+(?:[eE][+-]?[0-9]+)?)/y;
const INT = /(?:0x[0-9a-fA-F]+|[0-9]+)/y;
const SYMBOL = /==|!=|<=|>=|&&|\|\||[<>[\]{}().,\-!?:+*/%]/y;
const STRING_START = /(?:[bB]?[rR]?)(?:"""|'''|"|')/y;

const ESCAPE = String.raw`\\(?:[abfnrtv"'\\?${'`'}]|[0-3][0-7][0-7]|[xX][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})`;
/** What may follow an opening quote, up to and with the closing one. Without nested repetition: these must stay linear. */
const STRING_REST: Readonly<Record<string, RegExp>> = {
  '"': new RegExp(String.raw`(?:[^\\"\n\r]|${ESCAPE})*"`, 'y'),
  "'": new RegExp(String.raw`(?:[^\\'\n\r]|${ESCAPE})*'`, 'y'),
  '"""': new RegExp(String.raw`(?:(?!""")[^\\]|${ESCAPE})*"""`, 'y'),
  "'''": new RegExp(String.raw`(?:(?!''')[^\\]|${ESCAPE})*'''`, 'y'),
  'r"': /[^"\n\r]*"/y,
  "r'": /[^'\n\r]*'/y,
  'r"""': /(?:(?!""").)*"""/sy,
  "r'''": /(?:(?!''').)*'''/sy,
};

/** Splits an expression into tokens; the last one is `end`. */
export function tokenize(source: Source): Token[] {
  const { text } = source;
  const tokens: Token[] = [];
  let at = 0;

  const match = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    return pattern.exec(text)?.[0];
  };
  const push = (kind: TokenKind, lexeme: string): void => {
    tokens.push({ kind, text: lexeme, offset: at });
    at += lexeme.length;
  };

  for (;;) {
    at += match(BLANK)?.length ?? 0;
    if (at >= text.length) break;

    const start = match(STRING_START);
    if (start !== undefined) {
      const lexeme = stringAt(text, at, start);
      if (lexeme === undefined) throw unrecognized(source, at);
      push(/^[bB]/.test(start) ? 'bytes' : 'string', lexeme);
      continue;
    }
    const identifier = match(IDENTIFIER);
    if (identifier !== undefined) {
      push(KEYWORDS.has(identifier) ? 'symbol' : 'identifier', identifier);
      continue;
    }
    const double = match(DOUBLE);
    if (double !== undefined) {
      push('double', double);
      continue;
    }
    const int = match(INT);
    if (int !== undefined) {
      const suffix = text[at + int.length];
      if (suffix === 'u' || suffix === 'U') push('uint', int + suffix);
      else push('int', int);
      continue;
    }
    const quoted = match(QUOTED_FIELD);
    if (quoted !== undefined) {
      push('quotedField', quoted);
      continue;
    }
    const symbol = match(SYMBOL);
    if (symbol === undefined) throw unrecognized(source, at);
    push('symbol', symbol);
  }
  tokens.push({ kind: 'end', text: '<EOF>', offset: text.length });
  return tokens;
}

function stringAt(text: string, at: number, start: string): string | undefined {
  const key = start.replace(/^[bB]/, '').replace('R', 'r');
  // `""` opens as `""` and closes at once, but `"""` is longer and wins, unless nothing closes it.
  for (const quote of key.length > 2 && key.endsWith(key[key.length - 1]!.repeat(3))
    ? [key, key.slice(0, -2)]
    : [key]) {
    const rest = STRING_REST[quote]!;
    rest.lastIndex = at + start.length - (key.length - quote.length);
    const found = rest.exec(text)?.[0];
    if (found !== undefined) return text.slice(at, rest.lastIndex);
  }
  return undefined;
}

function unrecognized(source: Source, at: number): Error {
  const shown = source.text.slice(at, at + 20).split('\n', 1)[0];
  return source.error(at, `Syntax error: token recognition error at: '${shown}'`);
}
