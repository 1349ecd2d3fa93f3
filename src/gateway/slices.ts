import type { Flow } from '../upstream/forward.ts';

/**
 * Milliseconds of work on answers in one turn of the event loop. What is over waits for the next turn, in which others have
 * been heard: a request waits for a few of them, so each has to be short beside what a request takes.
 */
const TURN = 0.5;
/** Bytes that are worked on at once; that much takes less than a turn. */
const PIECE = 16 * 1024;
/** Bytes that may wait until the API server is made to wait. */
const MOST_WAITING = 256 * 1024;

/** Answers of which something waits; each in its turn gets one piece. */
const waiting: Slices[] = [];
let spent = 0;
let scheduled = false;

/**
 * Work on an answer's bytes that takes its time (masking), done in slices, so that a large answer holds up no other request. What
 * is short, and comes while nobody works, is done at once.
 */
export class Slices {
  readonly #work: (piece: Buffer) => void;
  readonly #flow: Flow;
  #pieces: Buffer[] = [];
  #size = 0;
  #paused = false;
  #then: (() => void) | undefined;

  /** @param work must not throw */
  constructor(work: (piece: Buffer) => void, flow: Flow) {
    this.#work = work;
    this.#flow = flow;
  }

  push(chunk: Buffer): void {
    let at = 0;
    if (this.#pieces.length === 0) {
      while (at < chunk.length && spent < TURN) {
        this.#timed(chunk.subarray(at, at + PIECE));
        at += PIECE;
      }
    }
    if (at >= chunk.length) return;
    if (this.#pieces.length === 0) waiting.push(this);
    for (; at < chunk.length; at += PIECE) this.#pieces.push(chunk.subarray(at, at + PIECE));
    this.#size = this.#pieces.reduce((sum, piece) => sum + piece.length, 0);
    if (this.#size > MOST_WAITING && !this.#paused) {
      this.#paused = true;
      this.#flow.pause();
    }
    schedule();
  }

  /** Calls back once, when all that was pushed is done; at once, where nothing waits. */
  whenDone(then: () => void): void {
    if (this.#pieces.length === 0) then();
    else this.#then = then;
  }

  /** What waits is not wanted any more. */
  drop(): void {
    this.#pieces = [];
    this.#then = undefined;
  }

  /** @returns whether something still waits */
  next(): boolean {
    const piece = this.#pieces.shift();
    if (piece !== undefined) {
      this.#size -= piece.length;
      this.#timed(piece);
    }
    if (this.#paused && this.#size <= MOST_WAITING / 4) {
      this.#paused = false;
      this.#flow.resume();
    }
    if (this.#pieces.length > 0) return true;
    const then = this.#then;
    this.#then = undefined;
    then?.();
    return false;
  }

  #timed(piece: Buffer): void {
    const started = performance.now();
    this.#work(piece);
    spent += performance.now() - started;
    schedule();
  }
}

function schedule(): void {
  if (scheduled) return;
  scheduled = true;
  setImmediate(turn);
}

function turn(): void {
  scheduled = false;
  spent = 0;
  while (spent < TURN) {
    const one = waiting.shift();
    if (one === undefined) return;
    if (one.next()) waiting.push(one);
  }
  if (waiting.length > 0) schedule();
}
