import { NEAR } from './json-cursor.ts';
import type { KeywordCheck } from './keyword-check.ts';

/** Bytes of one of four stretches that are read side by side: short, since what was read behind a keyword is read again. */
const STRETCH = 256;
const STRETCHES = 4 * STRETCH;
/** Bytes without a keyword, behind which there may be many more. */
const LEAD = 1024;

/**
 * One pass over bytes for all keywords at once (Aho–Corasick, as a table): letters match in either case, `0` in a keyword
 * stands for any digit. What it does not find, no expression is tried on.
 */
export class KeywordGate {
  private readonly classes = new Uint8Array(256);
  /** By state and class: the next state, times the width. */
  private readonly table: Int32Array | Uint16Array;
  private readonly width: number;
  /** States from here on end a keyword: one comparison tells. */
  private readonly accepting: number;
  private readonly outputs: readonly (readonly number[])[];
  private readonly lengths: readonly number[];
  /** Of the longest keyword: by so many bytes a state is told, whatever stood before them. */
  private readonly longest: number;
  private readonly checks: readonly (KeywordCheck | undefined)[];

  /** @param checks for each keyword: what must hold around it for it to count */
  constructor(keywords: readonly string[], checks: readonly (KeywordCheck | undefined)[] = []) {
    this.checks = checks;
    this.width = this.classify(keywords);
    this.lengths = keywords.map((keyword) => keyword.length);
    this.longest = Math.max(0, ...this.lengths);
    const built = build(keywords, this.classes, this.width);
    if (built.next.length > 65_000) throw new Error('too many keywords for one gate');
    // States that end a keyword are numbered last.
    const order = [...built.next.keys()].sort(
      (a, b) => Number(built.out[a]!.length > 0) - Number(built.out[b]!.length > 0) || a - b,
    );
    const number = new Int32Array(order.length);
    for (const [to, from] of order.entries()) number[from] = to * this.width;
    // Half as much of the cache where it suffices: for all built-in keywords it does.
    const size = order.length * this.width;
    this.table = size <= 0x10000 ? new Uint16Array(size) : new Int32Array(size);
    for (const [to, from] of order.entries()) {
      for (let c = 0; c < this.width; c++) this.table[to * this.width + c] = number[built.next[from]![c]!]!;
    }
    this.outputs = order.map((from) => built.out[from]!);
    this.accepting = this.outputs.findIndex((out) => out.length > 0);
    if (this.accepting === -1) this.accepting = order.length;
    this.accepting *= this.width;
  }

  private classify(keywords: readonly string[]): number {
    let width = 1;
    for (const keyword of keywords) {
      for (const byte of Buffer.from(keyword, 'latin1')) {
        const char = String.fromCharCode(byte);
        if (this.classes[byte] !== 0) continue;
        this.classes[byte] = width;
        if (/[0-9]/.test(char)) for (let digit = 48; digit < 58; digit++) this.classes[digit] = width;
        if (/[a-zA-Z]/.test(char)) {
          this.classes[char.toLowerCase().charCodeAt(0)] = width;
          this.classes[char.toUpperCase().charCodeAt(0)] = width;
        }
        width++;
      }
    }
    return width;
  }

  /** The same keywords with other checks. */
  with(checks: readonly (KeywordCheck | undefined)[]): KeywordGate {
    return Object.create(this, { checks: { value: checks } }) as KeywordGate;
  }

  checkOf(keyword: number): KeywordCheck | undefined {
    return this.checks[keyword];
  }

