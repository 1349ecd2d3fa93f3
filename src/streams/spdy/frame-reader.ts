import { CloseCode, StreamProtocolError } from '../protocol-error.ts';
import { type HeaderBlockLimits, HeaderBlockReader, type SpdyHeaders } from './header-block.ts';

export const ControlType = {
  synStream: 1,
  synReply: 2,
  rstStream: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  headers: 8,
  windowUpdate: 9,
} as const;

/** RST_STREAM status codes (SPDY/3, 2.6.3). */
export const ResetStatus = {
  protocolError: 1,
  invalidStream: 2,
  refusedStream: 3,
  cancel: 5,
  internalError: 6,
  streamInUse: 8,
  streamAlreadyClosed: 9,
} as const;

export const FLAG_FIN = 0x01;
export const FLAG_UNIDIRECTIONAL = 0x02;

export interface SpdyFrameHandler {
  synStream(id: number, headers: SpdyHeaders, fin: boolean, unidirectional: boolean): void;
  synReply(id: number, headers: SpdyHeaders, fin: boolean): void;
  rstStream(id: number, status: number): void;
  headers(id: number, headers: SpdyHeaders, fin: boolean): void;
  /** A piece of a DATA frame, a view of the chunk; `fin` only with the last piece of a frame that ends the stream. */
  data(id: number, piece: Buffer, fin: boolean): void;
  ping(id: number): void;
  goAway(lastGoodStream: number, status: number): void;
}

export interface SpdyReaderLimits extends HeaderBlockLimits {
  /** Payload of one control frame, in bytes; Kubernetes' own are around a hundred. */
  readonly maxControlBytes: number;
}

const DEFAULT_MAX_CONTROL = 16 * 1024;
const EMPTY = Buffer.alloc(0);

/**
 * An incremental reader of SPDY/3.1 frames (draft-mbelshe-httpbis-spdy-00, 2.2) as Kubernetes speaks it: chunks cut
 * anywhere; DATA in pieces as it arrives, whatever a frame's length (up to 16 MiB); control frames whole and bounded.
 * SETTINGS and WINDOW_UPDATE are checked and passed over: Kubernetes' SPDY has no flow control of its own, TCP's is its.
 */
export class SpdyFrameReader {
  readonly #handler: SpdyFrameHandler;
  readonly #blocks: HeaderBlockReader;
  readonly #maxControl: number;

  readonly #head = Buffer.alloc(8);
  #headBytes = 0;

  #control: Buffer | undefined;
  #controlBytes = 0;
  #type = 0;
  #flags = 0;

  #dataStream = 0;
  #dataRemaining = 0;
  #inData = false;
  #ended = false;

  constructor(handler: SpdyFrameHandler, limits: Partial<SpdyReaderLimits> = {}) {
    this.#handler = handler;
    this.#blocks = new HeaderBlockReader(limits);
    this.#maxControl = limits.maxControlBytes ?? DEFAULT_MAX_CONTROL;
  }

  /** Takes the next bytes of the connection. Throws StreamProtocolError; nothing is read after that. */
  receive(chunk: Buffer): void {
    let at = 0;
    try {
      while (!this.#ended) {
        if (this.#inData) {
          const size = Math.min(this.#dataRemaining, chunk.length - at);
          const finishes = size === this.#dataRemaining;
          if (size === 0 && !finishes) return;
          this.#dataRemaining -= size;
          if (finishes) this.#inData = false;
          const piece = size === 0 ? EMPTY : chunk.subarray(at, at + size);
          at += size;
          const fin = finishes && (this.#flags & FLAG_FIN) !== 0;
          if (size > 0 || fin) this.#handler.data(this.#dataStream, piece, fin);
        } else if (this.#control !== undefined) {
          const control = this.#control;
          const size = Math.min(control.length - this.#controlBytes, chunk.length - at);
          chunk.copy(control, this.#controlBytes, at, at + size);
          this.#controlBytes += size;
          at += size;
          if (this.#controlBytes < control.length) return;
          this.#control = undefined;
          this.#dispatch(this.#type, this.#flags, control);
        } else {
          const size = Math.min(8 - this.#headBytes, chunk.length - at);
          chunk.copy(this.#head, this.#headBytes, at, at + size);
          this.#headBytes += size;
          at += size;
          if (this.#headBytes < 8) return;
          this.#headBytes = 0;
          this.#startFrame();
        }
      }
    } catch (error) {
      this.#ended = true;
      throw error;
    }
  }

  /** Reads nothing more: the owner has ended the connection. */
  end(): void {
    this.#ended = true;
  }

  #startFrame(): void {
    const word = this.#head.readUInt32BE(0);
    const length = this.#head.readUIntBE(5, 3);
    this.#flags = this.#head[4]!;
    if (word < 0x8000_0000) {
      if (word === 0) throw new StreamProtocolError('data on stream zero');
      this.#dataStream = word;
      this.#dataRemaining = length;
      this.#inData = true;
      return;
    }
    if (((word >>> 16) & 0x7fff) !== 3) throw new StreamProtocolError('not SPDY version 3');
    this.#type = word & 0xffff;
    // Checked before a byte of it is kept.
    if (length > this.#maxControl) throw new StreamProtocolError('a control frame over the limit', CloseCode.tooBig);
    this.#control = Buffer.alloc(length);
    this.#controlBytes = 0;
  }

  #dispatch(type: number, flags: number, body: Buffer): void {
    const fin = (flags & FLAG_FIN) !== 0;
    switch (type) {
      case ControlType.synStream: {
        atLeast(body, 10);
        const id = streamID(body);
        const headers = this.#blocks.read(body.subarray(10));
        this.#handler.synStream(id, headers, fin, (flags & FLAG_UNIDIRECTIONAL) !== 0);
        return;
      }
      case ControlType.synReply:
        atLeast(body, 4);
        this.#handler.synReply(streamID(body), this.#blocks.read(body.subarray(4)), fin);
        return;
      case ControlType.headers:
        atLeast(body, 4);
        this.#handler.headers(streamID(body), this.#blocks.read(body.subarray(4)), fin);
        return;
      case ControlType.rstStream: {
        exactly(body, 8);
        const status = body.readUInt32BE(4);
        if (status === 0) throw new StreamProtocolError('a reset without a status');
        this.#handler.rstStream(streamID(body), status);
        return;
      }
      case ControlType.ping: {
        exactly(body, 4);
        const id = body.readUInt32BE(0);
        if (id === 0 || flags !== 0) throw new StreamProtocolError('a malformed ping');
        this.#handler.ping(id);
        return;
      }
      case ControlType.goAway:
        exactly(body, 8);
        this.#handler.goAway(body.readUInt32BE(0) & 0x7fff_ffff, body.readUInt32BE(4));
        return;
      case ControlType.settings:
        atLeast(body, 4);
        if (body.length !== 4 + body.readUInt32BE(0) * 8) throw new StreamProtocolError('a malformed settings frame');
        return;
      case ControlType.windowUpdate:
        exactly(body, 8);
        return;
      default:
        throw new StreamProtocolError('an unknown control frame');
    }
  }
}

function streamID(body: Buffer): number {
  const id = body.readUInt32BE(0) & 0x7fff_ffff;
  if (id === 0) throw new StreamProtocolError('a frame for stream zero');
  return id;
}

function atLeast(body: Buffer, bytes: number): void {
  if (body.length < bytes) throw new StreamProtocolError('a control frame that is cut short');
}

function exactly(body: Buffer, bytes: number): void {
  if (body.length !== bytes) throw new StreamProtocolError('a control frame of the wrong length');
}
