import { writeJsonString } from './json-string.ts';
import { cutOf, ESCAPED_LINES } from './line-form.ts';
import type { Patch } from './patch.ts';
import { type TextMask, WINDOW } from './text-mask.ts';

/** Bytes of a line that is too long to be looked at as a whole, which are read at once. */
const PIECE = 32_768;
/** Bytes of whole lines that are looked at in one step, where there are so many. */
const STEP = 16_384;

/**
 * Masks a long string of JSON where it stands, some lines at a time: what is not touched is neither read nor written anew.
 * Between two steps others may be heard.
 */
export class StringMask {
  private readonly mask: TextMask;
  private readonly patch: Patch;
  /** Up to the string's end. */
  private readonly bytes: Buffer;
  private at: number;
  /** Where the line ends of which a part was read; 0 between lines. */
  private lineEnd = 0;

  /** @param start of its content, without the quotes @param patch of these bytes */
  constructor(mask: TextMask, patch: Patch, start: number, end: number) {
    this.mask = mask;
    this.patch = patch;
    this.bytes = patch.bytes.subarray(0, end);
    this.at = start;
  }

  /** @returns whether there is more to do */
  step(): boolean {
    const { bytes, at } = this;
    if (at >= bytes.length) return false;
    if (this.lineEnd === 0) {
      const end = this.wholeLines();
      if (end > at) {
        this.mask.walk(ESCAPED_LINES, bytes, at, end, (from, to, text) => this.patch.put(from, to, written(text)));
        this.at = end;
        return end < bytes.length;
      }
      this.lineEnd = ESCAPED_LINES.lineEnd(bytes, at);
    }
    return this.piece();
  }

  /** Where the last line ends that is whole within a window; where the present one begins, if it is too long. */
  private wholeLines(): number {
    const { bytes, at } = this;
    if (bytes.length - at <= STEP) return bytes.length;
    const end = ESCAPED_LINES.lineStart(bytes, at + STEP, at);
    if (end > at) return end;
    return bytes.length - at < WINDOW ? bytes.length : ESCAPED_LINES.lineStart(bytes, at + WINDOW, at);
  }

  private piece(): boolean {
    const { bytes, at, lineEnd } = this;
    const end = lineEnd - at <= PIECE ? lineEnd : cutOf(bytes, at + PIECE, at);
    const parts = [this.mask.write(Buffer.from(ESCAPED_LINES.read(bytes, at, end), 'latin1'))];
    if (end === bytes.length) parts.push(this.mask.end());
    this.patch.put(at, end, parts.map((part) => written(part.toString('latin1'))).join(''));
    this.at = end;
    if (end === lineEnd) this.lineEnd = 0;
    return end < bytes.length;
  }
}

const written = (text: string): string => writeJsonString(text).slice(1, -1);
