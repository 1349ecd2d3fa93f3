import type { S3Client } from './s3-client.ts';
import { listed } from './s3-listing.ts';
import { S3Objects, type ServerSideEncryption } from './s3-objects.ts';
import { readObject } from './s3-reading.ts';
import { type LockMode, PART, Sealing } from './s3-sealing.ts';
import { isSealedKey, PARTS, Versions } from './s3-versions.ts';
import { childText, parseAnswer } from './s3-xml.ts';
import {
  type ByteRange,
  type SealedObject,
  type SealOptions,
  type Storage,
  StorageError,
  type StoredObject,
  type StoredPart,
} from './storage.ts';

export interface S3StorageOptions {
  readonly client: S3Client;
  /** Stands before every key, ends with a slash, or is empty. */
  readonly prefix: string;
  readonly locator: string;
  readonly encryption?: ServerSideEncryption | undefined;
  /** Governance: whom the store's administrators allow can still remove a sealed object. Compliance: nobody can, until its retention ends. */
  readonly lockMode?: LockMode | undefined;
  /** Told when something lies over a sealed object: a delete marker, a later version. */
  readonly onShadowed?: (key: string) => void;
}

const PART_NAME = /^(\d{6,})-(\d+)-(\d+)$/;

/**
 * A bucket of an S3-compatible store. Parts of an open segment are objects of their own (S3's own parts begin at 5 MiB and are
 * seen by nobody until the end); sealing reads them back and writes one object. In a bucket with versions the first version of a
 * sealed object is the object: versions and delete markers that someone laid over it hide nothing from this reader.
 */
export class S3Storage implements Storage {
  readonly locator: string;
  readonly #options: S3StorageOptions;
  readonly #client: S3Client;
  readonly #objects: S3Objects;
  readonly #versions: Versions;
  readonly #sealing: Sealing;

  constructor(options: S3StorageOptions) {
    this.#options = options;
    this.#client = options.client;
    this.locator = options.locator;
    const { client, prefix, encryption, lockMode, onShadowed = () => {} } = options;
    this.#objects = new S3Objects(client, prefix, encryption);
    this.#versions = new Versions({ client, prefix, expected: lockMode !== undefined, onShadowed });
    this.#sealing = new Sealing(this.#objects, this.#versions, lockMode);
  }

  async putSealed(key: string, content: Buffer, options: SealOptions, signal?: AbortSignal): Promise<SealedObject> {
    const there = await this.#sealing.there(key, options, signal);
    if (there === undefined) await this.#sealing.seal(key, content.length, piecesOf(content), options, signal);
    return { key, bytes: content.length, sha256: options.sha256 };
  }

  async putMutable(key: string, content: Buffer, signal?: AbortSignal): Promise<void> {
    await this.#objects.putProven(key, content, signal);
  }

  async appendPart(key: string, part: StoredPart, content: Buffer, signal?: AbortSignal): Promise<void> {
    const name = `${String(part.number).padStart(6, '0')}-${part.firstSeq}-${part.lastSeq}`;
    await this.#objects.putProven(`${key}${PARTS}${name}`, content, signal);
  }

  async parts(key: string, signal?: AbortSignal): Promise<readonly StoredPart[]> {
    return (await this.#parts(key, signal)).map(({ part }) => part);
  }

  async sealParts(key: string, options: SealOptions, signal?: AbortSignal): Promise<SealedObject> {
    let bytes = await this.#sealing.there(key, options, signal);
    if (bytes === undefined) {
      const parts = await this.#parts(key, signal);
      if (parts.length === 0) throw new StorageError('NotFound', `${key}: there are no parts to seal`);
      bytes = parts.reduce((sum, { part }) => sum + part.bytes, 0);
      await this.#sealing.seal(key, bytes, inPieces(this.readParts(key, signal)), options, signal);
    }
    const found = await this.#partsFound(key, signal);
    await this.#objects.removeAll(
      found.map((each) => each.key),
      signal,
    );
    return { key, bytes, sha256: options.sha256 };
  }

