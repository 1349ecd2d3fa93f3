import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

/** Keeps diffs that are too long for an object in etcd. */
export interface DiffStore {
  /**
   * @param digest SHA-256 of the text, 64 hexadecimal digits
   * @returns where it is; undefined where it could not be kept: an approver then has to allow what is not shown
   */
  put(digest: string, text: string): Promise<string | undefined>;
}

/** In a directory, each under its digest. */
export class DirectoryDiffStore implements DiffStore {
  readonly #directory: string;
  readonly #onError: (error: unknown) => void;

  constructor(directory: string, onError: (error: unknown) => void) {
    this.#directory = resolve(directory);
    this.#onError = onError;
  }

  async put(digest: string, text: string): Promise<string | undefined> {
    if (!/^[0-9a-f]{64}$/.test(digest)) throw new TypeError('not a digest');
    const file = join(this.#directory, `${digest}.diff`);
    try {
      await mkdir(this.#directory, { recursive: true, mode: 0o700 });
      // Whole or not at all, however many gateways write it.
      const part = `${file}.${process.pid}.part`;
      await writeFile(part, text, { mode: 0o600 });
      await rename(part, file);
    } catch (error) {
      this.#onError(error);
      return undefined;
    }
    return pathToFileURL(file).href;
  }
}
