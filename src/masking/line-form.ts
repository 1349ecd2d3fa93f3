import { readJsonString } from './json-string.ts';

/** How lines stand in bytes: as they are, or in a string of JSON, where a line ends with `\\n` written out. */
export interface LineForm {
  readonly escaped: boolean;
  /** Behind the end of the line that a byte is in; the end of the bytes, where the line has none. */
  lineEnd(bytes: Buffer, at: number): number;
  /** Where the line begins that a byte is in, not before `from`. */
  lineStart(bytes: Buffer, at: number, from: number): number;
  /** One character a byte. */
  read(bytes: Buffer, start: number, end: number): string;
}

const LINE_FEED = 0x0a;
const BACKSLASH = 0x5c;
const LETTER_N = 0x6e;

export const PLAIN_LINES: LineForm = {
  escaped: false,
  lineEnd(bytes, at) {
    const found = bytes.indexOf(LINE_FEED, at);
    return found === -1 ? bytes.length : found + 1;
  },
  lineStart(bytes, at, from) {
    let start = at;
    while (start > from && bytes[start - 1] !== LINE_FEED) start--;
    return start;
  },
  read: (bytes, start, end) => bytes.toString('latin1', start, end),
};

export const ESCAPED_LINES: LineForm = {
  escaped: true,
  lineEnd(bytes, at) {
    const { length } = bytes;
    for (let i = at; i + 1 < length; i++) {
      if (bytes[i] !== BACKSLASH) continue;
      // What begins within an escape is told by what stands before.
      if (i === at && isEscaped(bytes, i, 0)) continue;
      if (bytes[i + 1] === LETTER_N) return i + 2;
      i++;
    }
    return length;
  },
  lineStart(bytes, at, from) {
    for (let start = at; start > from + 1; start--) {
      if (bytes[start - 1] === LETTER_N && bytes[start - 2] === BACKSLASH && !isEscaped(bytes, start - 2, from))
        return start;
    }
    return from;
  },
  read: (bytes, start, end) => readJsonString(bytes.toString('latin1', start, end)),
};

/** Whether an odd number of backslashes stands before a byte, from `from` on. */
export function isEscaped(bytes: Uint8Array, at: number, from: number): boolean {
  let first = at;
  while (first > from && bytes[first - 1] === BACKSLASH) first--;
  return (at - first) % 2 === 1;
}

/** Near a place, where a string of JSON can be cut without cutting an escape or a pair of them. */
export function cutOf(bytes: Buffer, near: number, from: number): number {
  for (let at = near - 1; at > near - 12 && at > from; at--) {
    if (bytes[at] !== BACKSLASH || isEscaped(bytes, at, from)) continue;
    const length = bytes[at + 1] === 0x75 ? (isHigh(bytes, at) ? 12 : 6) : 2;
    if (at + length > near) return at;
    break;
  }
  return near;
}

/** `\\ud8…` to `\\udb…`: half a character, whose other half follows. */
function isHigh(bytes: Buffer, at: number): boolean {
  return (bytes[at + 2]! | 0x20) === 0x64 && /[89ab]/i.test(String.fromCharCode(bytes[at + 3]!));
}
