import { type ClientHttp2Session, type ClientHttp2Stream, constants, connect as http2 } from 'node:http2';
import type { Dispatcher } from 'undici';
import { type DialOptions, dialTLS, failure } from './tls-dial.ts';

export interface WatchConnectionsOptions extends DialOptions {
  /** Milliseconds from the request to the answer's first byte. */
  readonly requestTimeout: number;
  /** Milliseconds of silence after which a connection is asked for a sign of life, and again until it is given up. */
  readonly pingInterval?: number;
}

/**
 * What one stream may send before its client has taken it; a client that does not read holds this and no more. A watch
 * that begins with all objects is a list of any size: with a quarter of this the API server waits for every round trip.
 */
const STREAM_WINDOW = 1024 * 1024;
/** Bytes of a DATA frame at most. Of the 16 KiB that HTTP/2 begins with, each frame takes two TLS records to carry. */
const MAX_FRAME = 256 * 1024;
/** Of a connection; the client's slowness holds back its own stream only, so this bounds a burst, not a sum. */
const CONNECTION_WINDOW = 16 << 20;
/** Streams of one connection at most, whatever the server would allow: what one broken connection takes with it. */
const MOST_STREAMS = 100;
/** Milliseconds, as client-go has it. */
const PING_INTERVAL = 30_000;
/** A connection without a watch is closed after this. */
const IDLE_FOR = 60_000;
/** For how long a server that speaks HTTP/1.1 only is not asked again. */
const HTTP1_FOR = 60_000;

interface Shared {
  readonly session: ClientHttp2Session;
  streams: number;
  idle: NodeJS.Timeout | undefined;
}

/**
 * Watches over few HTTP/2 connections. A watch is silent for minutes; with a connection of its own it would hold a TLS
 * state, its buffers and a socket all that time, twice what all the rest of it takes.
 */
export class WatchConnections {
  readonly #options: WatchConnectionsOptions;
  readonly #shared = new Set<Shared>();
  #connecting: Promise<Shared | undefined> | undefined;
  #http1Until = 0;
  #closed = false;

  constructor(options: WatchConnectionsOptions) {
    this.#options = options;
  }

  /**
   * Sends a GET as one stream of a shared connection. The handler is used as by undici.
   * @param headers flat (name, value, …), each line as it is to be sent
   * @returns false when the server does not speak HTTP/2: nothing was sent then, and the handler was not called
   */
  async dispatch(target: string, headers: readonly string[], handler: Dispatcher.DispatchHandler): Promise<boolean> {
    if (performance.now() < this.#http1Until) return false;
    let shared: Shared | undefined;
    try {
      shared = await this.#pick();
    } catch (error) {
      handler.onResponseError?.(undefined as never, error as Error);
      return true;
    }
    if (shared === undefined) return false;
    this.#send(shared, target, headers, handler);
    return true;
  }

  /** No new watch; what is under way goes on until it ends. */
  retire(): void {
    this.#closed = true;
    for (const { session } of this.#shared) session.close();
  }

  destroy(): void {
    this.#closed = true;
    for (const { session } of this.#shared) session.destroy();
  }

  async #pick(): Promise<Shared | undefined> {
    for (;;) {
      if (this.#closed) throw closed();
      const free = this.#free();
      if (free !== undefined) return free;
      // All that come meanwhile wait for it; whom it has no room for goes round once more.
      this.#connecting ??= this.#connect().finally(() => {
        this.#connecting = undefined;
      });
      const made = await this.#connecting;
      if (made === undefined) return undefined;
    }
  }

  /** A connection with a stream of it taken. */
  #free(): Shared | undefined {
    for (const shared of this.#shared) {
      const { session, streams } = shared;
      const most = Math.min(session.remoteSettings.maxConcurrentStreams ?? MOST_STREAMS, MOST_STREAMS);
      if (streams >= most || session.closed || session.destroyed) continue;
      shared.streams += 1;
      clearTimeout(shared.idle);
      return shared;
    }
    return undefined;
  }

