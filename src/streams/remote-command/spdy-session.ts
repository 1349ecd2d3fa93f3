import { CloseCode, StreamProtocolError } from '../protocol-error.ts';
import { ResetStatus, SpdyFrameReader } from '../spdy/frame-reader.ts';
import { GoAwayStatus, SpdyFrameWriter } from '../spdy/frame-writer.ts';
import type { SpdyHeaders } from '../spdy/header-block.ts';
import { CHANNELS, type Channel, channelsOf, fromClient, type SessionShape } from './channel.ts';
import {
  MAX_ERROR_BYTES,
  type RemoteCommandHandler,
  type RemoteCommandSession,
  type SessionOutput,
} from './session.ts';

/** `X-Stream-Protocol-Version` of remote commands over SPDY; both have a Status on the error stream and are one here. */
export const SPDY_REMOTE_COMMAND_PROTOCOLS = ['v5.channel.k8s.io', 'v4.channel.k8s.io'] as const;

/** Frames that are refused or mean nothing here. */
const MAX_STRIKES = 100;

/** The header that says which channel a stream is (lower-case on the wire). */
const STREAM_TYPE = 'streamtype';

/**
 * A remote command over SPDY/3.1: a stream for each channel, opened by the client. Towards a client (`server`) the session is
 * ready when the last stream it was asked for is open; towards the API server when the last one is answered, because what
 * arrives there before the answer is thrown away.
 */
export class SpdyRemoteCommand implements RemoteCommandSession {
  readonly #role: 'server' | 'client';
  readonly #channels: readonly Channel[];
  readonly #handler: RemoteCommandHandler;
  readonly #reader: SpdyFrameReader;
  readonly #writer: SpdyFrameWriter;
  readonly #streams = new Map<Channel, number>();
  readonly #byStream = new Map<number, Channel>();
  readonly #answered = new Set<Channel>();
  readonly #ended = new Set<Channel>();
  readonly #peerEnded = new Set<Channel>();
  #ready = false;
  #closed = false;
  #lastStream = 0;
  #pingID: number;
  #errorParts: Buffer[] = [];
  #errorBytes = 0;
  #strikes = 0;

