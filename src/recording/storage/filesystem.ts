import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { link, mkdir, open, readdir, readFile, rename, rm, stat, unlink, utimes } from 'node:fs/promises';
import { dirname, join, resolve, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import { pool } from '../../buffer-pool.ts';
import {
  type ByteRange,
  type SealedObject,
  type SealOptions,
  type Storage,
  StorageError,
  type StoredObject,
  type StoredPart,
} from './storage.ts';
import { isTemporary, removeTemporaries, temporaryName } from './temporaries.ts';

const PARTS = '.open';
const PART_NAME = /^(\d{6,})-(\d+)-(\d+)$/;
/** Milliseconds after which a file that still has no name of its own is taken for one whose writer is gone. */
const TEMPORARY_FOR = 86_400_000;

/**
 * A store in a folder. An object gets its name by a hard link once it is whole and on disk, so that none is ever
 * overwritten or seen half; sealed files are read-only. Whoever owns the folder can still delete: for a lock that holds
 * against its owner, use S3 with object lock.
 */
export class FilesystemStorage implements Storage {
  readonly locator: string;
  readonly #root: string;
  readonly #temporaryFor: number;

  constructor(root: string, { temporaryFor = TEMPORARY_FOR }: { readonly temporaryFor?: number } = {}) {
    this.#root = resolve(root);
    this.#temporaryFor = temporaryFor;
    this.locator = pathToFileURL(this.#root).href;
  }

  async putSealed(key: string, content: Buffer, options: SealOptions): Promise<SealedObject> {
    return guarded(async () => {
      const path = this.#path(key);
      await writeOnce(path, [content], options);
      return { key, bytes: content.length, sha256: options.sha256 };
    });
  }

  async putMutable(key: string, content: Buffer): Promise<void> {
    await guarded(async () => {
      const path = this.#path(key);
      const temporary = await writeTemporary(path, [content], 0o640);
      await rename(temporary, path);
      await syncFolder(dirname(path));
    });
  }

  async appendPart(key: string, part: StoredPart, content: Buffer): Promise<void> {
    await guarded(async () => {
      const folder = this.#partsOf(key);
      const name = `${String(part.number).padStart(6, '0')}-${part.firstSeq}-${part.lastSeq}`;
      const path = join(folder, name);
      const temporary = await writeTemporary(path, [content], 0o640);
      await rename(temporary, path);
      await syncFolder(folder);
    });
  }

  async parts(key: string): Promise<readonly StoredPart[]> {
    return guarded(async () => (await this.#partFiles(key)).map(({ part }) => part));
  }

  async sealParts(key: string, options: SealOptions): Promise<SealedObject> {
    return guarded(async () => {
      const path = this.#path(key);
      const files = await this.#partFiles(key);
      // Sealed already: what lies beside it are parts that a crash left, or that came too late.
      if (files.length > 0 && !(await exists(path))) await writeOnce(path, this.readParts(key), options);
      const bytes = await digestOf(path, options.sha256, 'Exists');
      await rm(this.#partsOf(key), { recursive: true, force: true });
      return { key, bytes, sha256: options.sha256 };
    });
  }

  async *readParts(key: string): AsyncGenerator<Buffer> {
    for (const { path } of await this.#partFiles(key)) yield await readFile(path);
  }

  async *list(prefix: string): AsyncGenerator<StoredObject> {
    for await (const path of this.#walk(prefix)) {
      if (path.includes(`${PARTS}/`) || isTemporary(nameOf(path))) continue;
      // What another process removes between the look into the folder and this one is not there.
      const found = await guarded(() => stat(this.#path(path))).catch(unlessGone);
      if (found !== undefined) yield { key: path, bytes: found.size, modifiedAt: found.mtimeMs };
    }
  }

  async *listOpen(prefix: string): AsyncGenerator<string> {
    let last = '';
    for await (const path of this.#walk(prefix)) {
      const at = path.indexOf(`${PARTS}/`);
      if (at === -1 || path.slice(0, at) === last || isTemporary(nameOf(path))) continue;
      last = path.slice(0, at);
      yield last;
    }
  }

  async *get(key: string, range: ByteRange = { offset: 0 }): AsyncGenerator<Buffer> {
    const { offset, length } = range;
    if (length === 0) return;
    const end = length === undefined ? undefined : offset + length - 1;
    const stream = createReadStream(this.#path(key), { start: offset, end, highWaterMark: 256 << 10 });
    try {
      for await (const chunk of stream) yield chunk as Buffer;
    } catch (error) {
      throw asStorageError(error);
    }
  }

  async remove(key: string): Promise<void> {
    await guarded(async () => {
      const path = this.#path(key);
      const { mtimeMs } = await stat(path);
      if (mtimeMs > Date.now()) {
        throw new StorageError('Locked', `${key} is kept until ${new Date(mtimeMs).toISOString()}`);
      }
      await unlink(path);
    });
  }

  async removeTemporaries(signal?: AbortSignal): Promise<void> {
    await removeTemporaries(this.#root, Date.now() - this.#temporaryFor, signal);
  }

  async close(): Promise<void> {}

  #path(key: string): string {
    const path = join(this.#root, ...key.split('/'));
    // Keys are built from checked names; should one ever not be, it does not leave the store.
    if (!path.startsWith(this.#root + sep)) throw new StorageError('Refused', 'a key that leaves the store');
    return path;
  }

  #partsOf(key: string): string {
    return `${this.#path(key)}${PARTS}`;
  }

  async #partFiles(key: string): Promise<{ path: string; part: StoredPart }[]> {
    const folder = this.#partsOf(key);
    const found: { path: string; part: StoredPart }[] = [];
    for (const name of (await entries(folder)).sort(byCodeUnit)) {
      const [, number, firstSeq, lastSeq] = (PART_NAME.exec(name) ?? []).map(Number);
      if (number !== found.length + 1) {
        if (number === undefined) continue;
        break;
      }
      const path = join(folder, name);
      const { size } = await stat(path);
      found.push({ path, part: { number, firstSeq: firstSeq!, lastSeq: lastSeq!, bytes: size } });
    }
    return found;
  }

  /** Files below a prefix as keys, in order. */
  async *#walk(prefix: string): AsyncGenerator<string> {
    const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1);
    const pending = [folder];
    for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
      const path = at === '' ? this.#root : this.#path(at.slice(0, -1));
      const found = await guarded(() => entriesWithTypes(path));
      const names = found.map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name)).sort(byCodeUnit);
      const inside: string[] = [];
      for (const name of names) {
        const key = at + name;
        const relevant = key.startsWith(prefix) || prefix.startsWith(key);
        if (!relevant) continue;
        if (name.endsWith('/')) inside.push(key);
        else if (key.startsWith(prefix)) yield key;
      }
      pending.push(...inside.reverse());
    }
  }
}

/** The file gets its name only when it is whole; one that is there already must be the same. */
async function writeOnce(
  path: string,
  content: Iterable<Buffer> | AsyncIterable<Buffer>,
  { sha256, retainUntil }: SealOptions,
): Promise<void> {
  const temporary = await writeTemporary(path, content, 0o440);
  try {
    await digestOf(temporary, sha256);
    if (retainUntil !== undefined) await utimes(temporary, new Date(), new Date(retainUntil));
    await link(temporary, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    await digestOf(path, sha256, 'Exists');
  } finally {
    await rm(temporary, { force: true });
  }
  await syncFolder(dirname(path));
}

/** Bytes that are read at once where a file is only looked at. */
const READ_BYTES = 256 << 10;

/** The file's size. @throws StorageError where its content is another */
async function digestOf(path: string, sha256: string, fault: 'Corrupt' | 'Exists' = 'Corrupt'): Promise<number> {
  const digest = createHash('sha256');
  let bytes = 0;
  const file = await open(path, 'r');
  const memory = pool.take(READ_BYTES);
  try {
    for (;;) {
      const { bytesRead } = await file.read(memory, 0, memory.length, bytes);
      if (bytesRead === 0) break;
      digest.update(memory.subarray(0, bytesRead));
      bytes += bytesRead;
    }
  } finally {
    await file.close();
    pool.give(memory);
  }
  if (digest.digest('hex') === sha256) return bytes;
  const what = fault === 'Exists' ? 'is there already with other content' : 'does not hold what was written';
  throw new StorageError(fault, `${path} ${what}`);
}

async function writeTemporary(
  path: string,
  content: Iterable<Buffer> | AsyncIterable<Buffer>,
  mode: number,
): Promise<string> {
  const folder = dirname(path);
  await mkdir(folder, { recursive: true, mode: 0o750 });
  const temporary = join(folder, temporaryName());
  const file = await open(temporary, 'wx', mode);
  try {
    for await (const chunk of content) await file.appendFile(chunk);
    await file.sync();
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  } finally {
    await file.close();
  }
  return temporary;
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false;
      throw error;
    },
  );
}

/** A new name is on disk only when its folder is. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

function byCodeUnit(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

async function entries(folder: string): Promise<string[]> {
  return (await entriesWithTypes(folder)).map((entry) => entry.name);
}

async function entriesWithTypes(folder: string) {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

function unlessGone(error: unknown): undefined {
  if (!(error instanceof StorageError) || error.fault !== 'NotFound') throw error;
  return undefined;
}

async function guarded<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw asStorageError(error);
  }
}

function asStorageError(error: unknown): StorageError {
  if (error instanceof StorageError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  const fault =
    code === 'ENOENT'
      ? 'NotFound'
      : code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG'
        ? 'Full'
        : code === 'EACCES' || code === 'EPERM' || code === 'EROFS'
          ? 'Refused'
          : 'Unavailable';
  return new StorageError(fault, message, { cause: error });
}
