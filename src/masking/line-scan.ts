import type { Base64Scan } from './base64-scan.ts';
import { beginsAsText } from './encoded.ts';
import type { KeywordScan } from './keyword-scan.ts';
import type { Recognizer } from './recognizer.ts';

const ESCAPE = 0x1b;

/**
 * Says where in whole lines something may stand that has to be looked at as text: a keyword, an encoding, a sequence of a terminal,
 * UTF-16. Lines without any are passed on as they are. Each kind of place is looked for once, from left to right.
 */
export class LineScan {
  readonly #bytes: Buffer;
  readonly #to: number;
  readonly #keywords: KeywordScan | undefined;
  readonly #runs: Base64Scan | undefined;
  /** Whether the lines stand in a string of JSON. */
  readonly #escaped: boolean;
  #keyword = -1;
  #run = -1;
  #escape = -1;
  #wide = -1;

  constructor(recognizer: Recognizer, bytes: Buffer, to: number, escaped: boolean) {
    this.#escaped = escaped;
    // A search must not run on behind the lines.
    this.#bytes = bytes.length === to ? bytes : bytes.subarray(0, to);
    this.#to = to;
    this.#keywords = recognizer.keywordsIn(this.#bytes, to, escaped);
    this.#runs = recognizer.runsIn(this.#bytes, to);
  }

  /** The first place from here on, where a line begins; the end of the lines where there is none. Calls must not go back. */
  next(at: number): number {
    const bytes = this.#bytes;
    const to = this.#to;
    if (this.#keyword < at) this.#keyword = this.#keywords?.next(at) ?? at;
    if (this.#run < at) this.#run = this.#nextRun(at);
    // In a string of JSON both are written out, and found as keywords are.
    if (this.#escaped) return Math.min(this.#keyword, this.#run);
    if (this.#escape < at) this.#escape = within(bytes.indexOf(ESCAPE, at), to);
    if (this.#wide < at) this.#wide = nextWide(bytes, at, to);
    return Math.min(this.#keyword, this.#run, this.#escape, this.#wide);
  }

  /** Where the first base64 from here on begins that begins as a text does. */
  #nextRun(at: number): number {
    const bytes = this.#bytes;
    for (let run = this.#runs?.next(at); run !== undefined; run = this.#runs?.next(at)) {
      const { start, end } = run;
      // The n of a line's end that is written out looks like one of its letters.
      if (start > at && bytes[start - 1] === 0x5c && beginsAsText(bytes, start + 1, end)) return start + 1;
      if (beginsAsText(bytes, start, end)) return start;
    }
    return this.#to;
  }
}

const within = (found: number, to: number): number => (found === -1 || found > to ? to : found);

/** Where every second byte is zero and the others are ASCII. */
function nextWide(bytes: Buffer, from: number, to: number): number {
  for (let i = within(bytes.indexOf(0, from), to); i + 4 < to; i++) {
    // Zeros behind zeros are no text: most that passes in such numbers is filling.
    if (bytes[i + 1] === 0 && bytes[i + 2] === 0 && bytes[i + 3] === 0) i += 2;
    else if (bytes[i + 4] !== 0) i += bytes[i + 3] === 0 ? 2 : 3;
    else if (bytes[i] === 0 && bytes[i + 2] === 0 && isAscii(bytes[i + 1]!) && isAscii(bytes[i + 3]!)) return i;
  }
  return to;
}

const isAscii = (c: number): boolean => c >= 0x09 && c < 0x7f;
