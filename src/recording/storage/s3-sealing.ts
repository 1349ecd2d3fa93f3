import { createHash } from 'node:crypto';
import type { S3Answer } from './s3-client.ts';
import { MultipartUpload } from './s3-multipart.ts';
import { type Query, type S3Objects, shows } from './s3-objects.ts';
import { holds } from './s3-reading.ts';
import type { Versions } from './s3-versions.ts';
import { type SealOptions, StorageError } from './storage.ts';

export type LockMode = 'Governance' | 'Compliance';

/** S3 takes parts from 5 MiB on; what is smaller than two of ours goes in one request. */
export const PART = 8 << 20;
/** S3 keeps whole seconds. */
const LOCK_SLACK = 2_000;
const DIGEST = 'x-amz-meta-sha256';

/** Writes objects that are never written again, and proves that the store holds them as it was asked to. */
export class Sealing {
  readonly #objects: S3Objects;
  readonly #versions: Versions;
  readonly #lockMode: LockMode | undefined;

  constructor(objects: S3Objects, versions: Versions, lockMode: LockMode | undefined) {
    this.#objects = objects;
    this.#versions = versions;
    this.#lockMode = lockMode;
  }

  /** @returns its size where exactly this is sealed there already. @throws StorageError `Exists` where something else is */
  async there(key: string, options: SealOptions, signal: AbortSignal | undefined): Promise<number | undefined> {
    const query = await this.#versions.queryOf(key, signal);
    const head = await this.#objects.head(key, query, signal);
    if (head === undefined) return undefined;
    if (head.headers[DIGEST] !== options.sha256) throw this.#other(key);
    const bytes = Number(head.headers['content-length']);
    // What it says of itself, whoever may write can say of anything.
    if (!(await holds(this.#objects, key, query, { bytes, sha256: options.sha256 }, signal))) throw this.#other(key);
    await this.#keepLonger(key, query, options, signal);
    await this.#proveKept(key, query, head, options, signal);
    return bytes;
  }

  /**
   * @param pieces of exactly `PART` bytes, the last one apart; held one at a time where there are more than two.
   * @throws StorageError `Corrupt` where they are not what `sha256` says, or the store holds something else than was sent
   */
  async seal(
    key: string,
    bytes: number,
    pieces: AsyncIterable<Buffer>,
    options: SealOptions,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const digest = createHash('sha256');
    const check = (): void => {
      if (digest.digest('hex') === options.sha256) return;
      throw new StorageError('Corrupt', `${key}: what is to be sealed is not what its digest says`);
    };
    const read = async function* (): AsyncGenerator<Buffer> {
      for await (const piece of pieces) {
        digest.update(piece);
        yield piece;
      }
    };
    const send = bytes <= 2 * PART ? this.#atOnce : this.#inParts;
    const etag = await send.call(this, key, read(), check, options, signal);
    await this.#prove(key, bytes, etag, options, signal);
  }

  /** @returns the ETag that the object should have */
  async #atOnce(
    key: string,
    pieces: AsyncIterable<Buffer>,
    check: () => void,
    options: SealOptions,
    signal: AbortSignal | undefined,
  ): Promise<string> {
    const whole: Buffer[] = [];
    for await (const piece of pieces) whole.push(piece);
    check();
    const content = Buffer.concat(whole);
    const headers = { ...this.#headers(options), 'if-none-match': '*' };
    await this.#objects.put(key, content, headers, signal).catch(unlessOtherWasFirst);
    return createHash('md5').update(content).digest('hex');
  }

  /** @returns the ETag that the object should have */
  async #inParts(
    key: string,
    pieces: AsyncIterable<Buffer>,
    check: () => void,
    options: SealOptions,
    signal: AbortSignal | undefined,
  ): Promise<string> {
    const { client } = this.#objects;
    const headers = { ...this.#objects.encryptionHeaders(), ...this.#headers(options) };
    const upload = await MultipartUpload.begin(client, this.#objects.name(key), headers, signal);
    try {
      for await (const piece of pieces) await upload.send(piece, signal);
      check();
      await upload.complete(signal);
    } catch (error) {
      await upload.abort();
      unlessOtherWasFirst(error);
    }
    return upload.etag;
  }

  /** Nothing is sealed on the word of one answer: what the store holds is asked for and compared, and read back where that shows nothing. */
  async #prove(
    key: string,
    bytes: number,
    etag: string,
    options: SealOptions,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const query = await this.#versions.queryOf(key, signal);
    const head = await this.#objects.head(key, query, signal);
    const what = `${key}: ${this.#objects.client.description}`;
    if (head === undefined) throw new StorageError('Corrupt', `${what} said that it was stored, and does not have it`);
    if (head.headers[DIGEST] !== options.sha256) throw this.#other(key);
    if (Number(head.headers['content-length']) !== bytes) {
      throw new StorageError('Corrupt', `${what} holds ${head.headers['content-length']} bytes, not ${bytes}`);
    }
    const { sha256 } = options;
    if (!shows(head.headers, etag, sha256) && !(await holds(this.#objects, key, query, { bytes, sha256 }, signal))) {
      throw new StorageError('Corrupt', `${what} holds something else than was sent`);
    }
    await this.#proveKept(key, query, head, options, signal);
  }

  /** That it is encrypted and locked as it was asked to be: an account without the right to lock is no lock. */
  async #proveKept(
    key: string,
    query: Query,
    { headers }: S3Answer,
    { retainUntil }: SealOptions,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { encryption, client } = this.#objects;
    const what = `${key}: ${client.description}`;
    if (encryption !== undefined && headers['x-amz-server-side-encryption'] !== encryption.algorithm) {
      throw new StorageError('Refused', `${what} does not say that it is encrypted with ${encryption.algorithm}`);
    }
    if (await this.#isLocked(key, query, retainUntil, signal)) return;
    throw new StorageError(
      'Refused',
      `${what} does not hold it locked (${this.#lockMode}) for as long as was asked; the account needs s3:PutObjectRetention and s3:GetObjectRetention`,
    );
  }

  /** What was sealed before, and whose answer was lost, was locked from then on: a lock can be made longer, never shorter. */
  async #keepLonger(
    key: string,
    query: Query,
    { retainUntil }: SealOptions,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const mode = this.#lockMode;
    if (mode === undefined || retainUntil === undefined) return;
    if (await this.#isLocked(key, query, retainUntil, signal)) return;
    await this.#objects.retain(key, query, { mode: mode.toUpperCase(), until: retainUntil }, signal);
  }

  /** As it was asked for, or because nothing was. */
  async #isLocked(
    key: string,
    query: Query,
    retainUntil: number | undefined,
    signal: AbortSignal | undefined,
  ): Promise<boolean> {
    const wanted = this.#lockMode;
    if (wanted === undefined || retainUntil === undefined) return true;
    const { mode, until } = await this.#objects.retention(key, query, signal);
    return mode === wanted.toUpperCase() && until >= retainUntil - LOCK_SLACK;
  }

  #headers({ sha256, retainUntil }: SealOptions): Query {
    const lockMode = this.#lockMode;
    if (lockMode === undefined || retainUntil === undefined) return { [DIGEST]: sha256 };
    return {
      [DIGEST]: sha256,
      'x-amz-object-lock-mode': lockMode.toUpperCase(),
      'x-amz-object-lock-retain-until-date': new Date(retainUntil).toISOString(),
    };
  }

  #other(key: string): StorageError {
    return new StorageError(
      'Exists',
      `${key}: ${this.#objects.client.description} holds something else, sealed before`,
    );
  }
}

/** Another replica, or our own request whose answer was lost, was first: what lies there is compared next. */
function unlessOtherWasFirst(error: unknown): void {
  if (!(error instanceof StorageError && error.fault === 'Exists')) throw error;
}
