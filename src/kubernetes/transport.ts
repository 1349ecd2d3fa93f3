import type { Readable } from 'node:stream';
import { buildConnector, Client, type Dispatcher, Pool } from 'undici';
import { ApiError, ApiUnreachableError, type Asked, asked } from './api-error.ts';
import type { Connection } from './connection.ts';
import { pathOf, type ResourcePath } from './resource-path.ts';

export type Verb = 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch' | 'delete';

/** One question in the gateway's own name. There is no place in it for a caller's bytes: no headers, no raw body. */
export interface Question {
  readonly verb: Verb;
  /** A resource, or one of the paths that are none. */
  readonly path: ResourcePath | '/version' | '/apis/sallyport.dev/v1alpha1' | '/openid/v1/jwks';
  readonly query?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly body?: unknown;
  readonly patchType?: 'application/merge-patch+json' | 'application/apply-patch+yaml' | 'application/json-patch+json';
  readonly accept?: string;
  /** True where the same question twice does no harm (reviews): it is then asked again after a broken connection. */
  readonly repeatable?: boolean;
  /** Milliseconds for everything, from connecting to the last byte. */
  readonly timeout?: number;
  /** Bytes of the answer at most. */
  readonly maxBytes?: number;
  readonly signal?: AbortSignal;
  /** Told of the answer's warnings (RFC 9111 §5.5 as Kubernetes uses it). */
  readonly onWarnings?: (warnings: readonly string[]) => void;
}

export interface Stream {
  readonly body: Readable;
  /** Ends it and its connection. */
  close(): void;
}

export interface TransportOptions {
  /** Milliseconds for TCP and TLS. */
  readonly connectTimeout?: number;
  /** Milliseconds for one question. */
  readonly timeout?: number;
  readonly connections?: number;
  readonly userAgent?: string;
  /** Told of every answer: the HTTP status as text, or the kind of failure. Both are bounded sets, for metrics. */
  readonly onAnswer?: (asked: Asked, code: string) => void;
}

const METHOD: Record<Verb, Dispatcher.HttpMethod> = {
  get: 'GET',
  list: 'GET',
  watch: 'GET',
  create: 'POST',
  update: 'PUT',
  patch: 'PATCH',
  delete: 'DELETE',
};

/** HTTP/1.1 to the API server in the gateway's own name: bounded in time and size, always verified TLS. */
export class Transport {
  readonly #connection: Connection;
  readonly #connectTimeout: number;
  readonly #timeout: number;
  readonly #connections: number;
  readonly #userAgent: string;
  readonly #onAnswer: (asked: Asked, code: string) => void;
  #pool: Pool | undefined;
  #pooled: Client.Options | undefined;
  #shared: { readonly trust: number; readonly options: Client.Options } | undefined;
  #closed = false;

  constructor(connection: Connection, options: TransportOptions = {}) {
    this.#connection = connection;
    this.#connectTimeout = options.connectTimeout ?? 5_000;
    this.#timeout = options.timeout ?? 10_000;
    this.#connections = options.connections ?? 16;
    this.#userAgent = options.userAgent ?? 'sallyport';
    this.#onAnswer = options.onAnswer ?? (() => {});
  }

  get connection(): Connection {
    return this.#connection;
  }

