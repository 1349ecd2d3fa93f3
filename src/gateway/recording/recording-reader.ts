import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { Writable } from 'node:stream';
import { SallyportError } from '../../errors.ts';
import type { Logger } from '../../observe/log.ts';
import {
  type ListedObject,
  MOST_INLINE,
  RECORDINGS_ENDPOINT,
  readableKey,
  readablePrefix,
} from '../../recording/reading/store-listing.ts';
import { type Storage, StorageError } from '../../recording/storage/storage.ts';
import type { ClientResponse, Exchange } from '../exchange.ts';
import type { Outcome } from '../relay.ts';
import type { RecordingAccess } from './recording-access.ts';

export interface RecordingReaderOptions {
  readonly storage: Storage;
  readonly access: RecordingAccess;
  readonly log: Logger;
  /** Milliseconds for which a reader may take no byte. */
  readonly stallTimeout: number;
}

/** Readers at once, of one replica: each costs the store a connection, and this process some memory. */
const MOST_READERS = 16;
/** Manifests that are fetched ahead of the listing. */
const AHEAD = 8;

/**
 * The store as people read it through the gateway: listings, and objects as they lie there. What is unpacked, searched and
 * checked is their own machine's work; here bytes only pass, so that reading disturbs nobody's requests.
 */
export class RecordingReader {
  readonly #options: RecordingReaderOptions;
  #readers = 0;

  constructor(options: RecordingReaderOptions) {
    this.#options = options;
  }

  /** @throws SallyportError before the first byte; behind it, the answer is cut */
  async answer(exchange: Exchange, response: ClientResponse): Promise<Outcome> {
    const { request, signal } = exchange;
    if (request.method !== 'GET') throw new SallyportError('SP_BAD_REQUEST', 'recordings are read by GET');
    if (this.#readers >= MOST_READERS) {
      const message = 'too many read recordings through this replica at once';
      throw new SallyportError('SP_TOO_MANY_REQUESTS', message, { retryAfter: 2 });
    }
    this.#readers += 1;
    // Whoever stops reading is let go of, and the store with them.
    const stop = new AbortController();
    const until = AbortSignal.any([signal, stop.signal]);
    try {
      const url = new URL(request.url!, 'https://gateway.invalid');
      const sent = url.pathname === RECORDINGS_ENDPOINT ? this.#listing(exchange, url) : this.#object(exchange, url);
      const { head, chunks } = await sent;
      const bytes = await this.#send(exchange, response, head, chunks(until), stop);
      return { status: 200, bytes, upstreamDuration: 0, end: 'Complete' };
    } catch (error) {
      throw asAnswer(error);
    } finally {
      stop.abort();
      this.#readers -= 1;
    }
  }

