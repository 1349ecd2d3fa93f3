import { decodeEscapes, refuse } from './target.ts';

/** More than any client sends; an exec's argv is one parameter per word. */
export const MAX_PARAMETERS = 1000;

const AMPERSAND = 0x26;
const EQUALS = 0x3d;
const PLUS = 0x2b;
const PERCENT = 0x25;

/** 0 refused, 1 stands for itself in the canonical form, 2 is accepted and written as an escape. */
const QUERY_CHARACTER = new Uint8Array(128);
for (const character of "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.!~*'()") {
  QUERY_CHARACTER[character.charCodeAt(0)] = 1;
}
// What RFC 3986 or browsers (WHATWG URL) leave bare in a query. `;` is missing on purpose: Go drops a pair with it.
for (const character of '$,/:?@[]{}|^`\\') QUERY_CHARACTER[character.charCodeAt(0)] = 2;

/** Go's `strings.EqualFold` folds by Unicode: `fal\u017fe` (long s) is false there, and must be here. */
const FALSE = /^false$/iu;

/**
 * A query string as Go's `url.ParseQuery` reads it: order kept, repetition kept, `get` gives the first value.
 * Where Go silently drops a pair (a `;`, a malformed escape) this refuses: what is dropped by one reader is read by another.
 */
export class Query {
  /** The one spelling: without `?`, order kept, a space is `%20`. */
  readonly canonical: string;
  /** Names and values in turn, decoded. */
  readonly #pairs: readonly string[];

  private constructor(canonical: string, pairs: readonly string[]) {
    this.canonical = canonical;
    this.#pairs = pairs;
  }

  static readonly empty = new Query('', []);

  /**
   * @param raw without the `?`
   * @param keepBare keep `name` apart from `name=` (behind a proxy subresource the program there may tell them apart;
   *   the API server does not)
   */
  static parse(raw: string, keepBare = false): Query {
    if (raw === '') return Query.empty;
    const pairs: string[] = [];
    let canonical = '';
    let start = 0;
    let equals = -1;
    let odd = false;
    const length = raw.length;
    for (let i = 0; i <= length; i++) {
      const code = i === length ? AMPERSAND : raw.charCodeAt(i);
      if (code !== AMPERSAND) {
        if (code < 128 && QUERY_CHARACTER[code] === 1) continue;
        if (code === EQUALS) {
          if (equals < 0) equals = i;
          else odd = true;
        } else if (code === PERCENT || code === PLUS || (code < 128 && QUERY_CHARACTER[code] === 2)) {
          odd = true;
        } else {
          throw refuse(
            `the query holds the character U+${code.toString(16).toUpperCase().padStart(4, '0')}: it must be percent-encoded`,
          );
        }
        continue;
      }
      if (i > start) {
        const bare = equals < 0;
        let name = raw.slice(start, bare ? i : equals);
        let value = bare ? '' : raw.slice(equals + 1, i);
        let written: string;
        if (odd) {
          name = decode(name);
          value = decode(value);
          written = encodeURIComponent(name) + (bare && keepBare ? '' : `=${encodeURIComponent(value)}`);
          for (let k = 0; k < name.length; k++) {
            const c = name.charCodeAt(k);
            if (c < 0x20 || c === 0x7f) throw refuse('a query parameter has a control character in its name');
          }
          // A C string ends there: argv and names would be read differently behind it.
          if (value.includes('\0')) throw refuse('a query parameter holds a NUL');
        } else {
          written = bare && !keepBare ? `${raw.slice(start, i)}=` : raw.slice(start, i);
        }
        if (name === '') throw refuse('a query parameter has no name');
        if (pairs.length >= MAX_PARAMETERS * 2) throw refuse(`the query has more than ${MAX_PARAMETERS} parameters`);
        pairs.push(name, value);
        canonical = canonical === '' ? written : `${canonical}&${written}`;
      }
      start = i + 1;
      equals = -1;
      odd = false;
    }
    return new Query(canonical, pairs);
  }

  /** The first value, or undefined when the parameter is absent. */
  get(name: string): string | undefined {
    const pairs = this.#pairs;
    for (let i = 0; i < pairs.length; i += 2) if (pairs[i] === name) return pairs[i + 1]!;
    return undefined;
  }

  /** All values in order; empty when absent. */
  getAll(name: string): string[] {
    const values: string[] = [];
    const pairs = this.#pairs;
    for (let i = 0; i < pairs.length; i += 2) if (pairs[i] === name) values.push(pairs[i + 1]!);
    return values;
  }

  /**
   * A boolean as Kubernetes converts it (apimachinery `Convert_Slice_string_To_bool`): false when absent, `0` or any
   * case of `false`; everything else is true, the empty string and `no` included.
   */
  flag(name: string): boolean {
    const value = this.get(name);
    return value !== undefined && value !== '0' && !FALSE.test(value);
  }

  *entries(): IterableIterator<[name: string, value: string]> {
    const pairs = this.#pairs;
    for (let i = 0; i < pairs.length; i += 2) yield [pairs[i]!, pairs[i + 1]!];
  }
}

function decode(text: string): string {
  return decodeEscapes(text.includes('+') ? text.replaceAll('+', ' ') : text, 'query');
}
