const BACKSLASH = 0x5c;

/**
 * The content of a JSON string (between its quotes) as UTF-8, one character a byte. A lone surrogate becomes its three bytes
 * of generalised UTF-8, so that it comes out as it went in.
 * @throws SyntaxError for an escape that JSON does not know
 */
export function readJsonString(raw: string): string {
  let at = raw.indexOf('\\');
  if (at === -1) return raw;
  // No escape is shorter than what it stands for.
  const out = Buffer.allocUnsafe(raw.length);
  let length = out.write(raw.slice(0, at), 0, 'latin1');
  const end = raw.length;
  while (at < end) {
    const c = raw.charCodeAt(at);
    if (c !== BACKSLASH) {
      out[length++] = c;
      at++;
      continue;
    }
    const sign = raw.charCodeAt(at + 1);
    if (sign === 0x75) {
      let point = unitAt(raw, at);
      at += 6;
      if (point >= 0xd800 && point < 0xdc00 && raw.charCodeAt(at) === BACKSLASH && raw.charCodeAt(at + 1) === 0x75) {
        const low = unitAt(raw, at);
        if (low >= 0xdc00 && low < 0xe000) {
          point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
          at += 6;
        }
      }
      length = writeUtf8(out, length, point);
      continue;
    }
    const byte = ESCAPES[sign];
    if (byte === undefined || byte === 0) throw new SyntaxError('not a JSON escape');
    out[length++] = byte;
    at += 2;
  }
  return out.toString('latin1', 0, length);
}

/** What stands behind a backslash, and what it means; 0: nothing. */
const ESCAPES = new Uint8Array(128);
for (const [i, sign] of [...'"\\/bfnrt'].entries()) ESCAPES[sign.charCodeAt(0)] = '"\\/\b\f\n\r\t'.charCodeAt(i);

function unitAt(raw: string, at: number): number {
  let unit = 0;
  for (let i = at + 2; i < at + 6; i++) {
    const digit = HEX.indexOf(raw[i] ?? '?');
    if (digit === -1) throw new SyntaxError('not a JSON escape');
    unit = unit * 16 + (digit > 15 ? digit - 6 : digit);
  }
  return unit;
}

const HEX = '0123456789abcdefABCDEF';

function writeUtf8(out: Buffer, at: number, point: number): number {
  let length = at;
  if (point < 0x80) out[length++] = point;
  else if (point < 0x800) {
    out[length++] = 0xc0 | (point >> 6);
    out[length++] = 0x80 | (point & 63);
  } else if (point < 0x10000) {
    out[length++] = 0xe0 | (point >> 12);
    out[length++] = 0x80 | ((point >> 6) & 63);
    out[length++] = 0x80 | (point & 63);
  } else {
    out[length++] = 0xf0 | (point >> 18);
    out[length++] = 0x80 | ((point >> 12) & 63);
    out[length++] = 0x80 | ((point >> 6) & 63);
    out[length++] = 0x80 | (point & 63);
  }
  return length;
}

/** By byte: what follows the backslash; 0: nothing is escaped; 1: `\u00` and two digits. */
const WRITTEN = new Uint8Array(256).fill(1, 0, 0x20);
for (const [byte, sign] of [
  ['"', '"'],
  ['\\', '\\'],
  ['\b', 'b'],
  ['\f', 'f'],
  ['\n', 'n'],
  ['\r', 'r'],
  ['\t', 't'],
] as const) {
  WRITTEN[byte.charCodeAt(0)] = sign.charCodeAt(0);
}

/** The reverse, with the quotes. */
export function writeJsonString(text: string): string {
  if (!NEEDS_ESCAPE.test(text)) return `"${text}"`;
  const bytes = Buffer.from(text, 'latin1');
  let size = bytes.length + 2;
  for (let i = 0; i < bytes.length; i++) {
    const sign = WRITTEN[bytes[i]!]!;
    if (sign !== 0) size += sign === 1 ? 5 : 1;
    else if (bytes[i] === 0xed && isSurrogate(bytes, i)) size += 3;
  }
  const out = Buffer.allocUnsafe(size);
  let length = 0;
  out[length++] = 0x22;
  for (let i = 0; i < bytes.length; i++) {
    const c = bytes[i]!;
    const sign = WRITTEN[c]!;
    if (sign > 1) {
      out[length++] = BACKSLASH;
      out[length++] = sign;
    } else if (sign === 1) length += out.write(`\\u00${c.toString(16).padStart(2, '0')}`, length, 'latin1');
    else if (c === 0xed && isSurrogate(bytes, i)) {
      const unit = ((c & 15) << 12) | ((bytes[i + 1]! & 63) << 6) | (bytes[i + 2]! & 63);
      length += out.write(`\\u${unit.toString(16).padStart(4, '0')}`, length, 'latin1');
      i += 2;
    } else out[length++] = c;
  }
  out[length++] = 0x22;
  return out.toString('latin1', 0, length);
}

const NEEDS_ESCAPE = /["\\\0-\x1f\xed]/;

/** Three bytes of generalised UTF-8 that stand for half a character: JSON in UTF-8 can only write it as an escape. */
function isSurrogate(bytes: Buffer, at: number): boolean {
  const second = bytes[at + 1] ?? 0;
  const third = bytes[at + 2] ?? 0;
  return second >= 0xa0 && second <= 0xbf && third >= 0x80 && third <= 0xbf;
}
