import type { Writable } from 'node:stream';
import type { Flow } from '../upstream/forward.ts';
import type { ClientResponse } from './exchange.ts';
import { passedOn } from './short-lived.ts';

/** Bytes gathered at most before they are written: with more, the client waits while it could decrypt what is there. */
const MOST_GATHERED = 32 * 1024;
/** Bytes that may wait for the client before the API server is made to wait; with the above, what one answer holds. */
const MOST_WAITING = 480 * 1024;

/**
 * The way out of an answer's body. What the API server sends comes in pieces of one TLS record, 3,200 of them in 50 MB;
 * written one by one they cost as much again as all else. So what comes in one turn of the event loop leaves as one
 * write, no later than that turn ends.
 */
export class Outlet {
  readonly #response: ClientResponse;
  readonly #flow: Flow;
  readonly #stallTimeout: number;
  #gathered: Buffer[] = [];
  #size = 0;
  #scheduled: NodeJS.Immediate | undefined;
  #stall: NodeJS.Timeout | undefined;
  bytes = 0;

  /** @param stallTimeout milliseconds for which the client may take no byte of what waits for it */
  constructor(response: ClientResponse, flow: Flow, stallTimeout: number) {
    this.#response = response;
    this.#flow = flow;
    this.#stallTimeout = stallTimeout;
  }

  write(chunk: Buffer): void {
    if (chunk.length === 0) return;
    this.bytes += chunk.length;
    this.#size += chunk.length;
    this.#gathered.push(chunk);
    if (this.#size >= MOST_GATHERED) this.#flush();
    else this.#scheduled ??= setImmediate(this.#flush);
  }

  end(): void {
    const [only] = this.#gathered;
    if (this.#gathered.length === 1) {
      this.#forget();
      // Head and body of a short answer in one write.
      (this.#response as Writable).end(only);
    } else {
      this.#flush();
      this.#response.end();
    }
  }

  /** Nothing more is written. */
  close(): void {
    this.#forget();
    clearTimeout(this.#stall);
  }

  readonly #flush = (): void => {
    const response = this.#response as Writable;
    const gathered = this.#gathered;
    passedOn(this.#size);
    this.#forget();
    let waiting = false;
    // Over HTTP/1.1 node corks the socket until the turn ends; the response's own cork would hide how much waits there.
    const cork = gathered.length > 1 && 'stream' in response;
    if (cork) response.cork();
    for (const chunk of gathered) waiting = !response.write(chunk);
    if (cork) response.uncork();
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

  #forget(): void {
    this.#gathered = [];
    this.#size = 0;
    if (this.#scheduled !== undefined) clearImmediate(this.#scheduled);
    this.#scheduled = undefined;
  }
}
