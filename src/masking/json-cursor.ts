import { SallyportError } from '../errors.ts';

const MAX_DEPTH = 512;
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;

export interface Span {
  readonly start: number;
  readonly end: number;
}

/** The answer cannot be read where it has to be masked: nothing of it is passed on. */
export function unreadable(why: string): SallyportError {
  return new SallyportError('SP_MASKING_UNREADABLE', `the answer cannot be masked, so it is not passed on: ${why}`);
}

/** Reads JSON (RFC 8259) strictly from bytes, without building anything of it. Every method begins at `at` and moves it on. */
export class JsonCursor {
  at: number;
  readonly bytes: Buffer;
  private readonly end: number;
  private depth = 0;

  constructor(bytes: Buffer, start = 0, end = bytes.length) {
    this.bytes = bytes;
    this.at = start;
    this.end = end;
  }

  /** The next byte that is no white space; -1 at the end. */
  peek(): number {
    while (this.at < this.end) {
      const c = this.bytes[this.at]!;
      if (c > 0x20 || (c !== 0x20 && c !== 0x0a && c !== 0x0d && c !== 0x09)) return c;
      this.at++;
    }
    return -1;
  }

  /** @returns the content's range, without the quotes */
  string(): Span {
    const { bytes, end } = this;
    if (this.peek() !== 0x22) throw unreadable('a string was expected');
    const start = this.at + 1;
    let i = start;
    while (i < end) {
      const c = bytes[i]!;
      if (c === 0x22) {
        this.at = i + 1;
        return { start, end: i };
      }
      if (c < 0x20) throw unreadable('a control character stands in a string');
      i += c === 0x5c ? 2 : 1;
    }
    throw unreadable('it ends in a string');
  }

  enter(): void {
    if (++this.depth > MAX_DEPTH) throw unreadable(`it is nested deeper than ${MAX_DEPTH}`);
    this.at++;
  }

  /** After a member or item: true at the comma before another, false when the container was closed. */
  more(close: number): boolean {
    const c = this.peek();
    this.at++;
    if (c === 0x2c) return true;
    if (c !== close) throw unreadable('"," or the end of an object or list was expected');
    this.depth--;
    return false;
  }

  /** Right after `enter`: whether it is empty, and closed by that. */
  empty(close: number): boolean {
    if (this.peek() !== close) return false;
    this.at++;
    this.depth--;
    return true;
  }

  colon(): void {
    if (this.peek() !== 0x3a) throw unreadable('":" was expected');
    this.at++;
  }

  /** A number, true, false or null. */
  scalar(): void {
    const c = this.peek();
    if (c === 0x74) this.literal('true');
    else if (c === 0x66) this.literal('false');
    else if (c === 0x6e) this.literal('null');
    else {
      const start = this.at;
      while (this.at < this.end && IN_NUMBER[this.bytes[this.at]!] === 1) this.at++;
      if (this.at - start === 1 && c >= 0x30 && c <= 0x39) return;
      const text = this.bytes.toString('latin1', start, this.at);
      NUMBER.lastIndex = 0;
      if (this.at === start || NUMBER.exec(text)?.[0].length !== text.length) throw unreadable('a value was expected');
    }
  }

  private literal(word: string): void {
    if (this.bytes.toString('latin1', this.at, this.at + word.length) !== word)
      throw unreadable('a value was expected');
    this.at += word.length;
  }

  /** Passes over a value of any kind. */
  skip(): Span {
    const c = this.peek();
    const start = this.at;
    if (c === 0x22) this.string();
    else if (c === 0x7b) {
      this.enter();
      if (!this.empty(0x7d)) {
        do {
          this.string();
          this.colon();
          this.skip();
        } while (this.more(0x7d));
      }
    } else if (c === 0x5b) {
      this.enter();
      if (!this.empty(0x5d))
        do this.skip();
        while (this.more(0x5d));
    } else this.scalar();
    return { start, end: this.at };
  }

  /**
   * The members of the object that begins here, by a function that must pass over each value; then moves behind it. One that
   * gives true has seen enough, and the cursor is left where it is.
   */
  members(each: (key: Span) => unknown): void {
    if (this.peek() !== 0x7b) throw unreadable('an object was expected');
    this.enter();
    if (this.empty(0x7d)) return;
    do {
      const key = this.string();
      this.colon();
      if (each(key) === true) return;
    } while (this.more(0x7d));
  }

  text({ start, end }: Span): string {
    return this.bytes.toString('latin1', start, end);
  }
}

const IN_NUMBER = new Uint8Array(256);
for (const char of '0123456789+-.eE') IN_NUMBER[char.charCodeAt(0)] = 1;
