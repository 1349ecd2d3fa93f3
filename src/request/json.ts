import { SallyportError } from '../errors.ts';

/**
 * JSON with one reading (RFC 8259, I-JSON of RFC 7493): no duplicate names, valid Unicode, bounded depth. Numbers keep
 * their text, since 2^53 + 1 and 1.0 must not become something else between the decision and the API server.
 */
export type Json = null | boolean | string | JsonNumber | Json[] | JsonObject;
/** A Map, because a name may be `__proto__`. Order as written. */
export type JsonObject = Map<string, Json>;

export class JsonNumber {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** Go allows 10,000; no Kubernetes object comes near 100. */
export const MAX_JSON_DEPTH = 512;
/** Objects and arrays in one body: 3 MiB of `{},` would otherwise become some hundred MiB of memory. */
export const MAX_JSON_CONTAINERS = 200_000;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const CLOSE_ARRAY = 0x5d;
const CLOSE_OBJECT = 0x7d;

/**
 * @param text one JSON value, white space around it allowed
 * @throws SallyportError SP_BAD_REQUEST with the line of the fault; the message holds nothing of the text but names
 */
export function parseJson(text: string): Json {
  return new Parser(text).document();
}

/** Bytes to text: UTF-8 without a byte order mark. Go would put U+FFFD in place of bad bytes, and read on. */
export function decodeUtf8(bytes: Uint8Array): string {
  let text: string;
  try {
    text = UTF8.decode(bytes);
  } catch {
    throw new SallyportError('SP_BAD_REQUEST', 'the body is not valid UTF-8');
  }
  if (text.charCodeAt(0) === 0xfeff)
    throw new SallyportError('SP_BAD_REQUEST', 'the body begins with a byte order mark');
  return text;
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const MAX_NUMBER_LENGTH = 400;

class Parser {
  readonly #text: string;
  #at = 0;
  #containers = 0;

  constructor(text: string) {
    this.#text = text;
  }

  document(): Json {
    this.#space();
    const value = this.#value(0);
    this.#space();
    if (this.#at < this.#text.length) throw this.#fault('something follows the JSON value');
    return value;
  }

  #value(depth: number): Json {
    switch (this.#text[this.#at]) {
      case '{':
        return this.#object(depth + 1);
      case '[':
        return this.#array(depth + 1);
      case '"':
        return this.#string();
      case 't':
        return this.#word('true', true);
      case 'f':
        return this.#word('false', false);
      case 'n':
        return this.#word('null', null);
      case undefined:
        throw this.#fault('the JSON ends too early');
      default:
        return this.#number();
    }
  }

  #object(depth: number): JsonObject {
    this.#enter(depth);
    const object: JsonObject = new Map();
    if (this.#next() === CLOSE_OBJECT) {
      this.#at++;
      return object;
    }
    for (;;) {
      if (this.#text.charCodeAt(this.#at) !== QUOTE) throw this.#fault('a member name must be a string');
      const name = this.#string();
      // Go's decoders take the last of two, or merge them; a reader that takes the first decides on another object.
      if (object.has(name)) throw this.#fault(`the name ${quoted(name)} stands twice in one object`);
      if (this.#next() !== COLON) throw this.#fault('a colon is missing');
      this.#at++;
      this.#space();
      object.set(name, this.#value(depth));
      const code = this.#next();
      this.#at++;
      if (code === CLOSE_OBJECT) return object;
      if (code !== COMMA) throw this.#fault('a comma or the end of the object is missing');
      this.#space();
    }
  }

  #array(depth: number): Json[] {
    this.#enter(depth);
    const array: Json[] = [];
    if (this.#next() === CLOSE_ARRAY) {
      this.#at++;
      return array;
    }
    for (;;) {
      array.push(this.#value(depth));
      const code = this.#next();
      this.#at++;
      if (code === CLOSE_ARRAY) return array;
      if (code !== COMMA) throw this.#fault('a comma or the end of the array is missing');
      this.#space();
    }
  }

  #enter(depth: number): void {
    if (depth > MAX_JSON_DEPTH) throw this.#fault(`the JSON is nested deeper than ${MAX_JSON_DEPTH}`);
    if (++this.#containers > MAX_JSON_CONTAINERS)
      throw this.#fault(`the JSON has more than ${MAX_JSON_CONTAINERS} objects and arrays`);
    this.#at++;
  }

  #string(): string {
    const text = this.#text;
    const start = this.#at;
    let escaped = false;
    for (let i = start + 1; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code === QUOTE) {
        this.#at = i + 1;
        return escaped ? this.#unescape(start, i + 1) : text.slice(start + 1, i);
      }
      if (code === BACKSLASH) {
        escaped = true;
        i++;
      } else if (code < 0x20) {
        this.#at = i;
        throw this.#fault('a string holds a bare control character');
      }
    }
    throw this.#fault('a string has no end');
  }

  #unescape(start: number, end: number): string {
    let value: unknown;
    try {
      value = JSON.parse(this.#text.slice(start, end));
    } catch {
      throw this.#fault('a string holds an invalid escape');
    }
    // Go reads half a surrogate pair as U+FFFD: two names that differ here would be one there.
    if (typeof value !== 'string' || !value.isWellFormed()) throw this.#fault('a string holds half a surrogate pair');
    return value;
  }

  #number(): JsonNumber {
    NUMBER.lastIndex = this.#at;
    const text = NUMBER.exec(this.#text)?.[0];
    if (text === undefined) throw this.#fault('not a JSON value');
    if (text.length > MAX_NUMBER_LENGTH || !Number.isFinite(Number(text)))
      throw this.#fault('a number is out of range');
    this.#at += text.length;
    return new JsonNumber(text);
  }

  #word<T>(word: string, value: T): T {
    if (!this.#text.startsWith(word, this.#at)) throw this.#fault('not a JSON value');
    this.#at += word.length;
    return value;
  }

  /** Skips white space and gives the character after it. */
  #next(): number {
    this.#space();
    return this.#text.charCodeAt(this.#at);
  }

  #space(): void {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
      this.#at++;
    }
  }

  #fault(what: string): SallyportError {
    let line = 1;
    for (let i = this.#text.indexOf('\n'); i >= 0 && i < this.#at; i = this.#text.indexOf('\n', i + 1)) line++;
    return new SallyportError('SP_BAD_REQUEST', `the JSON body is refused: ${what} (line ${line})`);
  }
}

