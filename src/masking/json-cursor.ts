import { SallyportError } from '../errors.ts';
import { isEscaped } from './line-form.ts';

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

/** Thrown by a cursor whose bytes may go on, where they end within what is read. No error, so that it costs no stack. */
export const INCOMPLETE: unique symbol = Symbol('incomplete');

/** Which byte closes each open container, while a value is passed over. Nothing is kept in it between two calls. */
const CLOSERS = new Uint8Array(MAX_DEPTH + 1);

/** Reads JSON (RFC 8259) strictly from bytes, without building anything of it. Every method begins at `at` and moves it on. */
export class JsonCursor {
  at: number;
  readonly bytes: Buffer;
  /** Content of the string that `read` was at last, without its quotes, and whether an escape stands in it. */
  from = 0;
  to = 0;
  escaped = false;
  readonly end: number;
  private readonly goesOn: boolean;
  private depth = 0;

  /** @param goesOn whether more bytes may come: then what is cut by the end is INCOMPLETE, and no error */
  constructor(bytes: Buffer, start = 0, end = bytes.length, goesOn = false) {
    this.bytes = bytes;
    this.at = start;
    this.end = end;
    this.goesOn = goesOn;
  }

  /** Another one over the same bytes. */
  again(start: number): JsonCursor {
    return new JsonCursor(this.bytes, start, this.end, this.goesOn);
  }

  /** The next byte that is no white space; -1 at the end. */
  peek(): number {
    const { bytes, end } = this;
    let { at } = this;
    while (at < end) {
      const c = bytes[at]!;
      if (c > 0x20 || (c !== 0x20 && c !== 0x0a && c !== 0x0d && c !== 0x09)) {
        this.at = at;
        return c;
      }
      at++;
    }
    this.at = at;
    return -1;
  }

  /** Reads a string into `from`, `to` and `escaped`. */
  read(): void {
    if (this.peek() !== 0x22) throw this.failed('a string was expected');
    this.from = this.at + 1;
    this.escaped = false;
    this.to = this.closing(this.from);
    this.at = this.to + 1;
  }

  /**
   * Moves behind the string that is just this, as `read` would.
   * @param content of a string that was read before, so that the quote behind it is the one that ends it
   * @returns whether it stood there; else nothing is moved but white space passed
   */
  expect(content: Uint8Array): boolean {
    if (this.peek() !== 0x22) return false;
    const { bytes } = this;
    const from = this.at + 1;
    const to = from + content.length;
    if (to >= this.end || bytes[to] !== 0x22) return false;
    for (let i = 0; i < content.length; i++) if (bytes[from + i] !== content[i]) return false;
    this.from = from;
    this.to = to;
    this.at = to + 1;
    return true;
  }

  /** @returns the content's range, without the quotes */
  string(): Span {
    this.read();
    return { start: this.from, end: this.to };
  }

  /** The quote that ends the string whose content begins at `start`. */
  private closing(start: number): number {
    const { bytes } = this;
    const near = start + NEAR < this.end ? start + NEAR : this.end;
    for (let i = start; i < near; i++) {
      const c = bytes[i]!;
      if (c > 0x22) {
        if (c !== 0x5c) continue;
        this.escaped = true;
        i++;
      } else if (c === 0x22) return i;
      else if (c < 0x20) throw unreadable('a control character stands in a string');
    }
    return this.farClosing(near);
  }

  /** The same for a long string, by searches that are faster than a loop. */
  private farClosing(from: number): number {
    const { bytes, end } = this;
    if (from < end) {
      // What was looked at before may have ended with a backslash.
      for (let at = bytes.indexOf(0x22, from); at !== -1 && at < end; at = bytes.indexOf(0x22, at + 1)) {
        if (bytes[at - 1] === 0x5c && isEscaped(bytes, at, 0)) continue;
        this.escaped ||= bytes.subarray(from, at).includes(0x5c);
        return at;
      }
    }
    this.at = end;
    throw this.failed('it ends in a string');
  }

  enter(): void {
    if (++this.depth > MAX_DEPTH) throw unreadable(`it is nested deeper than ${MAX_DEPTH}`);
    this.at++;
  }

  /** After a member or item: true at the comma before another, false when the container was closed. */
  more(close: number): boolean {
    const c = this.peek();
    if (c !== 0x2c && c !== close) throw this.failed('"," or the end of an object or list was expected');
    this.at++;
    if (c === 0x2c) return true;
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
    if (this.peek() !== 0x3a) throw this.failed('":" was expected');
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
      if (this.at === start || NUMBER.exec(text)?.[0].length !== text.length) throw this.failed('a value was expected');
    }
  }

  private literal(word: string): void {
    for (let i = 0; i < word.length; i++) {
      if (this.at < this.end && this.bytes[this.at] === word.charCodeAt(i)) this.at++;
      else throw this.failed('a value was expected');
    }
  }

  /** What to throw where something else was expected: at the end of bytes that go on, that more is needed. */
  private failed(why: string): unknown {
    return this.goesOn && this.at >= this.end ? INCOMPLETE : unreadable(why);
  }

  /** Passes over a value of any kind. */
  skip(): Span {
    this.peek();
    const start = this.at;
    this.pass();
    return { start, end: this.at };
  }

  /** As `skip`, and tells nothing: one loop, which is most of the work where nothing is masked. */
  pass(): void {
    const base = this.depth;
    let depth = 0;
    for (;;) {
      const c = this.peek();
      if (c === 0x22) this.at = this.closing(this.at + 1) + 1;
      else if (c === 0x7b || c === 0x5b) {
        const closer = c + 2;
        if (base + ++depth > MAX_DEPTH) throw unreadable(`it is nested deeper than ${MAX_DEPTH}`);
        CLOSERS[depth] = closer;
        this.at++;
        if (this.peek() !== closer) {
          if (c === 0x7b) this.key();
          continue;
        }
        this.at++;
        depth--;
      } else this.scalar();
      for (;;) {
        if (depth === 0) return;
        const sign = this.peek();
        const closer = CLOSERS[depth]!;
        if (sign !== 0x2c && sign !== closer) throw this.failed('"," or the end of an object or list was expected');
        this.at++;
        if (sign === closer) depth--;
        else {
          if (closer === 0x7d) this.key();
          break;
        }
      }
    }
  }

  private key(): void {
    if (this.peek() !== 0x22) throw this.failed('a string was expected');
    this.at = this.closing(this.at + 1) + 1;
    this.colon();
  }

  /**
   * The members of the object that begins here, by a function that must pass over each value; then moves behind it. One that
   * gives true has seen enough, and the cursor is left where it is.
   */
  members(each: (key: Span) => unknown): void {
    if (this.peek() !== 0x7b) throw this.failed('an object was expected');
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

/** Bytes of a string that are looked at one by one. */
export const NEAR = 256;

const IN_NUMBER = new Uint8Array(256);
for (const char of '0123456789+-.eE') IN_NUMBER[char.charCodeAt(0)] = 1;
