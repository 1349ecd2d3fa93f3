import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { AwsV4Signer } from 'aws4fetch';
import { Agent, type Dispatcher, request } from 'undici';
import type { CurrentCredentials } from './s3-credentials.ts';
import type { Credentials } from './s3-key-pair.ts';
import { childText, findText, parseAnswer } from './s3-xml.ts';
import { StorageError, type StorageFault } from './storage.ts';

export interface S3ClientOptions {
  readonly endpoint: URL;
  readonly region: string;
  readonly bucket: string;
  /** `https://host/bucket/key` in place of `https://bucket.host/key`. */
  readonly pathStyle: boolean;
  /** PEM; replaces the system's authorities. */
  readonly ca: string | undefined;
  readonly credentials: CurrentCredentials;
  /** Milliseconds for TCP and TLS. */
  readonly connectTimeout: number;
  /** Milliseconds for one attempt of a small request; what sends or reads much gets a second more for each 256 KiB. */
  readonly timeout: number;
  readonly attempts: number;
  readonly connections: number;
  /** Told of every attempt: the HTTP status as text, or the kind of failure. */
  readonly onAttempt: (operation: string, code: string) => void;
}

/** One request to a bucket. */
export interface S3Request {
  /** S3's own name of it (`PutObject`), for messages and metrics. */
  readonly operation: string;
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE';
  /** Key of the object; '' for the bucket itself. */
  readonly key: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  /** Statuses that are answers and not failures. */
  readonly expect: readonly number[];
  /** Bytes of the answer at most; 1 MiB where none is said. */
  readonly limit?: number;
  /** Bytes of the answer as a rule, where they are many: it gets the time for them. */
  readonly expected?: number;
}

export interface S3Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: Buffer;
}

interface SignedRequest extends Omit<Dispatcher.RequestOptions, 'path'> {
  readonly url: URL;
}

const EMPTY = new Uint8Array(0);
const FIRST_PAUSE = 100;
const LAST_PAUSE = 5_000;
const BYTES_PER_SECOND = 256 << 10;
/** Answers that ask to come again. */
const AGAIN = new Set([408, 425, 429, 500, 502, 503, 504]);
const EXPIRED = new Set(['ExpiredToken', 'ExpiredTokenException', 'TokenRefreshRequired', 'InvalidToken']);
/** What arrived is not what was sent: a proxy in between, or a broken machine. */
const DAMAGED = new Set(['BadDigest', 'XAmzContentSHA256Mismatch', 'InvalidDigest', 'XAmzContentChecksumMismatch']);
const FULL = new Set(['QuotaExceeded', 'XMinioStorageFull', 'InsufficientStorage', 'NoSpaceLeft']);

/** Signed requests to one bucket of an S3-compatible store: bounded in time and size, tried again where that can help. */
export class S3Client {
  readonly #options: S3ClientOptions;
  readonly #agent: Agent;
  /** Derived signing keys, which change once a day. */
  readonly #signingKeys = new Map<string, ArrayBuffer>();
  /** Milliseconds by which the store's clock is ahead of ours. */
  #skew = 0;