  async #listing({ caller, signal }: Exchange, url: URL): Promise<Answer> {
    const prefix = url.searchParams.get('prefix') ?? 'recordings/';
    const wanted = readablePrefix(prefix);
    if (wanted === undefined)
      throw new SallyportError('SP_BAD_REQUEST', 'prefix: recordings/, recordings/NAME/, keys/');
    await this.#options.access.require(caller!, wanted.recording, signal);
    const content = url.searchParams.get('content') === 'true';
    const lines = url.searchParams.get('open') === 'true' ? this.#open : this.#sealed;
    this.#note(caller!, `${prefix}*`);
    return {
      head: { 'content-type': 'application/x-ndjson' },
      chunks: (until) => written(lines.call(this, prefix, content, until)),
    };
  }

  async #object({ caller, signal }: Exchange, url: URL): Promise<Answer> {
    const wanted = readableKey(url.pathname.slice(OBJECTS.length));
    if (wanted === undefined) throw new SallyportError('SP_RECORDING_NOT_FOUND', 'no recording has such a file');
    await this.#options.access.require(caller!, wanted.recording, signal);
    const { storage } = this.#options;
    const { key } = wanted;
    this.#note(caller!, key);
    const open = url.searchParams.get('open') === 'true';
    return {
      head: { 'content-type': 'application/octet-stream' },
      chunks: (until) => (open ? storage.readParts(key, until) : storage.get(key, undefined, until)),
    };
  }

  async *#open(prefix: string, _content: boolean, signal: AbortSignal): AsyncGenerator<ListedObject> {
    for await (const key of this.#options.storage.listOpen(prefix, signal)) {
      if (readableKey(key) !== undefined) yield { key, open: true };
    }
    yield { end: true };
  }

  async *#sealed(prefix: string, content: boolean, signal: AbortSignal): AsyncGenerator<ListedObject> {
    const pending: Promise<ListedObject>[] = [];
    for await (const { key, bytes, modifiedAt } of this.#options.storage.list(prefix, signal)) {
      const known = readableKey(key);
      if (known === undefined) continue;
      const listed = { key, bytes, modifiedAt };
      const inline = content && known.isManifest && bytes <= MOST_INLINE;
      const line = inline ? this.#withContent(listed, signal) : Promise.resolve(listed);
      line.catch(() => {});
      pending.push(line);
      if (pending.length >= AHEAD) yield await pending.shift()!;
    }
    for (const line of pending) yield await line;
    yield { end: true };
  }

  async #withContent(
    listed: { readonly key: string; readonly bytes: number; readonly modifiedAt: number },
    signal: AbortSignal,
  ): Promise<ListedObject> {
    const pieces: Buffer[] = [];
    let size = 0;
    for await (const piece of this.#options.storage.get(listed.key, undefined, signal)) {
      size += piece.length;
      if (size > MOST_INLINE) return listed;
      pieces.push(piece);
    }
    return { ...listed, content: Buffer.concat(pieces).toString('base64') };
  }

  /** The first bytes are there before the head is sent: what is not to be had is still answered with a Status. */
  async #send(
    exchange: Exchange,
    response: ClientResponse,
    head: Record<string, string>,
    chunks: AsyncIterable<Buffer>,
    stop: AbortController,
  ): Promise<number> {
    const out = response as unknown as Writable;
    const iterator = chunks[Symbol.asyncIterator]();
    let bytes = 0;
    try {
      let next = await iterator.next();
      (response as ServerResponse).writeHead(200, { ...head, ...HEADERS, 'x-request-id': exchange.id });
      for (; next.done !== true; next = await iterator.next()) {
        bytes += next.value.length;
        if (!out.write(next.value)) await this.#drained(out, exchange.signal, stop);
        exchange.signal.throwIfAborted();
      }
    } finally {
      // Whatever it reads from is closed, also where nobody reads on.
      await iterator.return?.();
    }
    response.end();
    return bytes;
  }

  async #drained(out: Writable, signal: AbortSignal, stop: AbortController): Promise<void> {
    const late = AbortSignal.any([signal, AbortSignal.timeout(this.#options.stallTimeout)]);
    try {
      await once(out, 'drain', { signal: late });
    } catch {
      stop.abort();
      throw new SallyportError('SP_BAD_REQUEST', 'whoever reads the recording takes no more of it');
    }
  }

  /** Who looked at what is a fact of its own. */
  #note({ username, issuer }: { readonly username: string; readonly issuer: string }, key: string): void {
    this.#options.log.info({ username, issuer, object: key }, 'recordings are read');
  }
}

/** Whether a target is of those that read recordings. */
export function readsRecordings(target: string): boolean {
  return target === RECORDINGS_ENDPOINT || target.startsWith(`${RECORDINGS_ENDPOINT}?`) || target.startsWith(OBJECTS);
}

const OBJECTS = `${RECORDINGS_ENDPOINT}/objects/`;
const HEADERS = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' };

interface Answer {
  readonly head: Record<string, string>;
  readonly chunks: (signal: AbortSignal) => AsyncIterable<Buffer>;
}

/** Behind the head there is no status any more: the last line says whether the listing is whole. */
async function* written(lines: AsyncIterable<ListedObject>): AsyncGenerator<Buffer> {
  let begun = false;
  try {
    for await (const line of lines) {
      yield Buffer.from(`${JSON.stringify(line)}\n`);
      begun = true;
    }
  } catch (error) {
    if (!begun) throw error;
    yield Buffer.from(`${JSON.stringify({ error: 'the store ended the listing' } satisfies ListedObject)}\n`);
  }
}

function asAnswer(error: unknown): unknown {
  if (!(error instanceof StorageError)) return error;
  if (error.fault === 'NotFound') {
    return new SallyportError('SP_RECORDING_NOT_FOUND', 'there is no such file in the store', { cause: error });
  }
  const message = 'the store of recordings does not give it: try again, and tell whoever runs the gateway';
  return new SallyportError('SP_RECORDING_STORE_UNAVAILABLE', message, { cause: error, retryAfter: 5 });
}
