import { createHash, hash } from 'node:crypto';
import { writeEvent } from './event-json.ts';
import { put, putNumber } from './json-bytes.ts';
import type { EventLine, Line } from './line.ts';

/** Domain separation: what is hashed here is hashed for no other purpose, and of one recording for no other. */
const START = 'sallyport.dev/recording/start/v1\n';
const LINE = 'sallyport.dev/recording/line/v1\n';

const HEX = 64;
/** The domain, the hash before in hex, a newline. */
const PREFIX = LINE.length + HEX + 1;
const HASH_MEMBER = ',"hash":"';
const SEQ = Buffer.from('{"seq":');
const COMMA = Buffer.from(',');
const HASH_BYTES = Buffer.from(HASH_MEMBER);
const CLOSE = Buffer.from('"}\n');
/** What follows the hashed part of a line: `,"hash":"…"}`. */
export const TAIL = HASH_MEMBER.length + HEX + 2;

/** The hash that stands before the first line of a recording. */
export function startOf(recording: string): string {
  return hash('sha256', START + recording, 'hex');
}

/** Bytes from which on a line is hashed where it stands: a shorter one is copied behind its prefix, which costs less. */
const LARGE = 8 << 10;
/** Bytes of an event that is made where it is hashed: the answer of most requests for one object is in it. */
const EVENT = 32 << 10;

/** Hashes lines: each covers the one before. Its buffer is shared by whoever hashes in this thread. */
class LineHasher {
  readonly #scratch = Buffer.alloc(PREFIX + EVENT + TAIL + 1);
  /** Where a line's hash still fits behind it. */
  readonly #room = this.#scratch.subarray(0, PREFIX + EVENT);

  constructor() {
    this.#scratch.write(LINE, 0, 'latin1');
    this.#scratch[PREFIX - 1] = 0x0a;
  }

  /** @param from of a line in `bytes`. @param end where its hash member begins */
  of(before: string, bytes: Buffer, from: number, end: number): string {
    this.#scratch.write(before, LINE.length, 'latin1');
    if (end - from >= LARGE) {
      return createHash('sha256')
        .update(this.#scratch.subarray(0, PREFIX))
        .update(bytes.subarray(from, end))
        .digest('hex');
    }
    bytes.copy(this.#scratch, PREFIX, from, end);
    return hash('sha256', this.#scratch.subarray(0, PREFIX + end - from), 'hex');
  }

  /**
   * A line made where it is hashed. @returns its bytes with its newline, until the next line is hashed, and its hash; undefined where
   * it is longer than that
   */
  event(before: string, seq: number, event: EventLine): { readonly bytes: Buffer; readonly hash: string } | undefined {
    const scratch = this.#scratch;
    scratch.write(before, LINE.length, 'latin1');
    let to = putNumber(this.#room, put(this.#room, PREFIX, SEQ), seq);
    const end = writeEvent(this.#room, put(this.#room, to, COMMA), event);
    if (end === undefined) return undefined;
    const hashed = hash('sha256', scratch.subarray(0, end), 'hex');
    to = put(scratch, end, HASH_BYTES);
    to = put(scratch, to + scratch.write(hashed, to, 'latin1'), CLOSE);
    return { bytes: scratch.subarray(PREFIX, to), hash: hashed };
  }
}

const hasher = new LineHasher();

/** The hash that a line should have, given the one before it. @param line with its hash member, without its newline */
export function lineHash(before: string, line: Buffer): string {
  return hasher.of(before, line, 0, line.length - TAIL);
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

  /**
   * The bytes of one event, as `extend` makes them, in memory that whoever hashes next overwrites.
   * @returns undefined where it is too long for that; then nothing has changed
   */
  extendBy(event: EventLine): Buffer | undefined {
    const line = hasher.event(this.#head, this.#seq + 1, event);
    if (line === undefined) return undefined;
    this.#seq += 1;
    this.#head = line.hash;
    return line.bytes;
  }

  /**
   * The bytes of these lines, each ended by a newline, chained to what came before.
   * @param allocate gives a buffer of that length, with whatever is in it
   */
  extend(lines: readonly Line[], allocate: (size: number) => Buffer = Buffer.allocUnsafe): Buffer {
    const bodies = lines.map((line, index) => bodyOf(this.#seq + 1 + index, line));
    let size = 0;
    for (const { lead, json, base64, close } of bodies) {
      size += lead.length + Buffer.byteLength(json) + base64.length + close.length + TAIL + 1;
    }
    const out = allocate(size);
    let at = 0;
    for (const body of bodies) {
      const from = at;
      at += out.write(body.lead, at, 'latin1');
      at += out.write(body.json, at, 'utf8');
      if (body.close !== '') {
        at += out.write(body.base64, at, 'latin1');
        at += out.write(body.close, at, 'latin1');
      }
      this.#seq += 1;
      this.#head = hasher.of(this.#head, out, from, at);
      at += out.write(`${HASH_MEMBER}${this.#head}"}\n`, at, 'latin1');
    }
    return out;
  }
}

/** A line's body in pieces: joined they would be copied once more. */
interface LineBody {
  readonly lead: string;
  readonly json: string;
  /** Nothing in it is to be escaped or measured: each character is one byte. */
  readonly base64: string;
  readonly close: '"' | '';
}

function bodyOf(seq: number, line: Line): LineBody {
  const lead = `{"seq":${seq},`;
  if (line.kind !== 'Frame' || line.encoding !== 'base64') {
    return { lead, json: JSON.stringify(line).slice(1, -1), base64: '', close: '' };
  }
  const { data, ...rest } = line;
  return { lead, json: `${JSON.stringify(rest).slice(1, -1)},"data":"`, base64: data, close: '"' };
}

/** A line taken apart without reading its JSON: undefined where it has not the shape of one. */
export interface SplitLine {
  readonly seq: number;
  /** Offset behind the number. */
  readonly behindSeq: number;
  readonly hash: string;
}

/** Byte by byte: this runs for every line that is verified, and a string made of a few bytes costs more than looking at them. */
export function splitLine(line: Buffer): SplitLine | undefined {
  const { length } = line;
  const at = length - TAIL;
  if (at < 9 || line[length - 1] !== 0x7d || line[length - 2] !== 0x22) return undefined;
  for (let i = 0; i < SEQ.length; i += 1) if (line[i] !== SEQ[i]) return undefined;
  for (let i = 0; i < HASH_BYTES.length; i += 1) if (line[at + i] !== HASH_BYTES[i]) return undefined;
  let seq = 0;
  let behindSeq = SEQ.length;
  for (; behindSeq < SEQ.length + 16; behindSeq += 1) {
    const digit = line[behindSeq]! - 0x30;
    if (digit < 0 || digit > 9) break;
    seq = seq * 10 + digit;
  }
  if (seq === 0 || line[behindSeq] !== 0x2c || line[SEQ.length] === 0x30) return undefined;
  const hash = line.toString('latin1', at + HASH_BYTES.length, length - 2);
  return { seq, behindSeq, hash };
}
