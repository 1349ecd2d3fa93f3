import type { KeywordAutomaton } from './keyword-automaton.ts';
import { KEYWORD_PASS } from './keyword-pass.generated.ts';
import {
  CLASSES,
  ENDING,
  LIST_STRIDE,
  LISTS,
  MEMORY_BYTES,
  MOST_EARLY,
  PIECE,
  ROWS,
  STRETCHES,
  STRIDE,
  TEXT,
} from './keyword-pass-memory.ts';
import { type WebAssemblyPass, whenAsked } from './web-assembly.ts';

/**
 * Finds where keywords end among `PIECE` bytes at most.
 * @param begin bytes before it are not looked at: what begins there is told or not, as it happens
 * @returns pairs in the order of the bytes: the last byte of a keyword, and the automaton's state there
 */
export type KeywordPass = (
  automaton: KeywordAutomaton,
  bytes: Uint8Array,
  begin: number,
  from: number,
  to: number,
) => Int32Array;

export const NONE: Int32Array = new Int32Array(0);

/** From so many bytes on it pays to hand them over. */
const WORTHWHILE = 256;

const found = new Int32Array(PIECE * 2);

/** In JavaScript: what is short, or has too large an automaton, and whatever a machine without WebAssembly reads. */
export const passInScript: KeywordPass = (automaton, bytes, begin, from, to) => {
  const { classes, table, accepting, longest } = automaton;
  let state = 0;
  for (let i = Math.max(begin, from - longest); i < from; i++) state = table[state + classes[bytes[i]!]!]!;
  let length = 0;
  for (let i = from; i < to; i++) {
    state = table[state + classes[bytes[i]!]!]!;
    if (state < accepting) continue;
    found[length] = i;
    found[length + 1] = state;
    length += 2;
  }
  return length === 0 ? NONE : found.slice(0, length);
};

/** A column's offset in its row is one byte. */
const MOST_COLUMNS = 64;

type Pass = (length: number, early: number, root: number) => void;

/** Milliseconds between two times that all tables are thrown out: were there more in use than fit, each pass would put one in anew. */
const CLEARED_EVERY = 10_000;

/** Where an automaton's rows lie. */
interface Place {
  readonly rows: number;
  readonly ending: number;
}

/** The pass in WebAssembly, in a memory of its own that all gates share: what is in it counts only while it passes. */
class SharedPass {
  readonly #pass: Pass;
  readonly #bytes: Uint8Array;
  readonly #words: Int32Array;
  #places = new WeakMap<KeywordAutomaton, Place>();
  #free: Place = { rows: ROWS, ending: ENDING };
  #cleared = Number.NEGATIVE_INFINITY;
  /** Whose classes are in place. */
  #present: KeywordAutomaton | undefined;

  constructor({ pass, memory }: WebAssemblyPass<Pass>) {
    this.#pass = pass;
    this.#bytes = new Uint8Array(memory.buffer);
    this.#words = new Int32Array(memory.buffer);
  }

  takes({ longest, width, table, accepting }: KeywordAutomaton): boolean {
    return (
      longest <= MOST_EARLY &&
      width <= MOST_COLUMNS &&
      ROWS + accepting * 4 <= ENDING &&
      ENDING + (table.length - accepting) * 4 <= MEMORY_BYTES
    );
  }

  /** @returns undefined where there is no room for its table at present */
  run(automaton: KeywordAutomaton, bytes: Uint8Array, begin: number, from: number, to: number): Int32Array | undefined {
    const place = this.#placeOf(automaton);
    if (place === undefined) return undefined;
    const early = automaton.longest;
    const length = Math.ceil((to - from) / STRETCHES);
    for (let s = 0; s < STRETCHES; s++) {
      const at = TEXT + s * STRIDE;
      const start = from + s * length;
      const before = Math.min(to, Math.max(begin, start - early));
      const end = Math.min(to, start + length);
      // What stood there is another's: it must not decide anything.
      if (start - before < early) this.#bytes.fill(0, at - early, at - (start - before));
      this.#bytes.set(bytes.subarray(before, end), at - (start - before));
      if (end - start < length) this.#bytes.fill(0, at + Math.max(0, end - start), at + length);
    }
    this.#pass(length, early, place.rows);
    return this.#listed(automaton, place, length, from, to);
  }

  #placeOf(automaton: KeywordAutomaton): Place | undefined {
    let place = this.#places.get(automaton);
    if (place === undefined) {
      place = this.#put(automaton);
      if (place === undefined) return undefined;
      this.#places.set(automaton, place);
    }
    if (this.#present !== automaton) {
      for (let byte = 0; byte < 256; byte++) this.#bytes[CLASSES + byte] = automaton.classes[byte]! * 4;
      this.#present = automaton;
    }
    return place;
  }

  /** Where there is no room left, all begin anew, unless they did so a moment ago. */
  #put({ table, accepting }: KeywordAutomaton): Place | undefined {
    const more = (free: Place): Place => ({
      rows: free.rows + accepting * 4,
      ending: free.ending + (table.length - accepting) * 4,
    });
    let next = more(this.#free);
    if (next.rows > ENDING || next.ending > MEMORY_BYTES) {
      const now = performance.now();
      if (now - this.#cleared < CLEARED_EVERY) return undefined;
      this.#cleared = now;
      this.#places = new WeakMap();
      this.#free = { rows: ROWS, ending: ENDING };
      next = more(this.#free);
    }
    const { rows, ending } = this.#free;
    const address = (state: number): number =>
      state < accepting ? rows + state * 4 : ending + (state - accepting) * 4;
    for (let i = 0; i < table.length; i++) this.#words[address(i) / 4] = address(table[i]!);
    this.#free = next;
    return { rows, ending };
  }

  #listed({ accepting }: KeywordAutomaton, { ending }: Place, length: number, from: number, to: number): Int32Array {
    const words = this.#words;
    let size = 0;
    for (let s = 0; s < STRETCHES; s++) size += words[s]! - LISTS - s * LIST_STRIDE;
    if (size === 0) return NONE;
    const list = new Int32Array(size / 4);
    let put = 0;
    for (let s = 0; s < STRETCHES; s++) {
      const end = words[s]! / 4;
      for (let at = (LISTS + s * LIST_STRIDE) / 4; at < end; at += 2) {
        const last = from + s * length + words[at]! - TEXT;
        // What fills up the last stretch.
        if (last >= to) return list.subarray(0, put);
        list[put] = last;
        list[put + 1] = accepting + (words[at + 1]! - ending) / 4;
        put += 2;
      }
    }
    return list;
  }
}

const sharedPass = whenAsked(KEYWORD_PASS, (instance: WebAssemblyPass<Pass>) => new SharedPass(instance));

/** In WebAssembly. @returns undefined where that cannot be */
export function passInWebAssembly(...[automaton, ...range]: Parameters<KeywordPass>): Int32Array | undefined {
  const pass = sharedPass();
  return pass?.takes(automaton) === true ? pass.run(automaton, ...range) : undefined;
}

/** By whichever is faster: their lists are the same. */
export const keywordPass: KeywordPass = (automaton, bytes, begin, from, to) =>
  (to - from < WORTHWHILE ? undefined : passInWebAssembly(automaton, bytes, begin, from, to)) ??
  passInScript(automaton, bytes, begin, from, to);
