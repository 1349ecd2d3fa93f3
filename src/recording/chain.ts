import { hash } from 'node:crypto';
import type { Line } from './line.ts';

/** Domain separation: what is hashed here is hashed for no other purpose, and of one recording for no other. */
const START = 'sallyport.dev/recording/start/v1\n';
const LINE = 'sallyport.dev/recording/line/v1\n';

const HEX = 64;
/** The domain, the hash before in hex, a newline. */
const PREFIX = LINE.length + HEX + 1;
const HASH_MEMBER = ',"hash":"';
/** What follows the hashed part of a line: `,"hash":"…"}`. */
export const TAIL = HASH_MEMBER.length + HEX + 2;

/** The hash that stands before the first line of a recording. */
export function startOf(recording: string): string {
  return hash('sha256', START + recording, 'hex');
}

/** Hashes lines: each covers the one before. Its buffer is shared by whoever hashes in this thread. */
class LineHasher {
  #scratch = Buffer.alloc(1 << 16);

  constructor() {
    this.#scratch.write(LINE, 0, 'latin1');
    this.#scratch[PREFIX - 1] = 0x0a;
  }

  /** @param line a line up to its hash member */
  ofBytes(before: string, line: Buffer): string {
    this.#need(line.length);
    this.#scratch.write(before, LINE.length, 'latin1');
    line.copy(this.#scratch, PREFIX);
    return hash('sha256', this.#scratch.subarray(0, PREFIX + line.length), 'hex');
  }

  /** As `ofBytes` for text; its UTF-8 is left in `bytes` until the next call. */
  ofText(before: string, line: string): { hash: string; bytes: Buffer } {
    // Three bytes at most for each UTF-16 unit.
    this.#need(line.length * 3);
    this.#scratch.write(before, LINE.length, 'latin1');
    const end = PREFIX + this.#scratch.write(line, PREFIX, 'utf8');
    return { hash: hash('sha256', this.#scratch.subarray(0, end), 'hex'), bytes: this.#scratch.subarray(PREFIX, end) };
  }

  #need(bytes: number): void {
    if (PREFIX + bytes <= this.#scratch.length) {
      // One huge line must not hold its memory for ever.
      if (this.#scratch.length <= 1 << 20 || PREFIX + bytes > 1 << 16) return;
      bytes = 0;
    }
    const grown = Buffer.alloc(Math.max(1 << 16, PREFIX + bytes));
    this.#scratch.copy(grown, 0, 0, PREFIX);
    this.#scratch = grown;
  }
}

const hasher = new LineHasher();

/** The hash of a line given the one before it. @param line its bytes before the hash member */
export function lineHash(before: string, line: Buffer): string {
  return hasher.ofBytes(before, line);
}

/** The writing end of a chain: gives lines their number and hash. */
export class Chain {
  #seq: number;
  #head: string;

  /** @param seq of the last line, 0 for none. @param head its hash, `startOf` the recording for none. */
  constructor(seq: number, head: string) {
    this.#seq = seq;
    this.#head = head;
  }

  /** Number and hash of the last line. */
  get seq(): number {
    return this.#seq;
  }

  get head(): string {
    return this.#head;
  }

  /** The bytes of these lines, each ended by a newline, chained to what came before. */
  extend(lines: readonly Line[]): Buffer {
    const pieces: Buffer[] = [];
    for (const line of lines) {
      this.#seq += 1;
      const { hash: head, bytes } = hasher.ofText(
        this.#head,
        `{"seq":${this.#seq},${JSON.stringify(line).slice(1, -1)}`,
      );
      this.#head = head;
      const whole = Buffer.allocUnsafe(bytes.length + TAIL + 1);
      bytes.copy(whole, 0);
      whole.write(`${HASH_MEMBER}${head}"}\n`, bytes.length, 'latin1');
      pieces.push(whole);
    }
    return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
  }
}

const BEGINS = Buffer.from('{"seq":');
const HASH_BYTES = Buffer.from(HASH_MEMBER);

/** A line taken apart without reading its JSON: undefined where it has not the shape of one. */
export interface SplitLine {
  readonly seq: number;
  /** Offset behind the number. */
  readonly behindSeq: number;
  readonly hashed: Buffer;
  readonly hash: string;
}

/** Byte by byte: this runs for every line that is verified, and a string made of a few bytes costs more than looking at them. */
export function splitLine(line: Buffer): SplitLine | undefined {
  const { length } = line;
  const at = length - TAIL;
  if (at < 9 || line[length - 1] !== 0x7d || line[length - 2] !== 0x22) return undefined;
  for (let i = 0; i < BEGINS.length; i += 1) if (line[i] !== BEGINS[i]) return undefined;
  for (let i = 0; i < HASH_BYTES.length; i += 1) if (line[at + i] !== HASH_BYTES[i]) return undefined;
  let seq = 0;
  let behindSeq = BEGINS.length;
  for (; behindSeq < BEGINS.length + 16; behindSeq += 1) {
    const digit = line[behindSeq]! - 0x30;
    if (digit < 0 || digit > 9) break;
    seq = seq * 10 + digit;
  }
  if (seq === 0 || line[behindSeq] !== 0x2c || line[BEGINS.length] === 0x30) return undefined;
  const hash = line.toString('latin1', at + HASH_BYTES.length, length - 2);
  return { seq, behindSeq, hashed: line.subarray(0, at), hash };
}