  constructor(options: S3ClientOptions) {
    this.#options = options;
    this.#agent = new Agent({
      connections: options.connections,
      allowH2: false,
      keepAliveTimeout: 10_000,
      headersTimeout: 0,
      bodyTimeout: 0,
      maxHeaderSize: 32 << 10,
      connect: { timeout: options.connectTimeout, ...(options.ca === undefined ? {} : { ca: options.ca }) },
    });
  }

  get description(): string {
    const { endpoint, bucket } = this.#options;
    return `${bucket} at ${endpoint.host}`;
  }

  /** @throws StorageError */
  async send(wanted: S3Request, signal?: AbortSignal): Promise<S3Answer> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#attempt(wanted, signal);
      } catch (error) {
        const failure = error instanceof Attempt ? error : undefined;
        if (failure === undefined) throw error;
        if (!failure.again || attempt >= this.#options.attempts || signal?.aborted) throw failure.error;
        // Half of it drawn at random: replicas that lost the same store must not come back at the same instant.
        const full = Math.min(LAST_PAUSE, FIRST_PAUSE * 2 ** (attempt - 1));
        await delay(Math.max(full / 2 + (Math.random() * full) / 2, Math.min(failure.after, LAST_PAUSE)), undefined, {
          signal,
        }).catch(() => {
          throw failure.error;
        });
      }
    }
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  async #attempt(wanted: S3Request, signal: AbortSignal | undefined): Promise<S3Answer> {
    const { operation } = wanted;
    const { onAttempt, credentials } = this.#options;
    let keys: Credentials;
    try {
      keys = await credentials.get();
    } catch (error) {
      onAttempt(operation, 'credentials');
      const message = `no credentials (${credentials.description}): ${(error as Error).message}`;
      throw new Attempt(new StorageError('Unavailable', message), true);
    }
    const size = wanted.body?.length ?? wanted.expected ?? 0;
    const limit = AbortSignal.timeout(this.#options.timeout + Math.ceil(size / BYTES_PER_SECOND) * 1_000);
    const either = signal === undefined ? limit : AbortSignal.any([limit, signal]);
    let answer: S3Answer;
    try {
      answer = await this.#exchange(wanted, await this.#sign(wanted, keys), either);
    } catch (error) {
      if (error instanceof StorageError) {
        onAttempt(operation, error.fault);
        throw error;
      }
      onAttempt(operation, limit.aborted ? 'timeout' : 'broken');
      const code = (error as NodeJS.ErrnoException).code ?? (error as Error).name;
      const why = limit.aborted ? 'no answer in time' : `the connection broke off (${code})`;
      throw new Attempt(
        new StorageError('Unavailable', `${operation}: ${this.description}: ${why}`, { cause: error }),
        true,
      );
    }
    onAttempt(operation, String(answer.status));
    if (wanted.expect.includes(answer.status)) return answer;
    throw this.#refusal(wanted, answer, keys);
  }

  async #sign(wanted: S3Request, keys: Credentials): Promise<SignedRequest> {
    const body = wanted.body ?? EMPTY;
    const signer = new AwsV4Signer({
      method: wanted.method,
      url: this.#url(wanted).href,
      headers: {
        ...wanted.headers,
        // The payload's hash is signed: what was altered on the way is refused by the store.
        'x-amz-content-sha256': createHash('sha256').update(body).digest('hex'),
      },
      body: null,
      accessKeyId: keys.accessKeyID,
      secretAccessKey: keys.secretAccessKey,
      ...(keys.sessionToken === undefined ? {} : { sessionToken: keys.sessionToken }),
      service: 's3',
      region: this.#options.region,
      cache: this.#signingKeys as Map<string, ArrayBuffer>,
      datetime: new Date(Date.now() + this.#skew).toISOString().replaceAll(/[-:]|\.\d{3}/g, ''),
      allHeaders: false,
    });
    const { url, headers } = await signer.sign();
    if (this.#signingKeys.size > 16) this.#signingKeys.clear();
    return {
      url,
      method: wanted.method,
      headers: Object.fromEntries(headers),
      body:
        wanted.method === 'GET' || wanted.method === 'HEAD' || wanted.method === 'DELETE' ? null : Buffer.from(body),
    };
  }

  #url({ key, query = {} }: S3Request): URL {
    const { endpoint, bucket, pathStyle } = this.#options;
    const url = new URL(endpoint);
    const path = key.split('/').map(encodeURIComponent).join('/');
    if (pathStyle) url.pathname = `/${bucket}${key === '' ? '' : `/${path}`}`;
    else {
      url.host = `${bucket}.${endpoint.host}`;
      url.pathname = `/${path}`;
    }
    for (const [name, value] of Object.entries(query)) url.searchParams.append(name, value);
    // A space as "+" is signed as %20 and would not be the same request.
    url.search = url.search.replaceAll('+', '%20');
    return url;
  }

  async #exchange(wanted: S3Request, { url, ...options }: SignedRequest, signal: AbortSignal): Promise<S3Answer> {
    const answer = await orAborted(request(url, { ...options, dispatcher: this.#agent, signal }), signal);
    const chunks: Buffer[] = [];
    let size = 0;
    const limit = Math.max(wanted.limit ?? 0, 1 << 20);
    for await (const chunk of answer.body) {
      size += (chunk as Buffer).length;
      if (size > limit) throw new StorageError('Corrupt', `${wanted.operation}: the answer is over ${limit} bytes`);
      chunks.push(chunk as Buffer);
    }
    const headers: Record<string, string | undefined> = {};
    for (const [name, value] of Object.entries(answer.headers)) headers[name] = String(value);
    return { status: answer.statusCode, headers, body: Buffer.concat(chunks, size) };
  }

  #refusal(wanted: S3Request, answer: S3Answer, keys: Credentials): Attempt {
    const { status, headers, body } = answer;
    const xml = body.length === 0 ? undefined : parseAnswer(body.toString('utf8'));
    const code = (xml === undefined ? undefined : (childText(xml, 'Code') ?? findText(xml, 'Code'))) ?? '';
    const said = /^[A-Za-z0-9.]{1,64}$/.test(code) ? code : '';
    const what = `${wanted.operation}${wanted.key === '' ? '' : ` ${wanted.key}`}: ${this.description} answered ${status}`;
    const region = headers['x-amz-bucket-region'];
    const hint =
      status >= 300 && status < 400 && region !== undefined && /^[a-z0-9-]{1,32}$/.test(region)
        ? ` (the bucket is in the region ${region})`
        : '';
    const message = `${what}${said === '' ? '' : ` ${said}`}${hint}`;
    if (EXPIRED.has(said)) {
      this.#options.credentials.discard(keys);
      return new Attempt(new StorageError('Refused', message), true);
    }
    if (said === 'RequestTimeTooSkewed') {
      // Our clock jumped. The store's is the one that counts for its signatures.
      const theirs = Date.parse(headers['date'] ?? '');
      if (Number.isFinite(theirs)) this.#skew = theirs - Date.now();
      return new Attempt(new StorageError('Unavailable', message), true);
    }
    const retryAfter = Number(headers['retry-after'] ?? Number.NaN) * 1_000;
    const again = AGAIN.has(status) || said === 'SlowDown' || said === 'RequestTimeout' || DAMAGED.has(said);
    return new Attempt(new StorageError(failureOf(status, said, again), message), again, retryAfter);
  }
}

function failureOf(status: number, code: string, again: boolean): StorageFault {
  if (status === 507 || FULL.has(code)) return 'Full';
  if (DAMAGED.has(code)) return 'Corrupt';
  if (again) return 'Unavailable';
  if (status === 412 || code === 'ConditionalRequestConflict') return 'Exists';
  if (status === 404 && code !== 'NoSuchBucket' && code !== 'NoSuchUpload') return 'NotFound';
  return 'Refused';
}

/** One attempt's failure, and whether another can help. */
class Attempt extends Error {
  readonly error: StorageError;
  readonly again: boolean;
  /** Milliseconds to wait at least. */
  readonly after: number;

  constructor(error: StorageError, again: boolean, after = 0) {
    super(error.message);
    this.error = error;
    this.again = again;
    this.after = Number.isFinite(after) ? after : 0;
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
