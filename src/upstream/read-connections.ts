import type { TLSSocket } from 'node:tls';
import type { Dispatcher } from 'undici';
import { AnswerReader } from './answer-reader.ts';
import { type DialOptions, dialTLS, failure } from './tls-dial.ts';

export interface ReadConnectionsOptions extends DialOptions {
  readonly maxConnections: number;
  /** Milliseconds from the request to the answer's head. */
  readonly requestTimeout: number;
  /** Milliseconds after which a connection that nobody uses is closed. */
  readonly idleFor?: number;
}

/** A GET or HEAD without a body. */
export interface Reading {
  readonly method: string;
  readonly target: string;
  /** Flat (name, value, …), each line as it is to be sent. */
  readonly headers: readonly string[];
}

/** OpenSSL gives one TLS record at once, and no more. */
const READ_BUFFER = 16 * 1024;
const IDLE_FOR = 30_000;

interface Waiting {
  readonly reading: Reading;
  readonly handler: Dispatcher.DispatchHandler;
}

/**
 * Reads over pooled HTTP/1.1 connections. What comes is read into one buffer of the connection and told from there: nothing is
 * allocated for it, which for a large answer is a third of what it costs to pass on.
 *
 * Handlers are used as undici uses them, but a chunk is valid only until `onResponseData` returns.
 */
export class ReadConnections {
  readonly #options: ReadConnectionsOptions;
  readonly #all = new Set<ReadConnection>();
  /** The one that was used last is used first: the others may then fall idle. */
  readonly #idle: ReadConnection[] = [];
  readonly #waiting: Waiting[] = [];
  #connecting = 0;
  #session: Buffer | undefined;
  #closed = false;

  constructor(options: ReadConnectionsOptions) {
    this.#options = options;
  }

