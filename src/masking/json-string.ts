const BACKSLASH = 0x5c;

/**
 * The content of a JSON string (between its quotes) as UTF-8, one character a byte. A lone surrogate becomes its three bytes
 * of generalised UTF-8, so that it comes out as it went in.
 * @throws SyntaxError for an escape that JSON does not know
 */
export function readJsonString(raw: string): string {
  let at = raw.indexOf('\\');
  if (at === -1) return raw;
  if (raw.length > SHORT && !(raw.includes('\\u') && WIDE_ESCAPE.test(raw))) return JSON.parse(`"${raw}"`) as string;
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

/** From here on V8's own reader is faster, where each escape stands for one byte. What is that long is JSON. */
const SHORT = 128;
const WIDE_ESCAPE = /\\u(?!00[0-7])/;

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

/** The reverse, with the quotes. */
export function writeJsonString(text: string): string {
  if (!NEEDS_ESCAPE.test(text)) return `"${text}"`;
  const written = JSON.stringify(text);
  return HALF.test(written) ? written.replace(HALVES, unitOf) : written;
}

const NEEDS_ESCAPE = /["\\\0-\x1f\xed]/;
/** Three bytes of generalised UTF-8 that stand for half a character: JSON in UTF-8 can only write it as an escape. */
const HALF = /\xed[\xa0-\xbf][\x80-\xbf]/;
const HALVES = new RegExp(HALF, 'g');

/** A text without characters of which only a half is there: JSON may hold them, and is none the less text. */
export function withoutHalves(text: string): string {
  return HALF.test(text) ? text.replace(HALVES, '') : text;
}

function unitOf(bytes: string): string {
  const unit = ((bytes.charCodeAt(0) & 15) << 12) | ((bytes.charCodeAt(1) & 63) << 6) | (bytes.charCodeAt(2) & 63);
  return `\\u${unit.toString(16).padStart(4, '0')}`;
}
