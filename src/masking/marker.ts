import { hash } from 'node:crypto';

/** What every placeholder begins with. Long enough that base64 of it has a fixed core in each of its three alignments. */
export const MARKER = 'sallyport.masked.';

const MAC_LENGTH = 26;
const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567';

/** Length in characters of a placeholder; all have the same, so none tells of the value behind it. */
export const PLACEHOLDER_LENGTH = MARKER.length + MAC_LENGTH;

/** Where a value stands: what a placeholder is bound to, and nothing of the value itself. */
export interface Place {
  /** metadata.uid of the object; for text without one, the name of its source. */
  readonly object: string;
  /** As `data["tls.key"]`; `log` or `stdout` for text. */
  readonly path: string;
  /** The rule that masked. */
  readonly rule: string;
}

/** Makes placeholders under one installation's key. */
export class Placeholders {
  private readonly inner: Buffer;
  private readonly outer: Buffer;

  /** @param key at least 32 secret bytes, the same in all replicas */
  constructor(key: Uint8Array) {
    if (key.length < 32) throw new Error('the masking key needs at least 32 bytes');
    const block = Buffer.alloc(64);
    block.set(key.length > 64 ? hash('sha256', Buffer.from(key), 'buffer') : key);
    this.inner = Buffer.from(block.map((byte) => byte ^ 0x36));
    this.outer = Buffer.from(block.map((byte) => byte ^ 0x5c));
  }

  /** The same for every value that ever stands there: a placeholder derived from the value would be a guessing machine. */
  redact(place: Place): string {
    return MARKER + this.mac('redact', place.object, place.path, place.rule);
  }

  /** Equal for equal values of one object and path, and comparable with nothing else. */
  hash(place: Place, value: Uint8Array | string): string {
    return MARKER + this.mac('hash', place.object, place.path, place.rule, value);
  }

  /** Equal for equal values anywhere in the installation: an equality oracle, which a rule has to ask for. */
  hashInstallation(rule: string, value: Uint8Array | string): string {
    return MARKER + this.mac('hash-installation', rule, value);
  }

  /** Whether this text is the placeholder of that very place. */
  isOf(text: string, place: Place): boolean {
    return text === this.redact(place);
  }

  /** Every part goes in with its length: no two places share a message. */
  private mac(...parts: readonly (Uint8Array | string)[]): string {
    const message: Uint8Array[] = [this.inner];
    for (const part of parts) {
      const bytes = typeof part === 'string' ? Buffer.from(part) : part;
      message.push(Buffer.from(`${bytes.length}:`), bytes);
    }
    // HMAC (RFC 2104) spelled out: a key object for each of a list's thousands of values costs more than the hash.
    const inner = hash('sha256', Buffer.concat(message), 'buffer');
    const mac = hash('sha256', Buffer.concat([this.outer, inner]), 'buffer');
    let text = '';
    for (const byte of mac.subarray(0, MAC_LENGTH)) text += ALPHABET[byte & 31];
    return text;
  }
}

export interface FoundMarker {
  /** Byte offset of what shows the marker. */
  readonly offset: number;
  readonly encoding: 'raw' | 'base64' | 'utf16';
}

/**
 * Finds placeholders in bytes of any encoding: as they are, as UTF-16, and in base64 wherever in a longer text they begin.
 * A whole placeholder need not follow: a cut one is no value either.
 */
export function findMarkers(bytes: Uint8Array): FoundMarker[] {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const found: FoundMarker[] = [];
  for (const { needle, encoding } of NEEDLES) {
    for (let at = buffer.indexOf(needle); at !== -1; at = buffer.indexOf(needle, at + needle.length)) {
      found.push({ offset: at, encoding });
    }
  }
  return found.sort((a, b) => a.offset - b.offset);
}

/** Whether a text (one character a byte, or plain) holds a placeholder as it is. */
export function holdsMarker(text: string): boolean {
  return text.includes(MARKER);
}

const NEEDLES: readonly { readonly needle: Buffer; readonly encoding: FoundMarker['encoding'] }[] = [
  { needle: Buffer.from(MARKER), encoding: 'raw' },
  { needle: Buffer.from(MARKER, 'utf16le'), encoding: 'utf16' },
  ...[0, 1, 2].map((lead) => ({ needle: base64Core(lead), encoding: 'base64' as const })),
];

/** The characters of base64 that the marker alone decides, when `lead` bytes of something else share its first group. */
function base64Core(lead: number): Buffer {
  const text = Buffer.concat([Buffer.alloc(lead), Buffer.from(MARKER)])
    .toString('base64')
    .replace(/=+$/, '');
  const whole = Math.floor((lead + MARKER.length) / 3) * 4;
  return Buffer.from(text.slice(lead === 0 ? 0 : lead + 1, whole));
}