  async #connect(): Promise<Shared | undefined> {
    const socket = await dialTLS(this.#options, { protocols: ['h2', 'http/1.1'] });
    if (socket.alpnProtocol !== 'h2') {
      socket.destroy();
      this.#http1Until = performance.now() + HTTP1_FOR;
      return undefined;
    }
    const session = http2(this.#options.server, {
      createConnection: () => socket,
      settings: { enablePush: false, initialWindowSize: STREAM_WINDOW, maxFrameSize: MAX_FRAME },
      maxSessionMemory: 64,
    });
    const shared: Shared = { session, streams: 0, idle: undefined };
    // Its streams are told by themselves.
    session.on('error', () => {});
    session.once('close', () => {
      clearTimeout(shared.idle);
      this.#shared.delete(shared);
    });
    await settled(session);
    session.setLocalWindowSize(CONNECTION_WINDOW);
    keepAlive(session, this.#options.pingInterval ?? PING_INTERVAL);
    this.#shared.add(shared);
    if (this.#closed) session.close();
    return shared;
  }

  #send(shared: Shared, target: string, headers: readonly string[], handler: Dispatcher.DispatchHandler): void {
    let stream: ClientHttp2Stream;
    try {
      stream = shared.session.request(block(this.#options.server, target, headers), { endStream: true });
    } catch (error) {
      this.#release(shared);
      handler.onResponseError?.(undefined as never, broken(error as Error));
      return;
    }
    stream.once('close', () => this.#release(shared));
    follow(stream, handler, this.#options.requestTimeout);
  }

  #release(shared: Shared): void {
    shared.streams -= 1;
    if (shared.streams > 0 || shared.session.closed) return;
    shared.idle = setTimeout(() => shared.session.close(), IDLE_FOR).unref();
  }
}

/** Tells undici's handler what becomes of a stream; one last call, of end or error. */
export function follow(stream: ClientHttp2Stream, handler: Dispatcher.DispatchHandler, timeout: number): void {
  let done = false;
  let answered = false;
  const fail = (error: Error): void => {
    if (done) return;
    done = true;
    clearTimeout(timer);
    handler.onResponseError?.(controller as never, error);
  };
  const timer = setTimeout(() => {
    fail(failure('UND_ERR_HEADERS_TIMEOUT', 'no answer in time'));
    stream.close(constants.NGHTTP2_CANCEL);
  }, timeout);
  const controller = {
    rawHeaders: [] as string[],
    pause: () => void stream.pause(),
    resume: () => void stream.resume(),
    abort: (reason: Error) => {
      fail(reason);
      stream.close(constants.NGHTTP2_CANCEL);
    },
  };
  handler.onRequestStart?.(controller as never, undefined);
  stream.on('response', (fields, _flags, raw) => {
    clearTimeout(timer);
    if (done) return;
    answered = true;
    controller.rawHeaders = withoutPseudo(raw);
    handler.onResponseStart?.(controller as never, Number(fields[constants.HTTP2_HEADER_STATUS]), {});
    // Not before: node tells of a head a tick after it came, and of bytes at once; those that came with the head would be told first.
    stream.on('data', (chunk: Buffer) => {
      if (!done) handler.onResponseData?.(controller as never, chunk);
    });
  });
  stream.once('end', () => {
    // A stream that the server resets, or whose connection goes, ends for node as one that was finished does.
    if (done || !answered || stream.rstCode !== constants.NGHTTP2_NO_ERROR || stream.aborted) return;
    done = true;
    handler.onResponseEnd?.(controller as never, {});
  });
  stream.on('error', (error) => fail(broken(error)));
  stream.once('close', () => fail(failure('ECONNRESET', 'the stream was closed before it ended')));
}

/** The header block as it is sent: node keeps the order and every line of an array as given. */
function block(server: URL, target: string, headers: readonly string[]): string[] {
  const result = [':method', 'GET', ':scheme', 'https', ':authority', server.host, ':path', target];
  for (let i = 0; i < headers.length; i += 2) result.push(headers[i]!.toLowerCase(), headers[i + 1]!);
  return result;
}

function withoutPseudo(raw: readonly string[]): string[] {
  const result: string[] = [];
  for (let i = 0; i < raw.length; i += 2) if (!raw[i]!.startsWith(':')) result.push(raw[i]!, raw[i + 1]!);
  return result;
}

/** The server's own limits are known once its settings are. */
function settled(session: ClientHttp2Session): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  session.once('remoteSettings', () => resolve());
  session.once('close', () => reject(failure('ECONNRESET', 'the connection was closed while it was made')));
  return promise;
}

/** A connection that a load balancer has forgotten looks like one that has nothing to tell. */
function keepAlive(session: ClientHttp2Session, interval: number): void {
  let answered = true;
  const timer = setInterval(() => {
    if (!answered) return session.destroy(failure('ECONNRESET', 'no sign of life'));
    answered = false;
    session.ping(() => {
      answered = true;
    });
  }, interval).unref();
  session.once('close', () => clearInterval(timer));
}

/** Of a stream or a connection, in the one code that callers know for it. */
const broken = (error: Error): Error => failure('ECONNRESET', error.message, error);
const closed = (): Error => failure('UND_ERR_CLOSED', 'the gateway closes its connections');
