import { type Base64Pass, base64Pass, IS_BASE64, MIN_RUN, NONE, padded, someRunInScript } from './base64-pass.ts';
import { PIECE } from './base64-pass-memory.ts';

/** Of base64, with its padding. */
export interface Run {
  readonly start: number;
  readonly end: number;
}

/** In fewer bytes runs are told one by one. */
const SHORT = 512;

/** The runs of at least 16 base64 characters in a range of bytes from left to right, a piece at a time. */
export class Base64Scan {
  readonly #bytes: Uint8Array;
  readonly #to: number;
  readonly #pass: Base64Pass;
  #runs: Int32Array = NONE;
  #index = 0;
  #read = -1;

  /** @param bytes which stay as they are while they are read */
  constructor(bytes: Uint8Array, to: number, pass: Base64Pass = base64Pass) {
    this.#bytes = bytes;
    this.#to = to;
    this.#pass = pass;
  }

  /** The next run, as far as it stands from here on; undefined where there is none. Tells each once; calls must not go back. */
  next(from: number): Run | undefined {
    for (;;) {
      while (this.#index < this.#runs.length) {
        const start = Math.max(from, this.#runs[this.#index]!);
        const end = this.#runs[this.#index + 1]!;
        this.#index += 2;
        if (end - start >= MIN_RUN) return { start, end: padded(this.#bytes, start, end, this.#to) };
      }
      if (this.#read >= this.#to) return undefined;
      this.#more(from);
    }
  }

  #more(from: number): void {
    if (from > this.#read) this.#read = from;
    let end = Math.min(this.#to, this.#read + PIECE);
    const runs = this.#pass(this.#bytes, this.#read, end);
    const last = runs.length - 1;
    if (last > 0 && runs[last] === end) {
      while (end < this.#to && IS_BASE64[this.#bytes[end]!] === 1) end++;
      runs[last] = end;
    }
    this.#runs = runs;
    this.#index = 0;
    this.#read = end;
  }
}

/** All of them. */
export function base64Runs(bytes: Uint8Array, from: number, to: number): Run[] {
  const runs: Run[] = [];
  someRun(bytes, from, to, (_, start, end) => {
    runs.push({ start, end });
    return false;
  });
  return runs;
}

/** Whether any is what is looked for. */
export function someRun(
  bytes: Uint8Array,
  from: number,
  to: number,
  test: (bytes: Uint8Array, start: number, end: number) => boolean,
): boolean {
  if (to - from < SHORT) return someRunInScript(bytes, from, to, test);
  const scan = new Base64Scan(bytes, to);
  for (let run = scan.next(from); run !== undefined; run = scan.next(run.end))
    if (test(bytes, run.start, run.end)) return true;
  return false;
}