  /** The last byte of the first keyword that its check lets pass; `end` where there is none. */
  first(bytes: Uint8Array, start: number, end: number): number {
    const { classes, table, accepting, longest } = this;
    let state = 0;
    let at = start;
    // Where keywords are near each other, what is read ahead of the first is read in vain.
    for (const lead = Math.min(end, start + LEAD); at < lead; at++) {
      state = table[state + classes[bytes[at]!]!]!;
      if (state >= accepting && this.passes(state, bytes, at, start, end)) return at;
    }
    // A state waits for the one before it, byte by byte: four stretches side by side, which do not wait for each other, take half
    // the time. Each begins as many bytes early as its first state depends on.
    while (end - at >= STRETCHES && longest < STRETCH) {
      const second = at + STRETCH;
      const third = second + STRETCH;
      const fourth = third + STRETCH;
      let b = 0;
      let c = 0;
      let d = 0;
      for (let i = -longest; i < 0; i++) {
        b = table[b + classes[bytes[second + i]!]!]!;
        c = table[c + classes[bytes[third + i]!]!]!;
        d = table[d + classes[bytes[fourth + i]!]!]!;
      }
      let i = 0;
      for (; i < STRETCH; i++) {
        state = table[state + classes[bytes[at + i]!]!]!;
        b = table[b + classes[bytes[second + i]!]!]!;
        c = table[c + classes[bytes[third + i]!]!]!;
        d = table[d + classes[bytes[fourth + i]!]!]!;
        if (state < accepting && b < accepting && c < accepting && d < accepting) continue;
        if (state >= accepting && this.passes(state, bytes, at + i, start, end)) return at + i;
        if (b >= accepting && this.passes(b, bytes, second + i, start, end)) break;
        if (c >= accepting && this.passes(c, bytes, third + i, start, end)) break;
        if (d >= accepting && this.passes(d, bytes, fourth + i, start, end)) break;
      }
      if (i < STRETCH) {
        // One lies ahead, and may not be the first.
        at += i + 1;
        break;
      }
      state = d;
      at += STRETCHES;
    }
    for (; at < end; at++) {
      state = table[state + classes[bytes[at]!]!]!;
      if (state >= accepting && this.passes(state, bytes, at, start, end)) return at;
    }
    return end;
  }

  /** Whether any keyword is in the range that its check lets pass. */
  touches(bytes: Uint8Array, start: number, end: number): boolean {
    const { classes, table, accepting } = this;
    let state = 0;
    for (let i = start; i < end; i++) {
      state = table[state + classes[bytes[i]!]!]!;
      if (state >= accepting && this.passes(state, bytes, i, start, end)) return true;
    }
    return false;
  }

  /**
   * The quote that ends a short string of JSON whose content begins at `start`, if no keyword is in it that its check lets pass; -1
   * where there is one, an escape or a control character, or no quote is near: then it is to be read. What both take is one pass.
   */
  quietEnd(bytes: Uint8Array, start: number, end: number): number {
    const { classes, table, accepting } = this;
    const near = start + NEAR < end ? start + NEAR : end;
    let state = 0;
    let met = false;
    for (let i = start; i < near; i++) {
      const c = bytes[i]!;
      if (c === 0x22) return met && this.touches(bytes, start, i) ? -1 : i;
      if (c === 0x5c || c < 0x20) return -1;
      state = table[state + classes[c]!]!;
      // What its check says depends on where the string ends.
      if (state >= accepting) met = true;
    }
    return -1;
  }

  private passes(state: number, bytes: Uint8Array, last: number, start: number, end: number): boolean {
    for (const keyword of this.outputs[state / this.width]!) {
      const check = this.checks[keyword];
      if (check === undefined || check(bytes, last + 1 - this.lengths[keyword]!, start, end)) return true;
    }
    return false;
  }

  /** Tells every keyword whose check lets it pass with the offset of its first byte, in the order of their ends. */
  each(bytes: Uint8Array, start: number, end: number, found: (keyword: number, at: number) => void): void {
    const { classes, table, accepting } = this;
    let state = 0;
    for (let i = start; i < end; i++) {
      state = table[state + classes[bytes[i]!]!]!;
      if (state < accepting) continue;
      for (const keyword of this.outputs[state / this.width]!) {
        const at = i + 1 - this.lengths[keyword]!;
        const check = this.checks[keyword];
        if (check === undefined || check(bytes, at, start, end)) found(keyword, at);
      }
    }
  }
}

function build(keywords: readonly string[], classes: Uint8Array, width: number) {
  const next: number[][] = [new Array<number>(width).fill(-1)];
  const out: number[][] = [[]];
  for (const [id, keyword] of keywords.entries()) {
    let state = 0;
    for (const byte of Buffer.from(keyword, 'latin1')) {
      const c = classes[byte]!;
      if (next[state]![c] === -1) {
        next[state]![c] = next.length;
        next.push(new Array<number>(width).fill(-1));
        out.push([]);
      }
      state = next[state]![c]!;
    }
    if (state !== 0) out[state]!.push(id);
  }
  const fail = new Array<number>(next.length).fill(0);
  const queue: number[] = [];
  for (let c = 0; c < width; c++) {
    const to = next[0]![c]!;
    if (to === -1) next[0]![c] = 0;
    else queue.push(to);
  }
  for (let head = 0; head < queue.length; head++) {
    const state = queue[head]!;
    out[state]!.push(...out[fail[state]!]!);
    for (let c = 0; c < width; c++) {
      const to = next[state]![c]!;
      const back = next[fail[state]!]![c]!;
      if (to === -1) next[state]![c] = back;
      else {
        fail[to] = back;
        queue.push(to);
      }
    }
  }
  return { next, out };
}