  async *readParts(key: string, signal?: AbortSignal): AsyncGenerator<Buffer> {
    for (const { name } of await this.#parts(key, signal)) yield* this.get(name, undefined, signal);
  }

  async *list(prefix: string, signal?: AbortSignal): AsyncGenerator<StoredObject> {
    const { prefix: base, onShadowed } = this.#options;
    if (!(await this.#versions.kept(signal))) {
      for await (const found of listed(this.#client, `${base}${prefix}`, signal)) {
        const key = found.key.slice(base.length);
        if (!key.includes(PARTS)) yield { ...found, key };
      }
      return;
    }
    for await (const { key, first, last, shadowed } of this.#versions.of(prefix, signal)) {
      if (key.includes(PARTS)) continue;
      // What may be replaced is as it was left last; what is sealed, as it was written first.
      if (!isSealedKey(key)) {
        if (!last.deleteMarker) yield { key, bytes: last.bytes, modifiedAt: last.modifiedAt };
      } else {
        if (shadowed) onShadowed?.(key);
        yield { key, bytes: first.bytes, modifiedAt: first.modifiedAt };
      }
    }
  }

  async *listOpen(prefix: string, signal?: AbortSignal): AsyncGenerator<string> {
    const { prefix: base } = this.#options;
    let last = '';
    for await (const { key } of listed(this.#client, `${base}${prefix}`, signal)) {
      const at = key.indexOf(PARTS);
      const segment = key.slice(base.length, at);
      if (at === -1 || segment === last) continue;
      last = segment;
      yield segment;
    }
  }

  async *get(key: string, range: ByteRange = { offset: 0 }, signal?: AbortSignal): AsyncGenerator<Buffer> {
    const query = await this.#versions.queryOf(key, signal);
    yield* readObject(this.#objects, key, query, range, signal);
  }

  async remove(key: string, signal?: AbortSignal): Promise<void> {
    const query = await this.#versions.queryOf(key, signal);
    const head = await this.#objects.head(key, query, signal);
    if (head === undefined) throw new StorageError('NotFound', `${key} is not there`);
    const { until } = await this.#objects.retention(key, query, signal);
    if (until > Date.now()) throw new StorageError('Locked', `${key} is kept until ${new Date(until).toISOString()}`);
    // With versions it is the version that goes: a delete marker would free nothing.
    await this.#client.send(
      { operation: 'DeleteObject', method: 'DELETE', key: this.#objects.name(key), query, expect: [200, 204] },
      signal,
    );
  }

  /**
   * Whether the store answers, has object lock where it is asked for, and keeps the first of two who write the same name.
   * @throws StorageError saying what a person has to mend
   */
  async check(signal?: AbortSignal): Promise<void> {
    await this.#client.send({ operation: 'HeadBucket', method: 'HEAD', key: '', expect: [200] }, signal);
    if (this.#options.lockMode !== undefined) await this.#checkObjectLock(signal);
    const key = `replicas/check-${process.pid}-${Math.random().toString(36).slice(2)}`;
    const once = { 'if-none-match': '*' };
    await this.#objects.put(key, Buffer.from('x'), once, signal);
    const second = await this.#objects.put(key, Buffer.from('y'), once, signal).catch((error: unknown) => error);
    await this.#objects.removeAll([this.#objects.name(key)], signal);
    if (second instanceof StorageError && second.fault === 'Exists') return;
    if (second instanceof Error) throw second;
    throw new StorageError(
      'Refused',
      `${this.#client.description} does not honour "If-None-Match: *", so two replicas could seal one recording: use a store with conditional writes`,
    );
  }

  async close(): Promise<void> {
    await this.#client.close();
  }

  async #checkObjectLock(signal: AbortSignal | undefined): Promise<void> {
    const query = { 'object-lock': '' };
    // 403: not allowed to ask. Each seal is proved by itself, so that is no reason not to start.
    const wanted = {
      operation: 'GetObjectLockConfiguration',
      method: 'GET',
      key: '',
      query,
      expect: [200, 403, 404],
    } as const;
    const answer = await this.#client.send(wanted, signal);
    const xml = parseAnswer(answer.body.toString('utf8'));
    if (answer.status === 403 || (xml !== undefined && childText(xml, 'ObjectLockEnabled') === 'Enabled')) return;
    throw new StorageError(
      'Refused',
      `${this.#client.description}: object lock is asked for in the configuration and is off in the bucket; switch it on there, best when it is made`,
    );
  }

  async #parts(key: string, signal: AbortSignal | undefined): Promise<{ name: string; part: StoredPart }[]> {
    const found: { name: string; part: StoredPart }[] = [];
    for (const stored of await this.#partsFound(key, signal)) {
      const name = stored.key.slice(this.#options.prefix.length);
      const [, number, firstSeq, lastSeq] = PART_NAME.exec(name.slice(key.length + PARTS.length))?.map(Number) ?? [];
      if (number === undefined) continue;
      if (number !== found.length + 1) break;
      found.push({ name, part: { number, firstSeq: firstSeq!, lastSeq: lastSeq!, bytes: stored.bytes } });
    }
    return found;
  }

  async #partsFound(key: string, signal: AbortSignal | undefined): Promise<StoredObject[]> {
    const found: StoredObject[] = [];
    for await (const stored of listed(this.#client, this.#objects.name(`${key}${PARTS}`), signal)) found.push(stored);
    return found;
  }
}

async function* piecesOf(content: Buffer): AsyncGenerator<Buffer> {
  for (let start = 0; start < content.length; start += PART) yield content.subarray(start, start + PART);
}

/** Whatever comes in, in pieces of exactly `PART`, the last one apart. */
async function* inPieces(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let held: Buffer[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    held.push(chunk);
    size += chunk.length;
    while (size >= PART) {
      const all = Buffer.concat(held);
      yield all.subarray(0, PART);
      held = [all.subarray(PART)];
      size -= PART;
    }
  }
  if (size > 0) yield Buffer.concat(held);
}
