import { gunzipSync } from 'node:zlib';

const VALUES = new Uint8Array(256);
for (const [value, char] of [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'].entries()) {
  VALUES[char.charCodeAt(0)] = value;
}
VALUES[0x2d] = 62;
VALUES[0x5f] = 63;
const SAMPLED_GROUPS = 8;

/** Whether the first characters of a run decode to text: tells a hash or a name from an encoding without decoding it. */
export function beginsAsText(bytes: Uint8Array, start: number, end: number): boolean {
  // The last group may be cut.
  const groups = Math.min(SAMPLED_GROUPS, (end - start) >> 2) - 1;
  let more = 0;
  for (let group = 0, i = start; group < groups; group++, i += 4) {
    const bits =
      (VALUES[bytes[i]!]! << 18) |
      (VALUES[bytes[i + 1]!]! << 12) |
      (VALUES[bytes[i + 2]!]! << 6) |
      VALUES[bytes[i + 3]!]!;
    for (let shift = 16; shift >= 0; shift -= 8) {
      const c = (bits >> shift) & 255;
      if (more > 0) {
        if ((c & 0xc0) !== 0x80) return false;
        more--;
      } else if (c >= 0x80) {
        if (c < 0xc2 || c > 0xf4) return false;
        more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
      } else if (c < 0x20 && c !== 0x0a && c !== 0x0d && c !== 0x09 && c !== 0x1b) return false;
    }
  }
  return true;
}

const MAX_INFLATED = 16 * 1024 * 1024;

/** What base64 holds, where that is a text: decoded bytes, else undefined. The start alone tells for most. */
export function decodeText(text: string, min = 8): Buffer | undefined {
  if (!isReadable(Buffer.from(text.slice(0, 32), 'base64'), true)) return undefined;
  const bytes = Buffer.from(text, 'base64');
  return bytes.length >= min && isReadable(bytes, false) ? bytes : undefined;
}

/** UTF-8 without control characters; a cut end is passed over. */
function isReadable(bytes: Buffer, cut: boolean): boolean {
  const end = cut ? bytes.length - 3 : bytes.length;
  let high = false;
  for (let i = 0; i < end; i++) {
    const c = bytes[i]!;
    if (c >= 0x80) high = true;
    else if (c < 0x20 && c !== 0x0a && c !== 0x0d && c !== 0x09 && c !== 0x1b) return false;
  }
  return !high || cut ? !high || leads(bytes, end) : isUtf8Text(bytes);
}

function leads(bytes: Buffer, end: number): boolean {
  for (let i = 0; i < end; i++) {
    const c = bytes[i]!;
    if (c < 0x80) continue;
    const more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
    if (c < 0xc2 || c > 0xf4) return false;
    for (let k = 1; k <= more; k++) if (i + k < end && (bytes[i + k]! & 0xc0) !== 0x80) return false;
    i += more;
  }
  return true;
}

function isUtf8Text(bytes: Buffer): boolean {
  return leads(bytes, bytes.length);
}

/** @returns the inflated bytes, or undefined where it is no gzip or more than 16 MiB. */
export function inflate(bytes: Buffer): Buffer | undefined {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return undefined;
  try {
    return gunzipSync(bytes, { maxOutputLength: MAX_INFLATED });
  } catch {
    return undefined;
  }
}

/** Percent-decoded, byte for byte (one character each). */
export function unescapeUrl(text: string): string {
  return text.replace(/%([0-9a-fA-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}
