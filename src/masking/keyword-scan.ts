import type { KeywordGate } from './keyword-gate.ts';
import { type KeywordPass, keywordPass, NONE } from './keyword-pass.ts';
import { PIECE } from './keyword-pass-memory.ts';

/** The keywords in a range of bytes from left to right, a piece at a time: what nobody asks for is not read. */
export class KeywordScan {
  readonly #gate: KeywordGate;
  readonly #bytes: Uint8Array;
  readonly #to: number;
  readonly #pass: KeywordPass;
  /** Where keywords end in what was read, and in which states. */
  #ends: Int32Array = NONE;
  #index = 0;
  /** Where the first piece begins; -1 before. */
  #begin = -1;
  #read = -1;

  /** @param bytes which stay as they are while they are read */
  constructor(gate: KeywordGate, bytes: Uint8Array, to: number, pass: KeywordPass = keywordPass) {
    this.#pass = pass;
    this.#gate = gate;
    this.#bytes = bytes;
    this.#to = to;
  }

  /**
   * The last byte of the first keyword from here on that its check lets pass; the range's end where there is none. Calls must not
   * go back.
   */
  next(from: number): number {
    for (;;) {
      const ends = this.#ends;
      for (; this.#index < ends.length; this.#index += 2) {
        const last = ends[this.#index]!;
        if (last >= from && this.#gate.passes(ends[this.#index + 1]!, this.#bytes, last, from, this.#to)) return last;
      }
      if (this.#read >= this.#to) return this.#to;
      this.#more(from);
    }
  }

  #more(from: number): void {
    // What was left out is not read.
    if (from > this.#read) this.#begin = this.#read = from;
    const end = Math.min(this.#to, this.#read + PIECE);
    this.#ends = this.#pass(this.#gate.automaton, this.#bytes, this.#begin, this.#read, end);
    this.#index = 0;
    this.#read = end;
  }
}
