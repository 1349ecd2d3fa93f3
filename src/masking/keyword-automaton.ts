/** Of 256 bytes few stand in keywords. */
const MOST_COLUMNS = 255;

/**
 * Keywords as one automaton (Aho–Corasick, as a table): letters match in either case, `0` in a keyword stands for any digit. A state
 * is the offset of its row.
 */
export class KeywordAutomaton {
  /** By byte: its column. */
  readonly classes = new Uint8Array(256);
  /** By state and column: the next state. */
  readonly table: Int32Array | Uint16Array;
  readonly width: number;
  /** States from here on end a keyword: one comparison tells. */
  readonly accepting: number;
  readonly lengths: readonly number[];
  /** Of the longest keyword: by so many bytes a state is told, whatever stood before them. */
  readonly longest: number;
  readonly #outputs: readonly (readonly number[])[];

  constructor(keywords: readonly string[]) {
    this.width = classify(keywords, this.classes);
    if (this.width > MOST_COLUMNS) throw new Error('too many different bytes in keywords for one gate');
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
    this.#outputs = order.map((from) => built.out[from]!);
    const first = this.#outputs.findIndex((out) => out.length > 0);
    this.accepting = (first === -1 ? order.length : first) * this.width;
  }

  /** The keywords that end in a state. */
  endingIn(state: number): readonly number[] {
    return this.#outputs[state / this.width]!;
  }
}

/** Gives each byte that stands in a keyword a column, and all others the first. @returns how many there are */
function classify(keywords: readonly string[], classes: Uint8Array): number {
  let width = 1;
  for (const keyword of keywords) {
    for (const byte of Buffer.from(keyword, 'latin1')) {
      const char = String.fromCharCode(byte);
      if (classes[byte] !== 0) continue;
      classes[byte] = width;
      if (/[0-9]/.test(char)) for (let digit = 48; digit < 58; digit++) classes[digit] = width;
      if (/[a-zA-Z]/.test(char)) {
        classes[char.toLowerCase().charCodeAt(0)] = width;
        classes[char.toUpperCase().charCodeAt(0)] = width;
      }
      width++;
    }
  }
  return width;
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
