import { createCipheriv, hash } from 'node:crypto';
import { KnownPath } from './known-path.ts';

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

/** Kept digests of paths: most objects of a list have the same. */
const MAX_PATHS = 4096;
const LONGEST_PATH = 256;

/** Four words that stand for an object and a rule, or for a path: secret, and of no use without the key. */
export type PlaceDigest = readonly [number, number, number, number];

/** Words of one digest, and of the sum of two. */
export const DIGEST_WORDS = 4;

/**
 * Makes placeholders under one installation's key.
 *
 * The MAC is AES-256 of the sum (XOR) of two keyed digests, one of the object and the rule, one of the path: a pseudo-random
 * function over an almost universal hash, which is one itself (decision 0051). A digest serves many placeholders, and the
 * cipher takes many sums at once.
 */
export class Placeholders {
  /** 64 bytes: one block of SHA-256. */
  private readonly block: string;
  private readonly cipher: ReturnType<typeof createCipheriv>;
  private readonly text = Buffer.alloc(PLACEHOLDER_LENGTH, MARKER, 'latin1');
  /** Paths in objects, with their digests. */
  readonly paths = KnownPath.root();
  private readonly digests = new Map<string, PlaceDigest>();
  private readonly sum = new Int32Array(DIGEST_WORDS);
  private readonly sumBytes = Buffer.from(this.sum.buffer);
  private lastObject = '';
  private lastRule = '';
  private last: PlaceDigest | undefined;
  private redacted: { readonly a: PlaceDigest; readonly b: PlaceDigest; readonly text: string } | undefined;

  /** @param key at least 32 secret bytes, the same in all replicas */
  constructor(key: Uint8Array) {
    if (key.length < 32) throw new Error('the masking key needs at least 32 bytes');
    this.block = hash('sha256', Buffer.concat([Buffer.from('sallyport placeholders\0'), key]), 'hex');
    const ofCipher = hash('sha256', Buffer.concat([Buffer.from('sallyport placeholders, cipher\0'), key]), 'buffer');
    // One block at a time, each on its own: as a pseudo-random function of 16 bytes, not to hide a text.
    this.cipher = createCipheriv('aes-256-ecb', ofCipher, null).setAutoPadding(false);
  }

  /** The same for every value that ever stands there: a placeholder derived from the value would be a guessing machine. */
  redact({ object, path, rule }: Place): string {
    const { sum, text } = this;
    const a = this.ofObject(object, rule);
    const b = this.ofPath(path);
    // All that is found in one text has the same.
    if (a === this.redacted?.a && b === this.redacted.b) return this.redacted.text;
    for (let i = 0; i < DIGEST_WORDS; i++) sum[i] = a[i]! ^ b[i]!;
    writeLetters(text, MARKER.length, this.macs(sum), 0);
    this.redacted = { a, b, text: text.toString('latin1') };
    return this.redacted.text;
  }

  /** What all placeholders of one object and rule have in common. */
  ofObject(object: string, rule: string): PlaceDigest {
    if (this.last !== undefined && object === this.lastObject && rule === this.lastRule) return this.last;
    this.lastObject = object;
    this.lastRule = rule;
    return (this.last = this.digest(`object ${object.length} ${object}${rule}`));
  }

  /** What all placeholders of one path have in common. */
  ofPath(path: string): PlaceDigest {
    const known = this.digests.get(path);
    if (known !== undefined) return known;
    const digest = this.digest(`path ${path}`);
    if (path.length <= LONGEST_PATH) {
      if (this.digests.size >= MAX_PATHS) this.digests.clear();
      this.digests.set(path, digest);
    }
    return digest;
  }

  /** @param sums of two digests each, one behind the other @returns the MACs of as many placeholders, for `writeLetters` */
  macs(sums: Int32Array): Buffer {
    return this.cipher.update(Buffer.from(sums.buffer, sums.byteOffset, sums.byteLength));
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

  /** 128 bits. @param message says how long its parts are, so that no two share one */
  private digest(message: string): PlaceDigest {
    const digest = hash('sha256', this.block + message, 'binary');
    const { sum, sumBytes } = this;
    // Byte by byte: the words are the processor's own, what comes out must be the same for every replica.
    for (let i = 0; i < sumBytes.length; i++) sumBytes[i] = digest.charCodeAt(i);
    return [sum[0]!, sum[1]!, sum[2]!, sum[3]!];
  }

  /**
   * SHA-256 over a block made of the key and the message behind it, of which 130 of 256 bits are shown: cut short like that, a
   * hash with its key in front is a pseudo-random function (decision 0050).
   */
  private mac(message: string): string {
    const mac = hash('sha256', this.block + message, 'binary');
    const { text } = this;
    for (let i = 0; i < MAC_LENGTH; i++) text[MARKER.length + i] = LETTERS[mac.charCodeAt(i) & 31]!;
    return text.toString('latin1');
  }
}

/** Writes 16 bytes of a MAC as 26 letters, five bits each. @param out has room for them from `at` on */
export function writeLetters(out: Uint8Array, at: number, macs: Uint8Array, from: number): void {
  let to = at;
  for (let i = from; i < from + 15; i += 5) {
    const high = (macs[i]! << 12) | (macs[i + 1]! << 4) | (macs[i + 2]! >> 4);
    const low = ((macs[i + 2]! & 15) << 16) | (macs[i + 3]! << 8) | macs[i + 4]!;
    out[to] = LETTERS[high >> 15]!;
    out[to + 1] = LETTERS[(high >> 10) & 31]!;
    out[to + 2] = LETTERS[(high >> 5) & 31]!;
    out[to + 3] = LETTERS[high & 31]!;
    out[to + 4] = LETTERS[low >> 15]!;
    out[to + 5] = LETTERS[(low >> 10) & 31]!;
    out[to + 6] = LETTERS[(low >> 5) & 31]!;
    out[to + 7] = LETTERS[low & 31]!;
    to += 8;
  }
  out[to] = LETTERS[macs[from + 15]! >> 3]!;
  out[to + 1] = LETTERS[(macs[from + 15]! & 7) << 2]!;
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

/** Whether `findMarkers` finds any in the bytes of a text (one character a byte, or plain), without making them. */
export function holdsAnyMarker(text: string): boolean {
  return NEEDLES.some(({ text: needle }) => text.includes(needle));
}

/** Whether a text (one character a byte, or plain) holds a placeholder as it is. */
export function holdsMarker(text: string): boolean {
  return text.includes(MARKER);
}

const NEEDLES = [
  needleOf(Buffer.from(MARKER), 'raw'),
  // Of both orders: the zeros around it are not looked for.
  needleOf(Buffer.from(MARKER, 'utf16le').subarray(0, -1), 'utf16'),
  ...[0, 1, 2].map((lead) => needleOf(base64Core(lead), 'base64')),
];

function needleOf(needle: Buffer, encoding: FoundMarker['encoding']) {
  return { needle, text: needle.toString('latin1'), encoding };
}

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