  /**
   * Asks and gives the parsed answer.
   * @throws ApiError the API server answered with something but 2xx
   * @throws ApiUnreachableError no answer, or none that could be read within the bounds
   */
  async ask(question: Question): Promise<unknown> {
    const limit = AbortSignal.timeout(question.timeout ?? this.#timeout);
    const signal = question.signal === undefined ? limit : AbortSignal.any([limit, question.signal]);
    const repeatable = METHOD[question.verb] === 'GET' || question.repeatable === true;
    for (let attempt = 1; ; attempt++) {
      const authorization = this.#connection.authorization();
      try {
        return await this.#once(question, signal, limit);
      } catch (error) {
        if (attempt > 1 || signal.aborted) throw error;
        if (error instanceof ApiError && error.status === 401) {
          // The file may hold a newer token than the one in memory.
          await this.#connection.refresh();
          if (this.#connection.authorization() === authorization) throw error;
        } else if (!(repeatable && error instanceof ApiUnreachableError && error.kind === 'broken')) {
          throw error;
        }
      }
    }
  }

  /**
   * Opens a stream on a connection of its own: a pooled one may be half dead already, and closing it ends the stream.
   * Gives it once the answer's head has come with 200.
   * @param timeout milliseconds until the head.
   * @throws ApiError, ApiUnreachableError
   */
  async stream(question: Question, timeout: number): Promise<Stream> {
    const what = subject(question);
    const limit = AbortSignal.timeout(timeout);
    const signal = question.signal === undefined ? limit : AbortSignal.any([limit, question.signal]);
    const client = new Client(this.#connection.server, { ...this.#options(), maxRequestsPerClient: 1 });
    const close = () => void client.destroy().catch(() => {});
    // Destroyed, not aborted: undici minds a signal only once it has a connection.
    signal.addEventListener('abort', close, { once: true });
    try {
      signal.throwIfAborted();
      const answer = await client.request(this.#request(question));
      if (answer.statusCode !== 200) {
        throw refusal(what, answer, await collect(what, answer.body, 1 << 20));
      }
      this.#onAnswer(what, '200');
      // The limit was for the head; what follows may be silent for as long as its reader allows.
      signal.removeEventListener('abort', close);
      question.signal?.addEventListener('abort', close, { once: true });
      answer.body.once('close', () => question.signal?.removeEventListener('abort', close));
      return { body: answer.body, close };
    } catch (error) {
      close();
      throw this.#failed(what, error, limit);
    } finally {
      signal.removeEventListener('abort', close);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#pool?.destroy();
  }

  async #once(question: Question, signal: AbortSignal, limit: AbortSignal): Promise<unknown> {
    const what = subject(question);
    try {
      signal.throwIfAborted();
      const answer = await orAborted(this.#currentPool().request({ ...this.#request(question), signal }), signal);
      const body = await collect(what, answer.body, question.maxBytes ?? 16 << 20);
      if (answer.statusCode < 200 || answer.statusCode > 299) throw refusal(what, answer, body);
      const value = parse(what, body);
      question.onWarnings?.([answer.headers['warning'] ?? []].flat());
      this.#onAnswer(what, String(answer.statusCode));
      return value;
    } catch (error) {
      throw this.#failed(what, error, limit);
    }
  }

  #failed(what: Asked, error: unknown, limit: AbortSignal): Error {
    const failure = translate(what, error, limit);
    if (failure instanceof ApiError) this.#onAnswer(what, String(failure.status));
    else if (failure instanceof ApiUnreachableError) this.#onAnswer(what, failure.kind);
    return failure;
  }

  #request(question: Question): Dispatcher.RequestOptions {
    const headers: Record<string, string> = {
      accept: question.accept ?? 'application/json',
      'user-agent': this.#userAgent,
    };
    const authorization = this.#connection.authorization();
    if (authorization !== undefined) headers['authorization'] = authorization;
    if (question.body !== undefined) headers['content-type'] = question.patchType ?? 'application/json';
    const path = typeof question.path === 'string' ? question.path : pathOf(question.path);
    const query = question.query === undefined ? '' : `?${new URLSearchParams({ ...question.query })}`;
    return {
      method: METHOD[question.verb],
      path: `${path}${query}`,
      headers,
      ...(question.body === undefined ? {} : { body: JSON.stringify(question.body) }),
    };
  }

  /** A rotated CA or client certificate gets a new pool; questions under way end on the old one. */
  #currentPool(): Pool {
    if (this.#closed) throw new Error('this transport is closed');
    const options = this.#options();
    if (this.#pool === undefined || options !== this.#pooled) {
      this.#pool?.close().catch(() => {});
      this.#pooled = options;
      this.#pool = new Pool(this.#connection.server, { ...options, connections: this.#connections });
    }
    return this.#pool;
  }

  /** The same object until the trust changes. Its connector resumes TLS sessions, so a new connection is cheap. */
  #options(): Client.Options {
    const trust = this.#connection.trustRevision();
    if (this.#shared?.trust === trust) return this.#shared.options;
    const ca = this.#connection.ca();
    const { serverName } = this.#connection;
    const connect = buildConnector({
      allowH2: false,
      timeout: this.#connectTimeout,
      keepAlive: true,
      keepAliveInitialDelay: 10_000,
      rejectUnauthorized: true,
      ...(ca === undefined ? {} : { ca }),
      ...(serverName === undefined ? {} : { servername: serverName }),
      ...this.#connection.clientCertificate(),
    });
    const options: Client.Options = {
      // HTTP/1.1: each stream has a connection of its own, and ending that ends the stream.
      allowH2: false,
      pipelining: 1,
      headersTimeout: 0,
      bodyTimeout: 0,
      maxHeaderSize: 64 * 1024,
      connect,
    };
    this.#shared = { trust, options };
    return options;
  }
}

/** undici minds a signal only once it has a connection; a caller must not wait for that. */
function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason as Error);
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

function subject(question: Question): Asked {
  if (typeof question.path !== 'string') return asked(question.verb, question.path);
  return { verb: question.verb, what: question.path, namespace: undefined, name: undefined };
}

async function collect(what: Asked, body: Readable, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += (chunk as Buffer).length;
    if (size > limit) throw new ApiUnreachableError(what, 'size', `the answer is over ${limit} bytes`);
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks, size);
}

function parse(what: Asked, body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    // No cause: the parser's message quotes the answer, which may be a Secret.
    throw new ApiUnreachableError(what, 'malformed', 'the answer is not JSON');
  }
}

function refusal(what: Asked, answer: Dispatcher.ResponseData, body: Buffer): ApiError {
  const retryAfter = Number(answer.headers['retry-after']);
  let reason = '';
  let message = '';
  try {
    const status = JSON.parse(body.toString('utf8')) as { reason?: unknown; message?: unknown };
    if (typeof status?.reason === 'string') reason = status.reason;
    if (typeof status?.message === 'string') message = status.message;
  } catch {
    // A proxy in between, or plain text: the status code speaks.
  }
  return new ApiError(what, answer.statusCode, reason, message, Number.isFinite(retryAfter) ? retryAfter : undefined);
}

function translate(what: Asked, error: unknown, limit: AbortSignal): Error {
  if (error instanceof ApiError || error instanceof ApiUnreachableError || error instanceof RangeError) return error;
  if (limit.aborted) return new ApiUnreachableError(what, 'timeout', 'no answer in time', error);
  const code = (error as NodeJS.ErrnoException)?.code ?? '';
  if (code === 'UND_ERR_CONNECT_TIMEOUT')
    return new ApiUnreachableError(what, 'timeout', 'no connection in time', error);
  if (/^(ERR_TLS|ERR_SSL|CERT_|DEPTH_|SELF_SIGNED|UNABLE_TO)/.test(code)) {
    return new ApiUnreachableError(what, 'tls', `the API server's certificate was not accepted (${code})`, error);
  }
  if (['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'ETIMEDOUT'].includes(code)) {
    return new ApiUnreachableError(what, 'connect', `no connection (${code})`, error);
  }
  return new ApiUnreachableError(what, 'broken', `the connection broke off (${code === '' ? 'closed' : code})`, error);
}
