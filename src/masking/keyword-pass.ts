import type { KeywordAutomaton } from './keyword-automaton.ts';
import { KEYWORD_PASS } from './keyword-pass.generated.ts';
import { CLASSES, LISTS, MEMORY_BYTES, MOST_EARLY, PIECE, STRETCHES, TABLES, TEXT } from './keyword-pass-memory.ts';

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

/** The parts of WebAssembly's interface that are needed: Node's types do not have it. */
declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object;
  Instance: new (
    module: object,
  ) => {
    readonly exports: {
      readonly memory: { readonly buffer: ArrayBuffer };
      pass(length: number, early: number, root: number, accepting: number): void;
    };
  };
};

/** The pass in WebAssembly, in a memory of its own that all gates share: none holds more of it than while it is passed. */
class WebAssemblyPass {
  readonly #pass: (length: number, early: number, root: number, accepting: number) => void;
  readonly #bytes: Uint8Array;
  readonly #words: Int32Array;
  /** Where each automaton's table lies. */
  #roots = new WeakMap<KeywordAutomaton, number>();
  #free = TABLES;
  /** Whose classes are in place. */
  #present: KeywordAutomaton | undefined;

  /** @throws where the machine has no WebAssembly, or no memory for it */
  constructor() {
    const module = new WebAssembly.Module(Buffer.from(KEYWORD_PASS, 'base64'));
    const { pass, memory } = new WebAssembly.Instance(module).exports;
    this.#pass = pass;
    this.#bytes = new Uint8Array(memory.buffer);
    this.#words = new Int32Array(memory.buffer);
  }

  takes({ longest, table }: KeywordAutomaton): boolean {
    return longest <= MOST_EARLY && table.length * 4 <= MEMORY_BYTES - TABLES;
  }

  run(automaton: KeywordAutomaton, bytes: Uint8Array, begin: number, from: number, to: number): Int32Array {
    const root = this.#rootOf(automaton);
    const early = automaton.longest;
    const before = Math.max(begin, from - early);
    const text = TEXT - (from - before);
    // What stood there before is another's: it must not decide anything.
    this.#bytes.fill(0, TEXT - early, text);
    this.#bytes.set(bytes.subarray(before, to), text);
    const size = to - from;
    const length = Math.ceil(size / STRETCHES);
    this.#bytes.fill(0, TEXT + size, TEXT + length * STRETCHES);
    this.#pass(length, early, root, root + automaton.accepting * 4);
    return this.#listed(length, root, from - TEXT, to);
  }

  #rootOf(automaton: KeywordAutomaton): number {
    let root = this.#roots.get(automaton);
    if (root === undefined) {
      root = this.#place(automaton);
      this.#roots.set(automaton, root);
    }
    if (this.#present !== automaton) {
      for (let byte = 0; byte < 256; byte++) this.#bytes[CLASSES + byte] = automaton.classes[byte]! * 4;
      this.#present = automaton;
    }
    return root;
  }

  /** Where no place is left, all begin anew. */
  #place({ table }: KeywordAutomaton): number {
    if (this.#free + table.length * 4 > MEMORY_BYTES) {
      this.#roots = new WeakMap();
      this.#free = TABLES;
    }
    const root = this.#free;
    for (let i = 0; i < table.length; i++) this.#words[root / 4 + i] = root + table[i]! * 4;
    this.#free += table.length * 4;
    return root;
  }

  #listed(length: number, root: number, shift: number, to: number): Int32Array {
    const words = this.#words;
    let size = 0;
    for (let s = 0; s < STRETCHES; s++) size += words[s]! - LISTS - s * length * 8;
    if (size === 0) return NONE;
    const list = new Int32Array(size / 4);
    let put = 0;
    for (let s = 0; s < STRETCHES; s++) {
      const end = words[s]! / 4;
      for (let at = (LISTS + s * length * 8) / 4; at < end; at += 2) {
        const last = words[at]! + shift;
        // What fills up the last stretch.
        if (last >= to) return list.subarray(0, put);
        list[put] = last;
        list[put + 1] = (words[at + 1]! - root) / 4;
        put += 2;
      }
    }
    return list;
  }
}

let shared: WebAssemblyPass | undefined | null;

/** @returns undefined on a machine without WebAssembly */
function webAssembly(): WebAssemblyPass | undefined {
  if (shared === undefined) {
    try {
      shared = new WebAssemblyPass();
    } catch {
      shared = null;
    }
  }
  return shared ?? undefined;
}

/** In WebAssembly. @returns undefined where that cannot be */
export function passInWebAssembly(...[automaton, ...range]: Parameters<KeywordPass>): Int32Array | undefined {
  const pass = webAssembly();
  return pass?.takes(automaton) === true ? pass.run(automaton, ...range) : undefined;
}

/** By whichever is faster: their lists are the same. */
export const keywordPass: KeywordPass = (automaton, bytes, begin, from, to) =>
  (to - from < WORTHWHILE ? undefined : passInWebAssembly(automaton, bytes, begin, from, to)) ??
  passInScript(automaton, bytes, begin, from, to);
