import type { Arena } from './arena.ts';
import {
  DIGEST_WORDS,
  MARKER,
  PLACEHOLDER_LENGTH,
  type PlaceDigest,
  type Placeholders,
  writeLetters,
} from './marker.ts';

/**
 * Bytes of which parts are replaced, from left to right. What stays is copied in as long pieces as there are, and not at all
 * where nothing is replaced.
 */
export class Patch {
  readonly bytes: Buffer;
  private from = 0;
  private copied = 0;
  private out: Buffer = NOTHING;
  private length = 0;
  /** What stands before `out`: pieces, and ranges with patches of their own. */
  private parts: (Buffer | { readonly patch: Patch; readonly end: number })[] = [];
  /** Placeholders in `out` that have no letters yet: where they stand, and of what their MACs are. */
  private blank: number[] = [];
  private sums = NO_SUMS;
  private by: Placeholders | undefined;
  private readonly arena: Arena | undefined;

  /** @param arena of which what comes out is made; without one it is its own, and lasts */
  constructor(bytes: Buffer, from = 0, arena?: Arena) {
    this.arena = arena;
    this.bytes = bytes;
    this.from = from;
    this.copied = from;
  }

  /** Latin-1 text, one character a byte, or bytes, in the place of a range. */
  put(start: number, end: number, text: string | Buffer): void {
    this.cut(start, end);
    this.reserve(text.length);
    if (typeof text !== 'string') this.out.set(text, this.length);
    else if (text.length > 128) this.out.write(text, this.length, 'latin1');
    else for (let i = 0; i < text.length; i++) this.out[this.length + i] = text.charCodeAt(i);
    this.length += text.length;
  }

  /**
   * A placeholder in the place of a range; its letters are written when the patch is taken, those of many at once.
   * @param object and path as `by` has digests of them
   */
  placeholder(start: number, end: number, by: Placeholders, object: PlaceDigest, path: PlaceDigest): void {
    if (this.by !== by) {
      this.fill();
      this.by = by;
    }
    this.cut(start, end);
    this.reserve(PLACEHOLDER_LENGTH);
    const { out, length, blank } = this;
    out.set(BLANK, length);
    const at = blank.length * DIGEST_WORDS;
    blank.push(length);
    if (at === this.sums.length) {
      const sums = new Int32Array(Math.max(256, at * 2));
      sums.set(this.sums);
      this.sums = sums;
    }
    const { sums } = this;
    sums[at] = object[0] ^ path[0];
    sums[at + 1] = object[1] ^ path[1];
    sums[at + 2] = object[2] ^ path[2];
    sums[at + 3] = object[3] ^ path[3];
    this.length = length + PLACEHOLDER_LENGTH;
  }

  private fill(): void {
    const { blank, out } = this;
    if (blank.length === 0) return;
    const macs = this.by!.macs(this.sums.subarray(0, blank.length * DIGEST_WORDS));
    for (let i = 0; i < blank.length; i++) writeLetters(out, blank[i]! + MARKER.length, macs, i * DIGEST_WORDS * 4);
    this.blank = [];
  }

  cut(start: number, end: number): void {
    this.copy(start);
    this.copied = end;
  }

  /** A range whose replacements are told later, before this patch is taken. */
  split(start: number, end: number): Patch {
    this.cut(start, end);
    this.fill();
    this.parts.push(this.out.subarray(0, this.length));
    this.out = NOTHING;
    this.length = 0;
    const patch = new Patch(this.bytes, start, this.arena);
    this.parts.push({ patch, end });
    return patch;
  }

  /** For `undo`: how far it is. */
  mark(): { readonly copied: number; readonly length: number } {
    return { copied: this.copied, length: this.length };
  }

  undo(mark: { readonly copied: number; readonly length: number }): void {
    this.copied = mark.copied;
    this.length = mark.length;
    while (this.blank.length > 0 && this.blank.at(-1)! >= mark.length) this.blank.pop();
  }

  /** Everything up to `end`; what follows belongs to the next `take`. The bytes themselves where nothing was replaced. */
  take(end: number): Buffer {
    const pieces = this.pieces(end);
    return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
  }

  /** As `take`, in the pieces in which it is: a large one is not copied once more. */
  pieces(end: number): Buffer[] {
    this.fill();
    const pieces: Buffer[] = [];
    for (const part of this.parts) {
      if ('patch' in part) pieces.push(...part.patch.pieces(part.end));
      else if (part.length > 0) pieces.push(part);
    }
    if (this.length === 0 && this.copied === (this.parts.length > 0 ? end : this.from)) {
      if (this.parts.length === 0) pieces.push(this.bytes.subarray(this.from, end));
    } else {
      this.copy(end);
      pieces.push(this.out.subarray(0, this.length));
    }
    this.parts = [];
    this.out = NOTHING;
    this.length = 0;
    this.from = end;
    this.copied = end;
    return pieces;
  }

  private copy(to: number): void {
    const length = to - this.copied;
    this.reserve(length);
    if (length > SHORT) this.bytes.copy(this.out, this.length, this.copied, to);
    else {
      const { bytes, out, copied, length: at } = this;
      for (let i = 0; i < length; i++) out[at + i] = bytes[copied + i]!;
    }
    this.length += length;
    this.copied = to;
  }

  private reserve(more: number): void {
    const need = this.length + more;
    if (need <= this.out.length) return;
    const rest = this.bytes.length - this.copied;
    const size = Math.max(need + Math.ceil(need / 4) + 256, Math.min(rest * 2, need + rest));
    const grown = this.arena?.take(size) ?? Buffer.allocUnsafeSlow(size);
    this.out.copy(grown, 0, 0, this.length);
    this.out = grown;
  }
}

const NOTHING = Buffer.alloc(0);
const NO_SUMS = new Int32Array(0);
/** Were its letters never written, it would be a placeholder of nothing. */
const BLANK = Buffer.alloc(PLACEHOLDER_LENGTH, 'a', 'latin1');
BLANK.write(MARKER, 'latin1');

/** Bytes that are copied sooner one by one than by a call. */
const SHORT = 96;
