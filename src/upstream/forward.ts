import type { Readable } from 'node:stream';
import { createSecureContext } from 'node:tls';
import { type Dispatcher, Pool } from 'undici';
import { SallyportError } from '../errors.ts';
import type { UpstreamName } from '../identity/upstream-name.ts';
import type { Connection } from '../kubernetes/connection.ts';
import { assertIdentity, identityHeaders } from './identity-headers.ts';
import { ReadConnections } from './read-connections.ts';
import { WatchConnections } from './watch-connections.ts';

export interface ForwardOptions {
  readonly maxConnections: number;
  /** Milliseconds for TCP and TLS. */
  readonly connectTimeout: number;
  /** Milliseconds from the request's last byte to the answer's first. */
  readonly requestTimeout: number;
}

/** One request as it goes upstream. Without an identity it cannot be built. */
export interface Outgoing {
  readonly identity: UpstreamName;
  /** `sallyport.dev/via`: tells the second leg that this came through the gate. */
  readonly via: string | undefined;
  readonly requestID: string;
  readonly method: string;
  /** Canonical path and query. */
  readonly target: string;
  /** From the allow-list of src/request/headers.ts only: flat (name, value, …). */
  readonly headers: readonly string[];
  readonly body: Buffer | Readable | null;
  /** A watch: it shares a connection with others, since it is silent most of the time. */
  readonly watch?: boolean;
}

/** Pauses and ends the answer of the API server. */
export interface Flow {
  pause(): void;
  resume(): void;
}

/** Takes the answer as it comes. Exactly one of `end` and `fail` is called, last. */
export interface ResponseSink {
  /** A connection is there, and the first byte is about to be written. */
  sent?(): void;
  /** @param headers flat (name, value, …), as sent. */
  head(status: number, headers: string[], flow: Flow): void;
  /** @param chunk valid until the call returns: whoever keeps it copies it */
  data(chunk: Buffer): void;
  end(): void;
  fail(error: SallyportError): void;
}

export interface ForwardCall {
  /** Ends the request upstream; no further call to the sink follows. */
  abort(): void;
}

/** Requests under a caller's name. It has no way to send one without. */
export class Forward {
  readonly #connection: Connection;
  readonly #options: ForwardOptions;
  /** For what has a body, or may change something. */
  #pool: Pool;
  #reads: ReadConnections;
  #watches: WatchConnections;
  #trust: number;

