/** An offset that no buffer reaches: what stands behind it is written nowhere. */
const NO_ROOM = 1 << 29;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** What stands for a byte in a JSON string, behind a backslash where `ESCAPED` is 1 (RFC 8259, 7). */
const LETTER = Uint8Array.from({ length: 0x100 }, (_, byte) => byte);
/** 1: behind a backslash; 2: as `\u` and four digits. */
const ESCAPED = new Uint8Array(0x100).fill(2, 0, 0x20);
for (const [character, letter] of ['""', '\\\\', '\bb', '\ff', '\nn', '\rr', '\tt'] as const) {
  LETTER[character!.charCodeAt(0)] = letter!.charCodeAt(0);
  ESCAPED[character!.charCodeAt(0)] = 1;
}

/** From so many characters on V8 copies a string faster than it is read here, the way into V8 included. */
const LONG = 48;
/** A string as UTF-8, before it is escaped. */
const raw = Buffer.alloc(48 << 10);

/**
 * Writers of JSON into bytes, the same that `JSON.stringify` would write. Each takes where it begins and gives where it ends: beyond
 * the end of `out`, where there is no room; nothing is ever written there.
 */
export function put(out: Buffer, at: number, bytes: Buffer): number {
  if (at + bytes.length > out.length) return NO_ROOM;
  out.set(bytes, at);
  return at + bytes.length;
}

/** What is seldom there, or has no fixed members. */
export function putValue(out: Buffer, at: number, value: unknown): number {
  return put(out, at, Buffer.from(JSON.stringify(value)));
}

const known = new WeakMap<object, Buffer>();

/** @param value was made once for many lines, and is changed by nobody: its bytes are made once as well */
export function putRemembered(out: Buffer, at: number, value: object): number {
  let json = known.get(value);
  if (json === undefined) {
    json = Buffer.from(JSON.stringify(value));
    known.set(value, json);
  }
  return put(out, at, json);
}

export function putText(out: Buffer, at: number, text: string): number {
  const { length } = text;
  // At most three bytes for a character of UTF-16, and two for each of them.
  if (3 * length > raw.length || at + 2 * length + 2 > out.length) return putValue(out, at, text);
  out[at] = QUOTE;
  const end = length < LONG ? escaped(out, at + 1, text) : escapedUTF8(out, at + 1, text);
  if (end === undefined) return putValue(out, at, text);
  out[end] = QUOTE;
  return end + 1;
}

/**
 * Without a branch that depends on a character: quotes come too irregularly to be foreseen.
 * @returns undefined where a character wants more than a backslash
 */
function escaped(out: Buffer, at: number, text: string): number | undefined {
  let to = at;
  let seen = 0;
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    const byte = unit & 0x7f;
    const how = ESCAPED[byte]!;
    seen |= how | ((unit >> 7) << 1);
    out[to] = BACKSLASH;
    to += how & 1;
    out[to] = LETTER[byte]!;
    to += 1;
  }
  return seen > 1 ? undefined : to;
}

/** The same, of bytes. Beyond ASCII they stand as they are; half of a surrogate pair has none. */
function escapedUTF8(out: Buffer, at: number, text: string): number | undefined {
  const size = raw.write(text);
  if (size !== text.length && !text.isWellFormed()) return undefined;
  if (at + 2 * size + 1 > out.length) return undefined;
  let to = at;
  let seen = 0;
  for (let index = 0; index < size; index += 1) {
    const byte = raw[index]!;
    const how = ESCAPED[byte]!;
    seen |= how;
    out[to] = BACKSLASH;
    to += how & 1;
    out[to] = LETTER[byte]!;
    to += 1;
  }
  return seen > 1 ? undefined : to;
}

/** Whole numbers, and durations with two decimals, digit by digit; others as V8 writes them. */
export function putNumber(out: Buffer, at: number, value: number): number {
  const hundredths = Math.round(value * 100);
  // A decimal of so few digits is the shortest one for its number, and no other number's.
  if (!(hundredths >= 0 && hundredths < 0x3fff_ffff) || hundredths / 100 !== value) return putValue(out, at, value);
  const decimals = hundredths % 100;
  let to = putWhole(out, at, (hundredths - decimals) / 100);
  if (decimals === 0) return to;
  out[to++] = 0x2e;
  out[to++] = 0x30 + Math.floor(decimals / 10);
  if (decimals % 10 !== 0) out[to++] = 0x30 + (decimals % 10);
  return to;
}

function putWhole(out: Buffer, at: number, value: number): number {
  let length = 1;
  for (let rest = value; rest >= 10; rest = Math.floor(rest / 10)) length += 1;
  let rest = value;
  for (let index = at + length - 1; index >= at; index -= 1) {
    out[index] = 0x30 + (rest % 10);
    rest = Math.floor(rest / 10);
  }
  return at + length;
}
