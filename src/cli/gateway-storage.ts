import { setTimeout as sleep } from 'node:timers/promises';
import { type ListedObject, MOST_INLINE } from '../recording/reading/store-listing.ts';
import { type ByteRange, type Storage, StorageError, type StoredObject } from '../recording/storage/storage.ts';
import type { GatewayClient } from './gateway-client.ts';

/** Times that a gateway is asked again which has too much to do (429), or cannot just now (503). */
const PATIENCE: Readonly<Record<number, number>> = { 429: 100, 503: 3 };
const MOST_CACHED = 64 << 20;
const MOST_LINE = 2 * MOST_INLINE;

/**
 * A store as a gateway shows it to a person: everything is read here as it would be from the store itself, so that what is
 * shown, searched and verified is worked out on this machine, and the gateway is trusted with nothing.
 */
export class GatewayStorage implements Storage {
  readonly locator: string;
  readonly #gateway: GatewayClient;
  readonly #credential: string | undefined;
  /** Manifests that came with a listing. */
  readonly #manifests = new Map<string, Buffer>();
  #cached = 0;

  /** @param credential the person's ID token; undefined: their client certificate */
  constructor(url: string, gateway: GatewayClient, credential: string | undefined) {
    this.locator = url;
    this.#gateway = gateway;
    this.#credential = credential;
  }

  async *list(prefix: string, signal?: AbortSignal): AsyncGenerator<StoredObject> {
    for await (const line of this.#lines(`prefix=${encodeURIComponent(prefix)}&content=true`, signal)) {
      if (!('bytes' in line)) continue;
      const { key, bytes, modifiedAt, content } = line;
      if (content !== undefined && this.#cached < MOST_CACHED && !this.#manifests.has(key)) {
        this.#manifests.set(key, Buffer.from(content, 'base64'));
        this.#cached += content.length;
      }
      yield { key, bytes, modifiedAt };
    }
  }

  async *listOpen(prefix: string, signal?: AbortSignal): AsyncGenerator<string> {
    for await (const line of this.#lines(`prefix=${encodeURIComponent(prefix)}&open=true`, signal)) {
      if ('open' in line) yield line.key;
    }
  }

  async *get(key: string, range?: ByteRange, signal?: AbortSignal): AsyncGenerator<Buffer> {
    if (range !== undefined) throw new StorageError('Refused', 'a gateway gives whole objects');
    const known = this.#manifests.get(key);
    if (known !== undefined) yield known;
    else yield* this.#read(`recordings/objects/${key}`, signal);
  }

  readParts(key: string, signal?: AbortSignal): AsyncGenerator<Buffer> {
    return this.#read(`recordings/objects/${key}?open=true`, signal);
  }

  async close(): Promise<void> {
    await this.#gateway.close();
  }

  /** @throws StorageError where the listing is not whole */
  async *#lines(query: string, signal?: AbortSignal): AsyncGenerator<ListedObject> {
    let rest = '';
    for await (const chunk of this.#read(`recordings?${query}`, signal)) {
      const lines = (rest + chunk.toString('utf8')).split('\n');
      rest = lines.pop()!;
      if (rest.length > MOST_LINE) break;
      for (const line of lines) {
        const listed = parsed(line);
        if ('end' in listed) return;
        if ('error' in listed) throw new StorageError('Unavailable', listed.error);
        yield listed;
      }
    }
    throw new StorageError('Unavailable', 'the gateway ended the listing before its end');
  }

  async *#read(path: string, signal?: AbortSignal): AsyncGenerator<Buffer> {
    for (let tries = 1; ; tries += 1) {
      const { status, body, retryAfter, message } = await this.#gateway.read(path, this.#credential, signal);
      if (status === 200) {
        yield* body;
        return;
      }
      if (tries < (PATIENCE[status] ?? 0)) {
        await sleep(Math.min(retryAfter ?? 1, 30) * 1_000, undefined, { signal });
        continue;
      }
      throw new StorageError(status === 404 ? 'NotFound' : status < 500 ? 'Refused' : 'Unavailable', message);
    }
  }

  async putSealed(): Promise<never> {
    throw readOnly();
  }

  async putMutable(): Promise<never> {
    throw readOnly();
  }

  async appendPart(): Promise<never> {
    throw readOnly();
  }

  async sealParts(): Promise<never> {
    throw readOnly();
  }

  async parts(): Promise<never> {
    throw readOnly();
  }

  async remove(): Promise<never> {
    throw readOnly();
  }
}

function parsed(line: string): ListedObject {
  try {
    const listed = JSON.parse(line) as ListedObject;
    if (typeof listed === 'object' && listed !== null) return listed;
  } catch {
    // Said below.
  }
  throw new StorageError('Unavailable', 'this does not answer like a gateway');
}

function readOnly(): StorageError {
  return new StorageError('Refused', 'through a gateway recordings are read, and nothing else');
}