  constructor(role: 'server' | 'client', shape: SessionShape, handler: RemoteCommandHandler, output: SessionOutput) {
    this.#role = role;
    this.#channels = channelsOf(shape);
    this.#handler = handler;
    this.#pingID = role === 'server' ? 2 : 1;
    this.#writer = new SpdyFrameWriter((bytes) => output.write(bytes));
    this.#reader = new SpdyFrameReader({
      synStream: (id, headers, fin, unidirectional) => this.#synStream(id, headers, fin, unidirectional),
      synReply: (id, _headers, fin) => this.#synReply(id, fin),
      rstStream: (id) => this.#finish(id),
      headers: (id, _headers, fin) => {
        this.#strike();
        if (fin) this.#finish(id);
      },
      data: (id, piece, fin) => this.#data(id, piece, fin),
      ping: (id) => {
        // A ping of the peer's own numbering is echoed; ours coming back is the answer.
        if (id % 2 !== this.#pingID % 2 && !output.congested()) this.#writer.ping(id);
      },
      goAway: (_last, status) => {
        this.#deliverError();
        this.#reader.end();
        handler.closed(status === GoAwayStatus.ok);
      },
    });
  }

  start(): void {
    if (this.#role === 'server') return;
    this.#channels.forEach((channel, index) => {
      const id = 2 * index + 1;
      this.#streams.set(channel, id);
      this.#byStream.set(id, channel);
      this.#writer.synStream(id, [[STREAM_TYPE, channel]]);
    });
  }

  receive(chunk: Buffer): void {
    this.#reader.receive(chunk);
  }

  write(channel: Channel, chunk: Buffer): void {
    const id = this.#streams.get(channel);
    if (id === undefined || this.#ended.has(channel) || this.#closed || chunk.length === 0) return;
    this.#writer.data(id, chunk);
  }

  end(channel: Channel): void {
    const id = this.#streams.get(channel);
    if (id === undefined || this.#ended.has(channel) || this.#closed) return;
    this.#ended.add(channel);
    this.#writer.data(id, Buffer.alloc(0), true);
  }

  ping(): void {
    if (this.#closed) return;
    this.#writer.ping(this.#pingID);
    this.#pingID = this.#pingID > 0x7fff_fff0 ? 2 - (this.#pingID % 2) : this.#pingID + 2;
  }

  close(): void {
    if (this.#closed) return;
    for (const channel of this.#channels) this.end(channel);
    this.#farewell(GoAwayStatus.ok);
  }

  fail(_error: StreamProtocolError): void {
    if (this.#closed) return;
    this.#farewell(GoAwayStatus.protocolError);
  }

  #farewell(status: number): void {
    this.#writer.goAway(this.#role === 'server' ? this.#lastStream : 0, status);
    this.#closed = true;
  }

  #synStream(id: number, headers: SpdyHeaders, fin: boolean, unidirectional: boolean): void {
    // The API server opens no streams; a client's are odd and rise (SPDY/3, 2.3.2).
    if (this.#role === 'client' || id % 2 === 0 || id <= this.#lastStream) {
      this.#refuse(id, ResetStatus.protocolError);
      return;
    }
    this.#lastStream = id;
    const values = headers.get(STREAM_TYPE) ?? [];
    const channel = CHANNELS.find((name) => values.length === 1 && name === values[0]);
    if (channel === undefined || unidirectional || !this.#channels.includes(channel) || this.#streams.has(channel)) {
      this.#refuse(id, ResetStatus.refusedStream);
      return;
    }
    this.#streams.set(channel, id);
    this.#byStream.set(id, channel);
    this.#writer.synReply(id);
    this.#becomeReady(this.#streams.size);
    if (fin) this.#finish(id);
  }

  #refuse(id: number, status: number): void {
    this.#strike();
    this.#writer.rstStream(id, status);
  }

  /** Each such frame costs an inflation here and nothing there: a peer gets a hundred of them. */
  #strike(): void {
    this.#strikes += 1;
    if (this.#strikes > MAX_STRIKES) throw new StreamProtocolError('a flood of frames that nobody asked for');
  }

  #synReply(id: number, fin: boolean): void {
    const channel = this.#byStream.get(id);
    if (this.#role === 'server' || channel === undefined || this.#answered.has(channel)) {
      this.#strike();
      return;
    }
    this.#answered.add(channel);
    this.#becomeReady(this.#answered.size);
    if (fin) this.#finish(id);
  }

  #becomeReady(open: number): void {
    if (this.#ready || open < this.#channels.length) return;
    this.#ready = true;
    this.#handler.ready();
  }

  #data(id: number, piece: Buffer, fin: boolean): void {
    const channel = this.#byStream.get(id);
    if (channel === undefined || this.#peerEnded.has(channel)) return;
    if (piece.length > 0 && fromClient(channel) === (this.#role === 'server')) {
      if (channel === 'error') this.#collectError(piece);
      else if (this.#ready) this.#handler.data(channel, piece);
      // As in Kubernetes' own server: bytes before the session stands are a broken client's; keeping them is unbounded.
      else throw new StreamProtocolError('data before the streams of the session are open');
    }
    if (fin) this.#finish(id);
  }

  #collectError(piece: Buffer): void {
    this.#errorBytes += piece.length;
    if (this.#errorBytes > MAX_ERROR_BYTES) {
      throw new StreamProtocolError('an error channel over the limit', CloseCode.tooBig);
    }
    this.#errorParts.push(Buffer.from(piece));
  }

  #deliverError(): void {
    if (this.#errorParts.length === 0) return;
    const whole = Buffer.concat(this.#errorParts);
    this.#errorParts = [];
    this.#handler.data('error', whole);
  }

  /** The peer's side of a stream has ended, by FIN or by reset. */
  #finish(id: number): void {
    const channel = this.#byStream.get(id);
    if (channel === undefined || this.#peerEnded.has(channel)) return;
    if (!this.#ready && this.#role === 'client') {
      throw new StreamProtocolError('a stream was refused before the session stood');
    }
    this.#peerEnded.add(channel);
    if (channel === 'error') this.#deliverError();
    this.#handler.end(channel);
  }
}
