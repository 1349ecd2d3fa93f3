import { isUtf8 } from 'node:buffer';
import { CloseCode, StreamProtocolError } from '../protocol-error.ts';
import { maskInPlace } from './mask.ts';

export type WebSocketRole = 'server' | 'client';

export const Opcode = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

export interface WebSocketFrameHandler {
  /**
   * A piece of a data message, in order; `first` begins the message, `last` ends it, one piece may be both. Pieces follow
   * the arriving chunks, so a message of any size costs no more memory than a chunk. The piece is a view of the chunk.
   */
  message(piece: Buffer, first: boolean, last: boolean, binary: boolean): void;
  ping(payload: Buffer): void;
  pong(payload: Buffer): void;
  /** `code` is undefined when the peer gave none. Nothing is read after it. */
  close(code: number | undefined, reason: string): void;
}

export interface WebSocketReaderLimits {
  /** Of one frame and of one message over its fragments, in bytes. Kubernetes' own servers stop at 32 MiB. */
  readonly maxMessageBytes: number;
}

const DEFAULT_LIMITS: WebSocketReaderLimits = { maxMessageBytes: 32 * 1024 * 1024 };
const EMPTY = Buffer.alloc(0);

/**
 * An incremental reader of WebSocket frames (RFC 6455, 5): takes chunks cut anywhere, gives messages in pieces. As
 * `server` it demands masked frames, as `client` unmasked ones. Payloads are unmasked in place: the chunk belongs to the
 * reader. It holds at most a frame header and one control frame (125 bytes).
 */
export class WebSocketFrameReader {
  readonly #role: WebSocketRole;
  readonly #handler: WebSocketFrameHandler;
  readonly #limits: WebSocketReaderLimits;

  readonly #header = Buffer.alloc(14);
  #headerBytes = 0;
  #headerNeeds = 2;

  #inPayload = false;
  #opcode = 0;
  #fin = false;
  #masked = false;
  #remaining = 0;
  #phase = 0;
  readonly #key = Buffer.alloc(4);
  readonly #control = Buffer.alloc(125);
  #controlBytes = 0;

  /** The opcode of the data message that is being received; undefined between messages. */
  #message: number | undefined;
  #messageBytes = 0;
  #messageStarted = false;
  #ended = false;

  constructor(role: WebSocketRole, handler: WebSocketFrameHandler, limits: Partial<WebSocketReaderLimits> = {}) {
    this.#role = role;
    this.#handler = handler;
    this.#limits = { ...DEFAULT_LIMITS, ...limits };
  }