  /** @throws Error where the request cannot be written as it is */
  dispatch(reading: Reading, handler: Dispatcher.DispatchHandler): void {
    mustBeWritable(reading);
    const waiting: Waiting = { reading, handler };
    if (this.#closed) return void refuse(waiting, failure('UND_ERR_CLOSED', 'the gateway closes its connections'));
    const idle = this.#idle.pop();
    if (idle !== undefined) return void this.#begin(idle, waiting);
    this.#waiting.push(waiting);
    this.#connectForWaiting();
  }

  /** No new request; what is under way goes on until it ends. */
  retire(): void {
    this.#closed = true;
    for (const connection of this.#idle.splice(0)) connection.destroy();
  }

  destroy(): void {
    this.#closed = true;
    for (const connection of this.#all) connection.destroy();
    for (const one of this.#waiting.splice(0)) refuse(one, failure('UND_ERR_DESTROYED', 'the gateway is stopping'));
  }

  /** A connection under way for each who waits, as far as there is room. */
  #connectForWaiting(): void {
    const room = this.#all.size + this.#connecting < this.#options.maxConnections;
    if (room && this.#waiting.length > this.#connecting) void this.#connect();
  }

  async #connect(): Promise<void> {
    this.#connecting += 1;
    const connection = new ReadConnection(this.#options.requestTimeout, {
      free: () => this.#release(connection),
      broken: (unused) => this.#drop(connection, unused),
    });
    try {
      const { onread } = connection;
      const socket = await dialTLS(this.#options, { protocols: ['http/1.1'], session: this.#session, onread });
      socket.on('session', (session) => {
        this.#session = session;
      });
      connection.use(socket);
      this.#connecting -= 1;
      this.#all.add(connection);
      if (this.#closed && this.#waiting.length === 0) connection.destroy();
      else this.#release(connection);
    } catch (error) {
      this.#connecting -= 1;
      const first = this.#waiting.shift();
      if (first !== undefined) refuse(first, error as Error);
      this.#connectForWaiting();
    }
  }

  #release(connection: ReadConnection): void {
    const next = this.#waiting.shift();
    if (next !== undefined) return void this.#begin(connection, next);
    if (this.#closed) return void connection.destroy();
    this.#idle.push(connection);
    connection.rest(this.#options.idleFor ?? IDLE_FOR);
  }

  #begin(connection: ReadConnection, { reading, handler }: Waiting): void {
    connection.send(reading, head(this.#options.server, reading), handler);
  }

  /** @param unused it was kept alive, and broke before anything came: whatever was kept as long may be gone too */
  #drop(connection: ReadConnection, unused: boolean): void {
    this.#all.delete(connection);
    const at = this.#idle.indexOf(connection);
    if (at !== -1) this.#idle.splice(at, 1);
    if (unused) for (const other of this.#idle.splice(0)) other.destroy();
    this.#connectForWaiting();
  }
}

interface Owner {
  free(): void;
  broken(unused: boolean): void;
}

/** One connection, and the one request that it carries. */
class ReadConnection {
  readonly #requestTimeout: number;
  readonly #owner: Owner;
  #socket: TLSSocket | undefined;
  #handler: Dispatcher.DispatchHandler | undefined;
  #reader: AnswerReader | undefined;
  #timer: NodeJS.Timeout | undefined;
  #answers = 0;
  #answered = false;

  readonly onread = {
    buffer: Buffer.allocUnsafeSlow(READ_BUFFER),
    callback: (length: number, buffer: Uint8Array): boolean => {
      this.#take(Buffer.from(buffer.buffer, buffer.byteOffset, length));
      return true;
    },
  };

  constructor(requestTimeout: number, owner: Owner) {
    this.#requestTimeout = requestTimeout;
    this.#owner = owner;
  }

  use(socket: TLSSocket): void {
    this.#socket = socket;
    let cause: Error | undefined;
    socket.on('error', (error) => {
      cause = error;
    });
    socket.once('end', () => this.#ended());
    socket.once('close', () => {
      clearTimeout(this.#timer);
      const unused = this.#handler !== undefined && !this.#answered && this.#answers > 0;
      this.#owner.broken(unused);
      this.#fail(failure('ECONNRESET', cause?.message ?? 'the connection was closed before the answer ended', cause));
    });
    // Its end is told only to whom reads.
    socket.resume();
  }

  destroy(): void {
    this.#socket?.destroy();
  }

  /** Until the next request, or for as long at most. */
  rest(milliseconds: number): void {
    this.#timer = setTimeout(() => this.destroy(), milliseconds).unref();
  }

  send({ method }: Reading, text: string, handler: Dispatcher.DispatchHandler): void {
    clearTimeout(this.#timer);
    const socket = this.#socket!;
    this.#handler = handler;
    this.#answered = false;
    let written = false;
    const controller = {
      rawHeaders: [] as string[],
      pause: () => void (this.#handler === handler && socket.pause()),
      resume: () => void (this.#handler === handler && socket.resume()),
      abort: (reason: Error) => {
        if (this.#handler !== handler) return;
        this.#fail(reason);
        // What is left of an answer that nobody wants may cost more to read than a new connection.
        if (written) socket.destroy();
      },
    };
    this.#reader = new AnswerReader(method, {
      head: (status, headers) => {
        clearTimeout(this.#timer);
        this.#answered = true;
        controller.rawHeaders = headers;
        this.#handler?.onResponseStart?.(controller as never, status, {});
      },
      data: (chunk) => this.#handler?.onResponseData?.(controller as never, chunk),
      end: () => this.#whole(controller),
    });
    handler.onRequestStart?.(controller as never, undefined);
    if (this.#handler !== handler) return void this.#owner.free();
    written = true;
    this.#timer = setTimeout(() => {
      this.#fail(failure('UND_ERR_HEADERS_TIMEOUT', 'no answer in time'));
      socket.destroy();
    }, this.#requestTimeout);
    socket.write(text, 'latin1');
  }

  #take(bytes: Buffer): void {
    const reader = this.#reader;
    // Whoever speaks unasked is not to be trusted with a request.
    if (reader === undefined || this.#handler === undefined) return void this.destroy();
    try {
      reader.read(bytes);
    } catch (error) {
      this.#fail(failure('ECONNRESET', `the API server's answer cannot be read: ${(error as Error).message}`));
      this.destroy();
      return;
    }
    if (this.#reader !== undefined && this.#handler === undefined) this.#next();
  }

  /** The answer is whole; what is behind it in the same bytes is yet to be seen. */
  #whole(controller: unknown): void {
    const handler = this.#handler;
    this.#handler = undefined;
    this.#answers += 1;
    handler?.onResponseEnd?.(controller as never, {});
  }

  #next(): void {
    const reusable = this.#reader!.reusable;
    this.#reader = undefined;
    if (!reusable) return void this.destroy();
    this.#socket!.resume();
    this.#owner.free();
  }

  #ended(): void {
    if (this.#handler === undefined) return void this.destroy();
    try {
      this.#reader!.closed();
    } catch (error) {
      this.#fail(failure('ECONNRESET', (error as Error).message));
    }
    this.destroy();
  }

  #fail(error: Error): void {
    clearTimeout(this.#timer);
    const handler = this.#handler;
    this.#handler = undefined;
    this.#reader = undefined;
    handler?.onResponseError?.(undefined as never, error);
  }
}

function refuse({ handler }: Waiting, error: Error): void {
  handler.onResponseError?.(undefined as never, error);
}

const TARGET = /^\/[\x21-\x7e]*$/;
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** Nothing that would begin another line, or another request. @throws Error */
function mustBeWritable({ method, target, headers }: Reading): void {
  if (method !== 'GET' && method !== 'HEAD') throw new Error('a method that may have a body');
  if (!TARGET.test(target)) throw new Error('a target that cannot be sent as it is');
  for (let i = 0; i < headers.length; i += 2) {
    if (!NAME.test(headers[i]!) || !VALUE.test(headers[i + 1]!))
      throw new Error('a header that cannot be sent as it is');
  }
}

function head(server: URL, { method, target, headers }: Reading): string {
  let text = `${method} ${target} HTTP/1.1\r\nHost: ${server.host}\r\n`;
  for (let i = 0; i < headers.length; i += 2) text += `${headers[i]}: ${headers[i + 1]}\r\n`;
  return `${text}\r\n`;
}
