import { BASE64_PASS } from './base64-pass.generated.ts';
import { PIECE, RUNS, TEXT } from './base64-pass-memory.ts';
import { type WebAssemblyPass, whenAsked } from './web-assembly.ts';

/** Shorter ones are not looked at: names have as many characters. */
export const MIN_RUN = 16;

export const IS_BASE64: Uint8Array = new Uint8Array(256);
for (const char of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_')
  IS_BASE64[char.charCodeAt(0)] = 1;

/**
 * Finds runs of base64 characters, without their padding, among `PIECE` bytes at most.
 * @returns pairs in their order: where a run begins and ends. Of those that reach the end, also one that is too short: it may go on.
 */
export type Base64Pass = (bytes: Uint8Array, from: number, to: number) => Int32Array;

/** From so many bytes on it pays to hand them over. */
const WORTHWHILE = 256;
const PADDING = 0x3d;
export const NONE: Int32Array = new Int32Array(0);
const found = new Int32Array((PIECE / (MIN_RUN + 1) + 2) * 2);

/**
 * In JavaScript, and without a list: tells of each run of at least 16 characters, with its padding, until one is what is looked for.
 * Looks at every sixteenth byte until one could lie in a run: a text without any costs a sixteenth of a pass.
 */
export function someRunInScript(
  bytes: Uint8Array,
  from: number,
  to: number,
  test: (bytes: Uint8Array, start: number, end: number) => boolean,
): boolean {
  let floor = from;
  let probe = from + MIN_RUN - 1;
  while (probe < to) {
    if (IS_BASE64[bytes[probe]!] === 0) {
      probe += MIN_RUN;
      continue;
    }
    let start = probe;
    while (start > floor && IS_BASE64[bytes[start - 1]!] === 1) start--;
    let end = probe + 1;
    while (end < to && IS_BASE64[bytes[end]!] === 1) end++;
    if (end - start >= MIN_RUN) {
      end = padded(bytes, start, end, to);
      if (test(bytes, start, end)) return true;
    }
    floor = end;
    // Behind padding the next run may begin at once.
    probe = end + MIN_RUN - 1;
  }
  return false;
}

/** Where the padding of a run ends. */
export function padded(bytes: Uint8Array, start: number, end: number, to: number): number {
  let behind = end;
  while (behind < to && bytes[behind] === PADDING && (behind - start) % 4 !== 0) behind++;
  return behind;
}

/** How many characters of a run stand before the end: counted as far as they are too few. */
function tailOf(bytes: Uint8Array, from: number, to: number): number {
  let tail = 0;
  while (tail < MIN_RUN && to - tail > from && IS_BASE64[bytes[to - tail - 1]!] === 1) tail++;
  return tail;
}

export const passInScript: Base64Pass = (bytes, from, to) => {
  let length = 0;
  someRunInScript(bytes, from, to, (_, start, end) => {
    found[length] = start;
    while (bytes[end - 1] === PADDING) end--;
    found[length + 1] = end;
    length += 2;
    return false;
  });
  return listed(found, 0, length, 0, tailOf(bytes, from, to), to);
};

/** A list of pairs, and what reaches the end, where it is not of them. */
function listed(of: Int32Array, at: number, length: number, shift: number, tail: number, to: number): Int32Array {
  const isOpen = tail > 0 && (length === 0 || of[at + length - 1]! + shift !== to);
  if (length === 0 && !isOpen) return NONE;
  const list = new Int32Array(isOpen ? length + 2 : length);
  for (let i = 0; i < length; i++) list[i] = of[at + i]! + shift;
  if (isOpen) {
    list[length] = to - tail;
    list[length + 1] = to;
  }
  return list;
}

const sharedPass = whenAsked(BASE64_PASS, ({ pass, memory }: WebAssemblyPass<(length: number) => number>) => ({
  pass,
  bytes: new Uint8Array(memory.buffer),
  words: new Int32Array(memory.buffer),
}));

/** In WebAssembly. @returns undefined where that cannot be */
export function passInWebAssembly(bytes: Uint8Array, from: number, to: number): Int32Array | undefined {
  const shared = sharedPass();
  if (shared === undefined) return undefined;
  const { pass, bytes: memory, words } = shared;
  const size = to - from;
  const length = Math.ceil(size / MIN_RUN) * MIN_RUN;
  memory.set(bytes.subarray(from, to), TEXT);
  memory.fill(0, TEXT + size, TEXT + length);
  const pairs = (pass(length) - RUNS) / 4;
  // What reaches the end of a block that is not full has ended for the pass; what reaches that of a full one, and is long, has not.
  const tail = Math.max(tailOf(bytes, from, to), size === length ? words[0]! : 0);
  return listed(words, RUNS / 4, pairs, from - TEXT, tail, to);
}

/** By whichever is faster: their lists are the same. */
export const base64Pass: Base64Pass = (bytes, from, to) =>
  (to - from < WORTHWHILE ? undefined : passInWebAssembly(bytes, from, to)) ?? passInScript(bytes, from, to);
