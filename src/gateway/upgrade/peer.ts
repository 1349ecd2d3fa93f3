import type { Duplex } from 'node:stream';
import { setTimeout as later } from 'node:timers';
import { passedOn } from '../short-lived.ts';

/** Bytes waiting in a socket above which the other side is not read. */
const CONGESTED_AT = 256 * 1024;
/** Bytes kept for a bridge that does not listen yet. */
const EARLY_BYTES = 64 * 1024;

export interface PeerHandler {
  bytes(chunk: Buffer): void;
  /** The peer can be written to again. */
  drained(): void;
  /** The connection has ended or broken; once. */
  gone(): void;
}

/**
 * One side of a bridge: a socket that is read as long as nobody holds it, written in one batch per turn of the event loop,
 * and ended without losing what was written. It reads from the start, so that a peer that leaves early is noticed.
 */
export class Peer {
  readonly #socket: Duplex;
  readonly #holds = new Set<string>();
  #handler: PeerHandler | undefined;
  #onGone: (() => void) | undefined;
  #early: Buffer[] = [];
  #earlyBytes = 0;
  #corked = false;
  #congested = false;
  #gone = false;
  #ending = false;
  #traffic = 0;
  bytesRead = 0;
  bytesWritten = 0;

  constructor(socket: Duplex, head: Buffer) {
    this.#socket = socket;
    tune(socket);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => this.#left());
    // A peer that has closed its writing side has left: no protocol here speaks on half a connection.
    socket.once('end', () => this.#left());
    socket.on('drain', () => {
      if (!this.#congested) return;
      this.#congested = false;
      this.#handler?.drained();
    });
    socket.on('data', (chunk: Buffer) => this.#arrived(chunk));
    if (head.length > 0) this.#arrived(head);
    if (socket.destroyed || socket.readableEnded) this.#left();
  }

  /** From here on the handler gets the bytes, those that came early first. */
  listen(handler: PeerHandler): void {
    this.#handler = handler;
    const early = this.#early;
    this.#early = [];
    this.#earlyBytes = 0;
    for (const chunk of early) handler.bytes(chunk);
    this.release('early');
    if (this.#gone) handler.gone();
  }

  /** Calls back when the peer leaves before anyone listens. */
  onceGone(act: () => void): void {
    if (this.#gone) act();
    else this.#onGone = act;
  }

  write(bytes: Buffer): void {
    if (this.#gone || this.#ending) return;
    this.bytesWritten += bytes.length;
    this.#traffic += 1;
    if (!this.#corked) {
      this.#corked = true;
      this.#socket.cork();
      process.nextTick(() => {
        this.#corked = false;
        this.#socket.uncork();
      });
    }
    this.#socket.write(bytes);
    if (this.#socket.writableLength > CONGESTED_AT && this.#socket.writableNeedDrain) this.#congested = true;
  }

  /** True while more is waiting than should be: whoever feeds this peer is to be held. */
  congested(): boolean {
    return this.#congested;
  }

  /** Stops reading for a reason; reading goes on when every reason is released. */
  hold(reason: string): void {
    if (this.#holds.size === 0) this.#socket.pause();
    this.#holds.add(reason);
  }

  release(reason: string): void {
    if (this.#holds.delete(reason) && this.#holds.size === 0) this.#socket.resume();
  }

  get gone(): boolean {
    return this.#gone;
  }

  /** True when bytes have passed in either direction since this was last asked. */
  sawTraffic(): boolean {
    const saw = this.#traffic > 0;
    this.#traffic = 0;
    return saw;
  }

  /**
   * Ends the connection behind everything that was written. What still arrives is read and dropped, since unread bytes would
   * turn the close into a reset that eats what is on its way; after `linger` milliseconds it is cut.
   * @param peerFirst leaves the first word of the end to the peer
   */
  end(linger: number, peerFirst = false): void {
    if (this.#ending) return;
    this.#ending = true;
    this.#handler = undefined;
    this.#holds.clear();
    if (this.#socket.destroyed) return;
    this.#socket.resume();
    if (peerFirst && !this.#gone) this.#socket.once('end', () => this.#socket.end());
    else this.#socket.end();
    const timer = later(() => this.#socket.destroy(), linger);
    this.#socket.once('close', () => clearTimeout(timer));
    if (this.#gone) this.#socket.once('finish', () => this.#socket.destroy());
    else this.#socket.once('end', () => this.#socket.destroy());
  }

  destroy(): void {
    this.#ending = true;
    this.#socket.destroy();
  }

  #arrived(chunk: Buffer): void {
    this.bytesRead += chunk.length;
    this.#traffic += 1;
    // The chunk, and the frame that is made of it.
    passedOn(2 * chunk.length);
    if (this.#ending) return;
    if (this.#handler !== undefined) {
      this.#handler.bytes(chunk);
      return;
    }
    this.#early.push(chunk);
    this.#earlyBytes += chunk.length;
    if (this.#earlyBytes >= EARLY_BYTES) this.hold('early');
  }

  #left(): void {
    if (this.#gone) return;
    this.#gone = true;
    if (this.#handler === undefined) this.#onGone?.();
    else this.#handler.gone();
  }
}

/** Small writes at once, and probes of the kernel's for a peer that has vanished without a word. */
function tune(socket: Duplex): void {
  if ('setNoDelay' in socket && typeof socket.setNoDelay === 'function') socket.setNoDelay(true);
  if ('setKeepAlive' in socket && typeof socket.setKeepAlive === 'function') socket.setKeepAlive(true, 15_000);
  if ('setTimeout' in socket && typeof socket.setTimeout === 'function') socket.setTimeout(0);
}
