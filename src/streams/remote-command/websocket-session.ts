import { CloseCode, StreamProtocolError } from '../protocol-error.ts';
import { WebSocketFrameReader, type WebSocketRole } from '../websocket/frame-reader.ts';
import { WebSocketFrameWriter } from '../websocket/frame-writer.ts';
import {
  CHANNELS,
  type Channel,
  CLOSE_SIGNAL,
  channelNumber,
  channelsOf,
  fromClient,
  type SessionShape,
} from './channel.ts';
import {
  MAX_ERROR_BYTES,
  type RemoteCommandHandler,
  type RemoteCommandSession,
  type SessionOutput,
} from './session.ts';

/** The WebSocket sub-protocols of remote commands. v5 is v4 with the close signal. */
export const REMOTE_COMMAND_SUBPROTOCOLS = ['v5.channel.k8s.io', 'v4.channel.k8s.io'] as const;
export type RemoteCommandSubprotocol = (typeof REMOTE_COMMAND_SUBPROTOCOLS)[number];

/**
 * Bytes of an unfinished message that wait for its end. Servers write a message in two TLS records or more, the last of them
 * often of a few bytes: passed on one by one, each would cost a message of its own behind, with all that it costs there.
 */
const GATHER_BYTES = 64 * 1024;
/** A message that comes byte by byte would hold a buffer for each. */
const GATHER_PARTS = 64;

/**
 * A remote command over WebSocket messages whose first byte is the channel. A message up to 64 KiB is passed on whole, a
 * larger one in pieces as it arrives; each piece becomes a message of its own behind.
 */
export class WebSocketRemoteCommand implements RemoteCommandSession {
  readonly #role: WebSocketRole;
  readonly #closeSignal: boolean;
  readonly #channels: ReadonlySet<Channel>;
  readonly #handler: RemoteCommandHandler;
  readonly #reader: WebSocketFrameReader;
  readonly #writer: WebSocketFrameWriter;

  /** The first byte of the message being received. */
  #current: number | undefined;
  #parts: Buffer[] = [];
  #partBytes = 0;
  #signal: number[] = [];
  readonly #ended = new Set<Channel>();
  readonly #peerEnded = new Set<Channel>();

  constructor(
    role: WebSocketRole,
    subprotocol: RemoteCommandSubprotocol,
    shape: SessionShape,
    handler: RemoteCommandHandler,
    output: SessionOutput,
  ) {
    this.#role = role;
    this.#closeSignal = subprotocol === 'v5.channel.k8s.io';
    this.#channels = new Set(channelsOf(shape));
    this.#handler = handler;
    this.#writer = new WebSocketFrameWriter(role, (bytes) => output.write(bytes));
    this.#reader = new WebSocketFrameReader(role, {
      message: (piece, first, last) => this.#message(piece, first, last),
      ping: (payload) => {
        if (!output.congested()) this.#writer.pong(payload);
      },
      pong: () => {},
      close: (code) => handler.closed(code === undefined || code === CloseCode.normal || code === CloseCode.goingAway),
    });
  }

  start(): void {
    this.#handler.ready();
  }

  receive(chunk: Buffer): void {
    this.#reader.receive(chunk);
  }

  write(channel: Channel, chunk: Buffer): void {
    if (!this.#channels.has(channel) || this.#ended.has(channel)) return;
    this.#writer.message(chunk, channelNumber(channel));
  }

  end(channel: Channel): void {
    if (!this.#channels.has(channel) || this.#ended.has(channel)) return;
    this.#ended.add(channel);
    // Only servers understand the signal; a client learns the end of its channels from the close frame.
    if (this.#closeSignal && this.#role === 'client') {
      this.#writer.message(Uint8Array.of(channelNumber(channel)), CLOSE_SIGNAL);
    }
  }

  ping(): void {
    this.#writer.ping();
  }

  close(): void {
    this.#writer.close(CloseCode.normal);
  }

  fail(error: StreamProtocolError): void {
    this.#writer.close(error.closeCode, error.message);
  }

  #message(piece: Buffer, first: boolean, last: boolean): void {
    let rest = piece;
    if (first) this.#current = undefined;
    if (this.#current === undefined) {
      if (piece.length === 0) return;
      this.#current = piece[0]!;
      rest = piece.subarray(1);
      if (rest.length === 0 && !last) return;
    }
    if (this.#closeSignal && this.#current === CLOSE_SIGNAL) this.#closeMessage(rest, last);
    else this.#channelMessage(rest, last);
  }

  #channelMessage(rest: Buffer, last: boolean): void {
    const channel = CHANNELS[this.#current!];
    // As Kubernetes' servers do: what is not readable in this session is passed over.
    if (channel === undefined || !this.#readable(channel)) return;
    if (this.#partBytes > 0 || !last) {
      this.#parts.push(rest);
      this.#partBytes += rest.length;
      if (channel === 'error' && this.#partBytes > MAX_ERROR_BYTES) throw errorTooLong();
      const full = this.#partBytes >= GATHER_BYTES || this.#parts.length >= GATHER_PARTS;
      if (!last && !full) return;
      rest = Buffer.concat(this.#parts, this.#partBytes);
      this.#parts = [];
      if (!last && channel === 'error') {
        this.#parts.push(rest);
        return;
      }
      this.#partBytes = 0;
    }
    if (channel !== 'error') this.#handler.data(channel, rest);
    else if (rest.length > MAX_ERROR_BYTES) throw errorTooLong();
    else if (rest.length > 0) this.#handler.data('error', rest);
  }

  #closeMessage(rest: Buffer, last: boolean): void {
    this.#signal.push(...rest.subarray(0, 2));
    if (this.#signal.length > 1 || (last && this.#signal.length === 0)) {
      throw new StreamProtocolError('a close signal that does not name one channel');
    }
    if (!last) return;
    const channel = CHANNELS[this.#signal[0]!];
    this.#signal = [];
    if (channel === undefined) throw new StreamProtocolError('a close signal for an unknown channel');
    if (this.#readable(channel)) {
      this.#peerEnded.add(channel);
      this.#handler.end(channel);
    }
  }

  #readable(channel: Channel): boolean {
    return (
      this.#channels.has(channel) && !this.#peerEnded.has(channel) && fromClient(channel) === (this.#role === 'server')
    );
  }
}

function errorTooLong(): StreamProtocolError {
  return new StreamProtocolError('an error channel over the limit', CloseCode.tooBig);
}