  constructor(connection: Connection, options: ForwardOptions) {
    this.#connection = connection;
    this.#options = options;
    this.#trust = this.#connection.trustRevision();
    [this.#pool, this.#reads, this.#watches] = this.#open();
  }

  /** Sends, and feeds the answer to the sink. A request that cannot have been acted on is tried once more. */
  send(outgoing: Outgoing, sink: ResponseSink): ForwardCall {
    const headers = this.#headers(outgoing);
    const attempt = new Attempt(outgoing, sink, () => this.#dispatch(outgoing, headers, attempt));
    this.#dispatch(outgoing, headers, attempt);
    return attempt;
  }

  /**
   * Sends and holds the whole answer: for what the gateway asks in the caller's name before it decides.
   * @throws SallyportError SP_UPSTREAM_*, also when the answer is over `limit` bytes.
   */
  collect(outgoing: Outgoing, limit: number, signal?: AbortSignal): Promise<{ status: number; body: Buffer }> {
    return new Promise((resolve, reject) => {
      const chunks: Buffer[] = [];
      let size = 0;
      let status = 0;
      const call = this.send(outgoing, {
        head: (code) => {
          status = code;
          if (code !== 401) return;
          call.abort();
          reject(credentialRefused());
        },
        data: (chunk) => {
          size += chunk.length;
          if (size <= limit) return void chunks.push(Buffer.from(chunk));
          call.abort();
          reject(new SallyportError('SP_UPSTREAM_UNREACHABLE', `the API server's answer is over ${limit} bytes`));
        },
        end: () => resolve({ status, body: Buffer.concat(chunks) }),
        fail: reject,
      });
      signal?.addEventListener('abort', () => {
        call.abort();
        reject(new SallyportError('SP_BAD_REQUEST', 'the client left'));
      });
    });
  }

  /** The headers of an upgrade, for a connection of its own; identity last and asserted, as for every request. */
  upgradeHeaders(outgoing: Omit<Outgoing, 'body'>): string[] {
    return this.#headers(outgoing);
  }

  get connection(): Connection {
    return this.#connection;
  }

  async close(): Promise<void> {
    this.#watches.destroy();
    this.#reads.destroy();
    await this.#pool.destroy();
  }

  #headers(outgoing: Omit<Outgoing, 'body'>): string[] {
    const headers = [...outgoing.headers, 'Audit-ID', outgoing.requestID];
    const authorization = this.#connection.authorization();
    if (authorization !== undefined) headers.push('Authorization', authorization);
    headers.push(...identityHeaders(outgoing.identity, outgoing.via));
    assertIdentity(headers);
    return headers;
  }

  #dispatch(outgoing: Outgoing, headers: string[], attempt: Attempt): void {
    this.#refreshTrust();
    const { method, target, body, watch } = outgoing;
    if (body !== null || (method !== 'GET' && method !== 'HEAD')) this.#dispatchPooled(outgoing, headers, attempt);
    else if (watch !== true || method === 'HEAD') this.#read(outgoing, headers, attempt);
    else {
      this.#watches.dispatch(target, headers, attempt).then(
        (sent) => {
          if (!sent) this.#read(outgoing, headers, attempt);
        },
        (error: unknown) => attempt.onResponseError(undefined, error as Error),
      );
    }
  }

  #read({ method, target }: Outgoing, headers: string[], attempt: Attempt): void {
    try {
      this.#reads.dispatch({ method, target, headers }, attempt);
    } catch (error) {
      attempt.onResponseError(undefined, error as Error);
    }
  }

  #dispatchPooled(outgoing: Outgoing, headers: string[], attempt: Attempt): void {
    try {
      this.#pool.dispatch(
        {
          method: outgoing.method as Dispatcher.HttpMethod,
          path: outgoing.target,
          headers,
          body: outgoing.body,
        },
        attempt,
      );
    } catch (error) {
      attempt.onResponseError(undefined, error as Error);
    }
  }

  #open(): [Pool, ReadConnections, WatchConnections] {
    const { server, serverName } = this.#connection;
    const { connectTimeout, requestTimeout, maxConnections } = this.#options;
    const certificate = this.#connection.clientCertificate();
    const ca = this.#connection.ca();
    // One for all connections: made anew for each, the parsed CA alone would be 20 KB of every one.
    const secureContext = createSecureContext({
      ...(ca === undefined ? {} : { ca }),
      ...(certificate === undefined ? {} : { cert: certificate.cert, key: certificate.key }),
    });
    const pool = new Pool(server, {
      connections: maxConnections,
      pipelining: 1,
      allowH2: false,
      headersTimeout: requestTimeout,
      // An answer may take as long as it takes: silence is not a fault.
      bodyTimeout: 0,
      keepAliveTimeout: 30_000,
      maxHeaderSize: 128 * 1024,
      connect: {
        timeout: connectTimeout,
        ...(serverName === undefined ? {} : { servername: serverName }),
        secureContext,
      },
    });
    const dial = { server, serverName, secureContext, connectTimeout, requestTimeout };
    return [pool, new ReadConnections({ ...dial, maxConnections }), new WatchConnections(dial)];
  }

  /** A rotated CA or client certificate gets new connections; what is under way on the old one ends in its own time. */
  #refreshTrust(): void {
    const trust = this.#connection.trustRevision();
    if (trust === this.#trust) return;
    this.#trust = trust;
    const [pool, reads, watches] = [this.#pool, this.#reads, this.#watches];
    [this.#pool, this.#reads, this.#watches] = this.#open();
    pool.close().catch(() => {});
    reads.retire();
    watches.retire();
  }
}

/** A 401 of the API server speaks of the gateway's credential; passed on, it would make the caller throw theirs away. */
export function credentialRefused(): SallyportError {
  const message = "the API server did not accept the gateway's own credential: tell its operator";
  return new SallyportError('SP_UPSTREAM_UNREACHABLE', message, { retryAfter: 5 });
}

/** One request's life over up to two tries. */
class Attempt implements Dispatcher.DispatchHandler, ForwardCall {
  readonly #outgoing: Outgoing;
  readonly #sink: ResponseSink;
  readonly #again: () => void;
  #controller: Dispatcher.DispatchController | undefined;
  #started = false;
  #answered = false;
  #retried = false;
  #aborted = false;

  constructor(outgoing: Outgoing, sink: ResponseSink, again: () => void) {
    this.#outgoing = outgoing;
    this.#sink = sink;
    this.#again = again;
  }

  abort(): void {
    if (this.#aborted) return;
    this.#aborted = true;
    this.#controller?.abort(new Error('the client left'));
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    this.#started = true;
    this.#sink.sent?.();
    if (this.#aborted) controller.abort(new Error('the client left'));
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    if (this.#aborted || status < 200) return;
    this.#answered = true;
    this.#sink.head(status, rawHeaders(controller), controller);
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (!this.#aborted) this.#sink.data(chunk);
  }

  onResponseEnd(): void {
    if (!this.#aborted) this.#sink.end();
  }

  onResponseError(_controller: Dispatcher.DispatchController | undefined, error: Error): void {
    if (this.#aborted) return;
    if (!this.#answered && !this.#retried && this.#mayRepeat(error)) {
      this.#retried = true;
      this.#started = false;
      this.#again();
      return;
    }
    this.#aborted = true;
    this.#sink.fail(translate(error, this.#answered));
  }

  /**
   * A kept-alive connection that the API server closes while a request is on its way is no fault of the request.
   * What reads may be sent again; anything else only if not a byte of it was sent.
   */
  #mayRepeat(error: Error): boolean {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (!['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE', 'UND_ERR_CLOSED', 'UND_ERR_DESTROYED'].includes(code)) return false;
    if (this.#outgoing.body !== null && !Buffer.isBuffer(this.#outgoing.body)) return false;
    return !this.#started || this.#outgoing.method === 'GET' || this.#outgoing.method === 'HEAD';
  }
}

/** Flat (name, value, …), whichever protocol it came by. */
function rawHeaders(controller: Dispatcher.DispatchController): string[] {
  const raw = controller.rawHeaders;
  if (Array.isArray(raw)) return raw.map((item) => (typeof item === 'string' ? item : item.toString('latin1')));
  const headers: string[] = [];
  for (const [name, value] of Object.entries(raw ?? {})) {
    if (name.startsWith(':')) continue;
    for (const one of Array.isArray(value) ? value : [value]) headers.push(name, String(one));
  }
  return headers;
}

function translate(error: Error, answered: boolean): SallyportError {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  if (code === 'UND_ERR_HEADERS_TIMEOUT') {
    return new SallyportError('SP_UPSTREAM_TIMEOUT', 'the API server did not answer in time: try again', {
      cause: error,
      retryAfter: 1,
    });
  }
  const what = answered ? 'the API server broke off its answer' : 'the API server could not be reached';
  return new SallyportError('SP_UPSTREAM_UNREACHABLE', `${what}: try again`, { cause: error, retryAfter: 1 });
}
