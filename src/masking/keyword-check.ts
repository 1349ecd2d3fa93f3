/**
 * Tells, from the bytes around a keyword, whether what its expression wants could stand there at all. Must never say no where
 * the expression would match: it only spares the making of strings.
 */
export type KeywordCheck = (bytes: Uint8Array, at: number, start: number, end: number) => boolean;

const ALNUM = 1;
const TOKEN = 2;
const NAME = 4;
const HEX = 8;
const CLASS = new Uint8Array(256);
const classify = (chars: string, as: number): void => {
  for (const char of chars) CLASS[char.charCodeAt(0)]! |= as;
};
const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
classify(LETTERS, ALNUM | TOKEN | NAME);
classify('_-./+=~%$:@', TOKEN);
classify('_-./', NAME);
classify('0123456789abcdefABCDEF', HEX);

/** No token is shorter. */
const MIN_TOKEN = 12;
const MAX_NAME = 96;
const MAX_USERINFO = 1024;

/** A token begins here: no letter or digit before it, unless an escape ends there, and enough of it behind. */
export const beginsToken: KeywordCheck = (bytes, at, start, end) => {
  if (!isBoundary(bytes, at, start)) return false;
  const to = at + MIN_TOKEN;
  if (to > end) return false;
  for (let i = at; i < to; i++) if ((CLASS[bytes[i]!]! & TOKEN) === 0) return false;
  return true;
};

/** What is looked for begins here, whatever follows. */
export const begins: KeywordCheck = (bytes, at, start) => isBoundary(bytes, at, start);

/** `\n`, `%3D` and the like end in a letter or digit. */
function isBoundary(bytes: Uint8Array, at: number, start: number): boolean {
  if (at === start || (CLASS[bytes[at - 1]!]! & ALNUM) === 0) return true;
  for (let i = at - 2; i >= start && i >= at - 6; i--) if (bytes[i] === 0x5c || bytes[i] === 0x25) return true;
  return false;
}

/** A name that goes on to a sign, a quote, an escape or a blank. */
export const assigns: KeywordCheck = (bytes, at, _start, end) => {
  let i = at;
  while (i < end && (CLASS[bytes[i]!]! & NAME) !== 0) if (++i - at > MAX_NAME) return true;
  if (i === end) return false;
  const c = bytes[i]!;
  // = : > | blank tab " ' ` \
  if (c === 0x3e || c === 0x7c) return true;
  return c === 0x3d || c === 0x3a || c === 0x20 || c === 0x09 || c === 0x22 || c === 0x27 || c === 0x60 || c === 0x5c;
};

/** A name that ends its line, or its element, as the value that a label has: `- name: DB_PASSWORD`, `<key>token</key>`. */
export const labels: KeywordCheck = (bytes, at, start, end) => {
  let i = at;
  while (i < end && (CLASS[bytes[i]!]! & NAME) !== 0) if (++i - at > MAX_NAME) return false;
  const c = i < end ? bytes[i]! : 0x0a;
  if (!isOneOf('\\\n\r,<"\' \t', c)) return false;
  let k = at - 1;
  while (k >= start && (CLASS[bytes[k]!]! & NAME) !== 0) if (at - --k > MAX_NAME) return false;
  while (k >= start && isOneOf(' \t"\'\\', bytes[k]!)) k--;
  // The e of `variable`.
  return k >= start && isOneOf(':=>e', bytes[k]!);
};

const isOneOf = (chars: string, c: number): boolean => chars.includes(String.fromCharCode(c));

/** Nothing but blanks follows on the line. */
export const endsLine: KeywordCheck = (bytes, at, _start, end) => {
  let i = at;
  while (i < end && bytes[i] !== 0x3a) i++;
  i++;
  while (i < end && (bytes[i] === 0x20 || bytes[i] === 0x09 || bytes[i] === 0x0d)) i++;
  // Or a backslash: the line's end, written out.
  return i >= end || bytes[i] === 0x0a || bytes[i] === 0x5c;
};

/** Nothing is read there. */
export const never: KeywordCheck = () => false;

/** ` -p` with something attached. */
export const attached: KeywordCheck = (bytes, at, _start, end) => at + 3 < end && bytes[at + 3]! > 0x20;

/** `://` with an `@` before what ends an authority. */
export const hasUserinfo: KeywordCheck = (bytes, at, _start, end) => {
  const to = Math.min(end, at + 3 + MAX_USERINFO);
  for (let i = at + 3; i < to; i++) {
    const c = bytes[i]!;
    if (c === 0x40) return true;
    if (c <= 0x20 || c === 0x22 || c === 0x27 || c === 0x2f || c === 0x3c || c === 0x3e || c === 0x60 || c === 0x5c)
      return false;
  }
  return false;
};

/** `%3a%2f`, which a keyword can only say with digits for digits. */
export const isEscapedScheme: KeywordCheck = (bytes, at) => bytes[at + 1] === 0x33 && bytes[at + 4] === 0x32;

/** An `@` between a name and a name with a dot in it. */
export const isAddress: KeywordCheck = (bytes, at, start, end) => {
  if (at === start || (CLASS[bytes[at - 1]!]! & TOKEN) === 0) return false;
  let i = at + 1;
  while (i < end && i - at < 80 && ((CLASS[bytes[i]!]! & ALNUM) !== 0 || bytes[i] === 0x2d)) i++;
  return i < end && bytes[i] === 0x2e;
};

/** Two capitals. */
export const isUpper: KeywordCheck = (bytes, at, start) =>
  bytes[at]! <= 0x5a && bytes[at + 1]! <= 0x5a && isBoundary(bytes, at, start);

/** Behind 32 hexadecimal digits, of which the nearest are looked at. */
export const followsHex: KeywordCheck = (bytes, at, start) => {
  if (at - start < 32) return false;
  for (let i = at - 8; i < at; i++) if ((CLASS[bytes[i]!]! & HEX) === 0) return false;
  return true;
};
