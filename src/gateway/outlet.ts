import type { Writable } from 'node:stream';
import type { Flow } from '../upstream/forward.ts';
import type { ClientResponse } from './exchange.ts';
import { giveBack, PASSING, takeBuffer } from './passing-buffers.ts';
import { passedOn } from './short-lived.ts';

/** Less than this is written from memory of its own: a buffer that has to come back is not worth it. */
const SHORT = 8 * 1024;
/** Bytes that may wait for the client before the API server is made to wait; with one buffer, what one answer holds. */
const MOST_WAITING = 440 * 1024;

/**
 * Bytes before and behind what is gathered, for the chunked coding (RFC 9112 7.1): five digits of its size, zeros ahead, and the
 * ends of both lines. With them a full buffer is four TLS records to the byte.
 */
const CHUNK_SIZE = 7;
const CHUNK_END = 2;
const LAST_CHUNK = Buffer.from('0\r\n\r\n', 'latin1');

/** Milliseconds. What follows a write within them is one of many, and waits as long at most for more. */
const TRICKLE = 1;

/**
 * The way out of an answer's body. What the API server sends comes in pieces of one TLS record, 3,200 of them in 50 MB;
 * written one by one they cost as much again as all else, here and at the client. So what comes in one turn of the event
 * loop leaves as one write, no later than that turn ends; only where pieces trickle, record upon record, are they
 * gathered for longer than a turn. The first of them, an event of a watch, a line of a log wait for nothing.
 *
 * The chunked coding of HTTP/1.1 is written here, around the bytes where they lie: node writes a chunk as three buffers, which its
 * TLS first joins into new memory.
 */
export class Outlet {
  readonly #response: ClientResponse;
  readonly #flow: Flow;
  readonly #stallTimeout: number;
  readonly #head: (length?: number) => void;
  /** Where in a buffer what is gathered begins; what stands before it is for the chunk's size. */
  readonly #from: number;
  readonly #most: number;
  #chunked = false;
  #buffer: Buffer | undefined;
  #size = 0;
  #scheduled: NodeJS.Immediate | undefined;
  #later: NodeJS.Timeout | undefined;
  #written = Number.NEGATIVE_INFINITY;
  #stall: NodeJS.Timeout | undefined;
  #closed = false;
  bytes = 0;

  /**
   * @param stallTimeout milliseconds for which the client may take no byte of what waits for it
   * @param head is called before anything is written, with the body's length where all of it is there by then; and again
   */
  constructor(response: ClientResponse, flow: Flow, stallTimeout: number, head: (length?: number) => void = () => {}) {
    this.#response = response;
    this.#flow = flow;
    this.#stallTimeout = stallTimeout;
    this.#head = head;
    const overHTTP1 = 'chunkedEncoding' in response;
    this.#from = overHTTP1 ? CHUNK_SIZE : 0;
    this.#most = overHTTP1 ? PASSING - CHUNK_SIZE - CHUNK_END : PASSING;
  }

  /** @param chunk is copied: it need not outlast the call */
  write(chunk: Buffer): void {
    this.bytes += chunk.length;
    for (let at = 0; at < chunk.length && !this.#closed; ) {
      this.#buffer ??= takeBuffer();
      const end = Math.min(chunk.length, at + this.#most - this.#size);
      chunk.copy(this.#buffer, this.#from + this.#size, at, end);
      this.#size += end - at;
      at = end;
      if (this.#size === this.#most) this.#flush();
    }
    if (this.#size === 0 || this.#scheduled !== undefined || this.#later !== undefined) return;
    if (performance.now() - this.#written > TRICKLE) this.#scheduled = setImmediate(this.#flush);
    else this.#later = setTimeout(this.#flush, TRICKLE);
  }

  /** @param rest the last bytes, of memory that is nobody else's any more */
  end(rest?: Buffer): void {
    const response = this.#response as Writable;
    // Head and body of a short answer in one write.
    if (rest !== undefined && rest.length > 0) {
      if (this.bytes === 0 && rest.length <= SHORT) {
        this.bytes = rest.length;
        this.#head(rest.length);
        response.end(rest);
        return;
      }
      this.write(rest);
    }
    if (this.#size > 0 && this.#size <= SHORT) {
      this.#head(this.#size);
      response.end(this.#short(true));
    } else {
      this.#flush();
      this.#head();
      this.#takeFraming();
      if (this.#chunked) response.end(LAST_CHUNK);
      else response.end();
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
    this.#head();
    this.#written = performance.now();
    const response = this.#response as Writable;
    passedOn(size);
    let waiting: boolean;
    if (size <= SHORT) waiting = !response.write(this.#short());
    else {
      const buffer = this.#buffer!;
      this.#buffer = undefined;
      this.#size = 0;
      waiting = !response.write(this.#framed(buffer, size), (error) => {
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

  /**
   * Node has chosen the coding with the head, for this method, status and version; from here on it only passes bytes. Before
   * anything is written, so that nobody's chunks stand between ours.
   */
  #takeFraming(): void {
    const response = this.#response;
    if (!('chunkedEncoding' in response) || !response.headersSent || !response.chunkedEncoding) return;
    this.#chunked = true;
    response.chunkedEncoding = false;
  }

  /** What was gathered, as it is written. */
  #framed(buffer: Buffer, size: number): Buffer {
    this.#takeFraming();
    const end = this.#from + size;
    if (!this.#chunked) return buffer.subarray(this.#from, end);
    buffer.write(`${size.toString(16).padStart(CHUNK_SIZE - 2, '0')}\r\n`, 0, 'latin1');
    buffer[end] = 0x0d;
    buffer[end + 1] = 0x0a;
    return buffer.subarray(0, end + CHUNK_END);
  }

  /** What was gathered, in memory of its own. */
  #short(last = false): Buffer {
    this.#unschedule();
    const framed = this.#framed(this.#buffer!, this.#size);
    const bytes = last && this.#chunked ? Buffer.concat([framed, LAST_CHUNK]) : Buffer.from(framed);
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
