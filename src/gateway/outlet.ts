import type { Writable } from 'node:stream';
import type { Flow } from '../upstream/forward.ts';
import type { ClientResponse } from './exchange.ts';
import { giveBack, PASSING, takeBuffer } from './passing-buffers.ts';
import { passedOn } from './short-lived.ts';

/** Less than this is written from memory of its own: a buffer that has to come back is not worth it. */
const SHORT = 8 * 1024;
/** Bytes that may wait for the client before the API server is made to wait; with one buffer, what one answer holds. */
const MOST_WAITING = 440 * 1024;

/** Milliseconds. What follows a write within them is one of many, and waits as long at most for more. */
const TRICKLE = 1;

/**
 * The way out of an answer's body. What the API server sends comes in pieces of one TLS record, 3,200 of them in 50 MB;
 * written one by one they cost as much again as all else, here and at the client. So what comes in one turn of the event
 * loop leaves as one write, no later than that turn ends; only where pieces trickle, record upon record, are they
 * gathered for longer than a turn. The first of them, an event of a watch, a line of a log wait for nothing.
 */
export class Outlet {
  readonly #response: ClientResponse;
  readonly #flow: Flow;
  readonly #stallTimeout: number;
  #buffer: Buffer | undefined;
  #size = 0;
  #scheduled: NodeJS.Immediate | undefined;
  #later: NodeJS.Timeout | undefined;
  #written = Number.NEGATIVE_INFINITY;
  #stall: NodeJS.Timeout | undefined;
  #closed = false;
  bytes = 0;

  /** @param stallTimeout milliseconds for which the client may take no byte of what waits for it */
  constructor(response: ClientResponse, flow: Flow, stallTimeout: number) {
    this.#response = response;
    this.#flow = flow;
    this.#stallTimeout = stallTimeout;
  }

  /** @param chunk is copied: it need not outlast the call */
  write(chunk: Buffer): void {
    this.bytes += chunk.length;
    for (let at = 0; at < chunk.length && !this.#closed; ) {
      this.#buffer ??= takeBuffer();
      const end = Math.min(chunk.length, at + PASSING - this.#size);
      chunk.copy(this.#buffer, this.#size, at, end);
      this.#size += end - at;
      at = end;
      if (this.#size === PASSING) this.#flush();
    }
    if (this.#size === 0 || this.#scheduled !== undefined || this.#later !== undefined) return;
    if (performance.now() - this.#written > TRICKLE) this.#scheduled = setImmediate(this.#flush);
    else this.#later = setTimeout(this.#flush, TRICKLE);
  }

  end(): void {
    // Head and body of a short answer in one write.
    if (this.#size > 0 && this.#size <= SHORT) (this.#response as Writable).end(this.#short());
    else {
      this.#flush();
      this.#response.end();
    }
  }

  /** Nothing more is written. */
  close(): void {
    this.#closed = true;
    this.#unschedule();
    if (this.#buffer !== undefined) giveBack(this.#buffer);
    this.#buffer = undefined;
    this.#size = 0;
    clearTimeout(this.#stall);
  }

  readonly #flush = (): void => {
    this.#unschedule();
    const size = this.#size;
    if (size === 0) return;
    this.#written = performance.now();
    const response = this.#response as Writable;
    passedOn(size);
    let waiting: boolean;
    if (size <= SHORT) waiting = !response.write(this.#short());
    else {
      const buffer = this.#buffer!;
      this.#buffer = undefined;
      this.#size = 0;
      waiting = !response.write(buffer.subarray(0, size), (error) => {
        if (error === undefined || error === null) giveBack(buffer);
      });
    }
    if (!waiting || this.#stall !== undefined || response.writableLength < MOST_WAITING) return;
    this.#flow.pause();
    this.#stall = setTimeout(() => response.destroy(), this.#stallTimeout);
    response.once('drain', this.#onDrain);
  };

  readonly #onDrain = (): void => {
    clearTimeout(this.#stall);
    this.#stall = undefined;
    this.#flow.resume();
  };

  /** What was gathered, in memory of its own. */
  #short(): Buffer {
    this.#unschedule();
    const bytes = Buffer.from(this.#buffer!.subarray(0, this.#size));
    giveBack(this.#buffer!);
    this.#buffer = undefined;
    this.#size = 0;
    return bytes;
  }

  #unschedule(): void {
    if (this.#scheduled !== undefined) clearImmediate(this.#scheduled);
    if (this.#later !== undefined) clearTimeout(this.#later);
    this.#scheduled = this.#later = undefined;
  }
}
