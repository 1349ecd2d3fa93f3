import type { StreamProtocolError } from '../protocol-error.ts';
import type { Channel } from './channel.ts';

/**
 * One side of a remote command, whatever its wire: channels with bytes and ends. `server` stands towards a client (kubectl),
 * `client` towards the API server. Pure: bytes in by `receive`, bytes out by the `output` it was made with.
 */
export interface RemoteCommandSession {
  /** Says what must be said first (SPDY clients open their streams). */
  start(): void;
  /** Takes the next bytes of the connection, cut anywhere. Throws StreamProtocolError: answer it with `fail` and end. */
  receive(chunk: Buffer): void;
  /** Writes on a channel; silently nothing on one that this session does not have. */
  write(channel: Channel, chunk: Buffer): void;
  /** Says that no more will be written on a channel, where the wire can say it. */
  end(channel: Channel): void;
  /** Keeps a quiet connection alive. */
  ping(): void;
  /** The orderly end: every channel ended, then the farewell of the wire. */
  close(): void;
  /** The farewell after the peer broke the framing. */
  fail(error: StreamProtocolError): void;
}

export interface RemoteCommandHandler {
  /** Every channel can be written; before it nothing may be. */
  ready(): void;
  /**
   * Bytes of a channel, a view of the chunk received. The `error` channel comes whole, as one chunk, because clients parse
   * it as one document. A chunk may be empty: servers announce an open session so.
   */
  data(channel: Channel, chunk: Buffer): void;
  /** The peer will write no more on this channel. */
  end(channel: Channel): void;
  /** The peer said farewell, `clean` when it did so as at a normal end. Nothing follows. */
  closed(clean: boolean): void;
}

/** What a session needs of the connection under it. */
export interface SessionOutput {
  write(bytes: Buffer): void;
  /** True while the peer takes nothing: answers to pings are then left out, or a flood of them would grow without bound. */
  congested(): boolean;
}

/** Most bytes of the error channel: a Status is a few hundred. */
export const MAX_ERROR_BYTES = 64 * 1024;
