import { hash } from 'node:crypto';

/** What every placeholder begins with. Long enough that base64 of it has a fixed core in each of its three alignments. */
export const MARKER = 'sallyport.masked.';

const MAC_LENGTH = 26;
const LETTERS = Buffer.from('abcdefghijklmnopqrstuvwxyz234567');

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

/**
 * Makes placeholders under one installation's key.
 *
 * The MAC is SHA-256 over a block made of the key and the message behind it, of which 130 of 256 bits are shown. Cut short like
 * that, a hash with its key in front is a pseudo-random function (Coron, Dodis, Malinaud, Puniya, CRYPTO 2005: "chop"): what
 * is kept back is just what extending a message would take. It costs half of an HMAC, and a list has tens of thousands.
 */
export class Placeholders {
  /** 64 bytes: one block of SHA-256. */
  private readonly block: string;
  private readonly text = Buffer.alloc(PLACEHOLDER_LENGTH, MARKER, 'latin1');

  /** @param key at least 32 secret bytes, the same in all replicas */
  constructor(key: Uint8Array) {
    if (key.length < 32) throw new Error('the masking key needs at least 32 bytes');
    this.block = hash('sha256', Buffer.concat([Buffer.from('sallyport placeholders\0'), key]), 'hex');
  }

  /** The same for every value that ever stands there: a placeholder derived from the value would be a guessing machine. */
  redact({ object, path, rule }: Place): string {
    return this.mac(`redact ${object.length} ${path.length} ${object}${path}${rule}`);
  }

  /** Equal for equal values of one object and path, and comparable with nothing else. */
  hash({ object, path, rule }: Place, value: Uint8Array | string): string {
    return this.mac(`hash ${hash('sha256', value, 'hex')} ${object.length} ${path.length} ${object}${path}${rule}`);
  }

  /** Equal for equal values anywhere in the installation: an equality oracle, which a rule has to ask for. */
  hashInstallation(rule: string, value: Uint8Array | string): string {
    return this.mac(`hash-installation ${hash('sha256', value, 'hex')} ${rule}`);
  }

  /** Whether this text is the placeholder of that very place. */
  isOf(text: string, place: Place): boolean {
    return text === this.redact(place);
  }

  /** @param message says how long its parts are, so that no two places share one */
  private mac(message: string): string {
    const mac = hash('sha256', this.block + message, 'binary');
    const { text } = this;
    for (let i = 0; i < MAC_LENGTH; i++) text[MARKER.length + i] = LETTERS[mac.charCodeAt(i) & 31]!;
    return text.toString('latin1');
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
  // Of both orders: the zeros around it are not looked for.
  { needle: Buffer.from(MARKER, 'utf16le').subarray(0, -1), encoding: 'utf16' },
  ...[0, 1, 2].map((lead) => ({ needle: base64Core(lead), encoding: 'base64' as const })),
];

/** Bytes of the longest form that is looked for. */
export const LONGEST_NEEDLE = MARKER.length * 2;

/** The characters of base64 that the marker alone decides, when `lead` bytes of something else share its first group. */
function base64Core(lead: number): Buffer {
  const text = Buffer.concat([Buffer.alloc(lead), Buffer.from(MARKER)])
    .toString('base64')
    .replace(/=+$/, '');
  const whole = Math.floor((lead + MARKER.length) / 3) * 4;
  return Buffer.from(text.slice(lead === 0 ? 0 : lead + 1, whole));
}
