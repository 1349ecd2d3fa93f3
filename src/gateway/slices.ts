import type { Flow } from '../upstream/forward.ts';
import { giveBack, PASSING, takeBuffer } from './passing-buffers.ts';

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

/** Bytes that wait, in memory that is used again. */
interface Block {
  readonly memory: Buffer;
  at: number;
  end: number;
}

/** What is done with an answer's bytes. None of it may throw. */
export interface SlicedWork {
  /** @param piece need not outlast the call */
  write(piece: Buffer): void;
  /** Whether what was written wants more work before anything else is. */
  busy(): boolean;
  /** Some of that work. */
  step(): void;
}

/**
 * Work on an answer's bytes that takes its time (masking), done in slices, so that a large answer holds up no other request. What
 * is short, and comes while nobody works, is done at once.
 */
export class Slices {
  readonly #work: SlicedWork;
  readonly #flow: Flow;
  readonly #blocks: Block[] = [];
  #size = 0;
  #paused = false;
  #then: (() => void) | undefined;
  #dropped = false;

  constructor(work: SlicedWork, flow: Flow) {
    this.#work = work;
    this.#flow = flow;
  }

  /** @param chunk of which what has to wait is copied */
  push(chunk: Buffer): void {
    let at = 0;
    const waits = this.#waits;
    if (!waits) {
      while (spent < TURN && (this.#work.busy() || at < chunk.length)) {
        if (this.#work.busy()) this.#timed();
        else {
          this.#timed(chunk.subarray(at, at + PIECE));
          at += PIECE;
        }
      }
    }
    if (this.#dropped || (at >= chunk.length && !this.#work.busy())) return;
    if (!waits) waiting.push(this);
    this.#hold(chunk, at);
    if (this.#size > MOST_WAITING && !this.#paused) {
      this.#paused = true;
      this.#flow.pause();
    }
    schedule();
  }

  #hold(chunk: Buffer, from: number): void {
    for (let at = from; at < chunk.length; ) {
      let block = this.#blocks.at(-1);
      if (block === undefined || block.end === PASSING) {
        block = { memory: takeBuffer(), at: 0, end: 0 };
        this.#blocks.push(block);
      }
      const copied = chunk.copy(block.memory, block.end, at);
      block.end += copied;
      this.#size += copied;
      at += copied;
    }
  }

  /** Calls back once, when all that was pushed is done; at once, where nothing waits. */
  whenDone(then: () => void): void {
    if (this.#waits) this.#then = then;
    else then();
  }

  get #waits(): boolean {
    return !this.#dropped && (this.#blocks.length > 0 || this.#work.busy());
  }

  /** What waits is not wanted any more. */
  drop(): void {
    // None is given back: a piece of the first may be at work.
    this.#blocks.length = 0;
    this.#then = undefined;
    this.#dropped = true;
  }

  /** @returns whether something still waits */
  next(): boolean {
    if (this.#dropped) return false;
    if (this.#work.busy()) this.#timed();
    else {
      const [block] = this.#blocks;
      if (block !== undefined) this.#piece(block);
    }
    if (this.#paused && this.#size <= MOST_WAITING / 4) {
      this.#paused = false;
      this.#flow.resume();
    }
    if (this.#waits) return true;
    const then = this.#then;
    this.#then = undefined;
    then?.();
    return false;
  }

  #piece(block: Block): void {
    const piece = block.memory.subarray(block.at, Math.min(block.at + PIECE, block.end));
    block.at += piece.length;
    this.#size -= piece.length;
    const last = block.at === block.end;
    if (last) this.#blocks.shift();
    this.#timed(piece);
    if (last) giveBack(block.memory);
  }

  #timed(piece?: Buffer): void {
    const started = performance.now();
    if (piece === undefined) this.#work.step();
    else this.#work.write(piece);
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