/** Names go into messages, values never: a value may be a secret. */
export function quoted(name: string): string {
  return JSON.stringify(name.length > 60 ? `${name.slice(0, 60)}…` : name);
}

/**
 * Characters that YAML readers take for line breaks, refuse, or drop (YAML 1.1 §5.1): escaped, so that what is sent as
 * `apply-patch+yaml` is the same value to a JSON and to a YAML reader.
 */
const NOT_FOR_YAML = /[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g;

/** Compact JSON, order kept, numbers by their text. */
export function writeJson(value: Json): string {
  if (value === null || typeof value === 'boolean') return String(value);
  if (typeof value === 'string') return writeString(value);
  if (value instanceof JsonNumber) return value.text;
  if (Array.isArray(value)) {
    let out = '[';
    for (let i = 0; i < value.length; i++) out += (i === 0 ? '' : ',') + writeJson(value[i]!);
    return `${out}]`;
  }
  let out = '{';
  for (const [name, member] of value) out += `${out === '{' ? '' : ','}${writeString(name)}:${writeJson(member)}`;
  return `${out}}`;
}

function writeString(text: string): string {
  return JSON.stringify(text).replace(
    NOT_FOR_YAML,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

export function isObject(value: Json | undefined): value is JsonObject {
  return value instanceof Map;
}

/** The member at a path of names; undefined where there is none. */
export function memberAt(value: Json | undefined, ...names: readonly string[]): Json | undefined {
  for (const name of names) {
    if (!isObject(value)) return undefined;
    value = value.get(name);
  }
  return value;
}
