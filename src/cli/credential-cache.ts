import { createHash, randomUUID } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { CommandError } from './command-io.ts';
import { withLock } from './file-lock.ts';

/** What is kept on disk for one gateway and agent. */
export interface CachedCredential {
  readonly session: string;
  readonly token: string;
  /** Unix milliseconds. */
  readonly issuedAt: number;
  readonly expiresAt: number;
  /** Only with --offline-access. */
  readonly refreshToken?: string;
}

/** What must be equal for two commands to share a session. */
export interface CacheKey {
  readonly gateway: string;
  readonly agent: string;
  /** Whose: a token file's path, or '' for the person who signs in. */
  readonly source: string;
}

/**
 * Session tokens on disk: a folder of the user's own (0700), one file each (0600), replaced atomically. A file that
 * others could read or write, or that is no regular file of ours, is not believed but replaced.
 */
export class CredentialCache {
  readonly #folder: string;
  readonly #base: string;

  constructor(folder: string, key: CacheKey) {
    this.#folder = folder;
    const digest = createHash('sha256')
      .update(JSON.stringify([key.gateway, key.agent, key.source]))
      .digest('hex');
    this.#base = join(folder, `${key.agent}-${digest.slice(0, 16)}`);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const { mode, uid } = statSync(folder);
    if (process.platform !== 'win32' && ((mode & 0o077) !== 0 || uid !== process.getuid?.())) {
      throw new CommandError(`${folder} is open to others: chmod 700 it (and make sure that it is yours)`);
    }
  }

  get file(): string {
    return `${this.#base}.json`;
  }

  read(): CachedCredential | undefined {
    const text = readOwn(this.file);
    if (text === undefined) return undefined;
    try {
      const value = JSON.parse(text) as Partial<CachedCredential> | null;
      const sound =
        typeof value?.session === 'string' &&
        typeof value.token === 'string' &&
        Number.isFinite(value.issuedAt) &&
        Number.isFinite(value.expiresAt) &&
        (value.refreshToken === undefined || typeof value.refreshToken === 'string');
      return sound ? (value as CachedCredential) : undefined;
    } catch {
      return undefined;
    }
  }

  write(credential: CachedCredential): void {
    replace(this.file, JSON.stringify(credential));
    rmSync(this.#failureFile, { force: true });
    for (const name of readdirSync(this.#folder)) {
      const path = join(this.#folder, name);
      if (path.startsWith(`${this.#base}.served-`)) rmSync(path, { force: true });
    }
  }

  remove(): void {
    rmSync(this.file, { force: true });
  }

  /** Only one process at a time signs in. @param limit milliseconds to wait for the other. */
  async exclusively<T>(limit: number, work: () => Promise<T>): Promise<T> {
    return await withLock(`${this.#base}.lock`, limit, work);
  }

  /**
   * Notes that a process was given this session.
   * @returns true when the same process was given it before: its first try was refused, or it would not ask again.
   */
  servedBefore(parent: number, session: string): boolean {
    const path = `${this.#base}.served-${parent}`;
    const before = readOwn(path) === session;
    if (!before) replace(path, session);
    return before;
  }

  /** A sign-in that failed, so that forty others that waited for it do not open forty more windows. */
  noteFailure(message: string): void {
    replace(this.#failureFile, JSON.stringify({ at: Date.now(), message }));
  }

  /**
   * The failure of a sign-in that ended after `since` (Unix milliseconds). One of that very millisecond is not: it may
   * be what somebody has mended and tries again; to ask once more than needed does no harm.
   */
  failureSince(since: number): string | undefined {
    try {
      const { at, message } = JSON.parse(readOwn(this.#failureFile) ?? '{}') as { at?: number; message?: string };
      return at !== undefined && at > since ? message : undefined;
    } catch {
      return undefined;
    }
  }

  get #failureFile(): string {
    return `${this.#base}.failure`;
  }
}

/** `$XDG_CACHE_HOME/sallyport/credentials`, by default in `~/.cache`; on Windows in `%LOCALAPPDATA%`. */
export function cacheFolder(env: Readonly<Record<string, string | undefined>>): string {
  const base = env['XDG_CACHE_HOME'] || (process.platform === 'win32' ? env['LOCALAPPDATA'] : undefined);
  return join(base || join(env['HOME'] || homedir(), '.cache'), 'sallyport', 'credentials');
}

/** The text of a regular file that only its owner can touch; undefined for anything else. */
function readOwn(path: string): string | undefined {
  let file: number;
  try {
    file = openSync(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0));
  } catch {
    return undefined;
  }
  try {
    const status = fstatSync(file);
    const foreign = process.platform !== 'win32' && ((status.mode & 0o077) !== 0 || status.uid !== process.getuid?.());
    if (!status.isFile() || status.size > 65_536 || foreign) return undefined;
    return readFileSync(file, 'utf8');
  } finally {
    closeSync(file);
  }
}

function replace(path: string, text: string): void {
  const temporary = `${path}.${randomUUID()}.tmp`;
  try {
    writeFileSync(temporary, text, { mode: 0o600, flag: 'wx' });
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}