  /** Takes the next bytes of the connection. Throws StreamProtocolError; nothing is read after that, or after a close frame. */
  receive(chunk: Buffer): void {
    let at = 0;
    try {
      while (!this.#ended) {
        if (!this.#inPayload) {
          const taken = this.#readHeader(chunk, at);
          at += taken;
          if (!this.#inPayload) return;
        }
        const size = Math.min(this.#remaining, chunk.length - at);
        const finishes = size === this.#remaining;
        // A payload that has not arrived yet: wait. An empty frame finishes at once.
        if (size === 0 && !finishes) return;
        const piece = size === 0 ? EMPTY : chunk.subarray(at, at + size);
        at += size;
        if (this.#masked && size > 0) {
          maskInPlace(piece, this.#key, this.#phase);
          this.#phase = (this.#phase + size) & 3;
        }
        this.#remaining -= size;
        if (finishes) this.#inPayload = false;
        if (this.#opcode >= Opcode.close) this.#controlPiece(piece, finishes);
        else this.#dataPiece(piece, finishes);
      }
    } catch (error) {
      this.#ended = true;
      throw error;
    }
  }

  /** True when the connection may end here without cutting a frame or message. */
  get atBoundary(): boolean {
    return !this.#inPayload && this.#headerBytes === 0 && this.#message === undefined;
  }

  #readHeader(chunk: Buffer, at: number): number {
    const start = at;
    for (;;) {
      const size = Math.min(this.#headerNeeds - this.#headerBytes, chunk.length - at);
      chunk.copy(this.#header, this.#headerBytes, at, at + size);
      this.#headerBytes += size;
      at += size;
      if (this.#headerBytes < this.#headerNeeds) return at - start;
      if (this.#headerNeeds === 2) {
        this.#headerNeeds = this.#checkFirstBytes();
        if (this.#headerNeeds > 2) continue;
      }
      this.#startPayload();
      this.#headerBytes = 0;
      this.#headerNeeds = 2;
      return at - start;
    }
  }

  /** Checks the two fixed bytes; gives the length of the whole header. */
  #checkFirstBytes(): number {
    const first = this.#header[0]!;
    const second = this.#header[1]!;
    if ((first & 0x70) !== 0) throw new StreamProtocolError('a reserved bit is set without an extension');
    this.#fin = (first & 0x80) !== 0;
    this.#opcode = first & 0x0f;
    this.#masked = (second & 0x80) !== 0;
    const length = second & 0x7f;
    switch (this.#opcode) {
      case Opcode.close:
      case Opcode.ping:
      case Opcode.pong:
        if (!this.#fin) throw new StreamProtocolError('a fragmented control frame');
        if (length > 125) throw new StreamProtocolError('a control frame over 125 bytes');
        break;
      case Opcode.text:
      case Opcode.binary:
        if (this.#message !== undefined) throw new StreamProtocolError('a new message inside an unfinished one');
        break;
      case Opcode.continuation:
        if (this.#message === undefined) throw new StreamProtocolError('a continuation without a message');
        break;
      default:
        throw new StreamProtocolError('an unknown opcode');
    }
    // Masking keeps a page in a browser from speaking through caches; both directions are checked (RFC 6455, 5.1).
    if (this.#masked !== (this.#role === 'server')) {
      throw new StreamProtocolError(this.#masked ? 'a masked frame from a server' : 'an unmasked frame from a client');
    }
    return 2 + (length === 126 ? 2 : length === 127 ? 8 : 0) + (this.#masked ? 4 : 0);
  }

  #startPayload(): void {
    const header = this.#header;
    let length = header[1]! & 0x7f;
    let at = 2;
    if (length === 126) {
      length = header.readUInt16BE(2);
      at = 4;
      if (length < 126) throw new StreamProtocolError('a length that is not in its shortest form');
    } else if (length === 127) {
      const high = header.readUInt32BE(2);
      const low = header.readUInt32BE(6);
      at = 10;
      if (high === 0 && low < 0x1_0000) throw new StreamProtocolError('a length that is not in its shortest form');
      if (high >= 0x20_0000) throw new StreamProtocolError('a frame over the limit', CloseCode.tooBig);
      length = high * 0x1_0000_0000 + low;
    }
    if (this.#masked) header.copy(this.#key, 0, at, at + 4);
    if (this.#opcode < Opcode.close) {
      if (this.#opcode !== Opcode.continuation) {
        this.#message = this.#opcode;
        this.#messageBytes = 0;
        this.#messageStarted = false;
      }
      this.#messageBytes += length;
      if (this.#messageBytes > this.#limits.maxMessageBytes) {
        throw new StreamProtocolError('a message over the limit', CloseCode.tooBig);
      }
    }
    this.#remaining = length;
    this.#phase = 0;
    this.#controlBytes = 0;
    this.#inPayload = true;
  }

  #dataPiece(piece: Buffer, finishesFrame: boolean): void {
    const last = finishesFrame && this.#fin;
    const first = !this.#messageStarted;
    const binary = this.#message === Opcode.binary;
    // An empty fragment in the middle says nothing.
    if (piece.length === 0 && !last) return;
    this.#messageStarted = true;
    if (last) this.#message = undefined;
    this.#handler.message(piece, first, last, binary);
  }

  #controlPiece(piece: Buffer, finishes: boolean): void {
    piece.copy(this.#control, this.#controlBytes);
    this.#controlBytes += piece.length;
    if (!finishes) return;
    const payload = Buffer.from(this.#control.subarray(0, this.#controlBytes));
    if (this.#opcode === Opcode.ping) this.#handler.ping(payload);
    else if (this.#opcode === Opcode.pong) this.#handler.pong(payload);
    else this.#close(payload);
  }

  #close(payload: Buffer): void {
    this.#ended = true;
    if (payload.length === 0) {
      this.#handler.close(undefined, '');
      return;
    }
    if (payload.length === 1) throw new StreamProtocolError('a close frame of one byte');
    const code = payload.readUInt16BE(0);
    if (!validCloseCode(code)) throw new StreamProtocolError('a close code that must not be sent');
    const reason = payload.subarray(2);
    if (!isUtf8(reason)) throw new StreamProtocolError('a close reason that is not UTF-8', CloseCode.invalidPayload);
    this.#handler.close(code, reason.toString('utf8'));
  }
}

/** RFC 6455, 7.4: 1004–1006 and 1015 are never on the wire; 1000–2999 need a registration. */
function validCloseCode(code: number): boolean {
  return (code >= 1000 && code <= 1014 && (code < 1004 || code > 1006)) || (code >= 3000 && code <= 4999);
}
