import { readFileSync } from 'node:fs';
import { open } from 'node:fs/promises';

export interface ReloadedFileOptions {
  /** Milliseconds between looks at the file. Projected tokens are replaced at 80 % of their life, minutes before they end. */
  readonly interval?: number;
  /** Throws when the content cannot be what it should be; such a content is never taken. */
  readonly validate: (content: string) => void;
  /** Told of a look that failed; the last good content stays in use. */
  readonly onError?: (error: unknown) => void;
}

const MAX_BYTES = 1 << 20;

/**
 * A small file that is replaced while the process runs (projected token, CA bundle, client certificate). It is read at
 * once, then looked at again in the background when it is used: the hot path never waits for the disk.
 */
export class ReloadedFile {
  readonly path: string;
  readonly #options: ReloadedFileOptions;
  readonly #interval: number;
  #content: string;
  #revision = 0;
  #lookedAt: number;
  #look: Promise<void> | undefined;

  /** @throws when the file cannot be read or its content is not valid: a gateway does not start on a guess. */
  constructor(path: string, options: ReloadedFileOptions) {
    this.path = path;
    this.#options = options;
    this.#interval = options.interval ?? 5_000;
    const content = readFileSync(path, 'utf8');
    if (content.length > MAX_BYTES) throw new Error(`${path} is over ${MAX_BYTES} bytes`);
    options.validate(content);
    this.#content = content;
    this.#lookedAt = performance.now();
  }

  current(): string {
    if (performance.now() - this.#lookedAt > this.#interval) void this.refresh();
    return this.#content;
  }

  /** Grows by one with every change of the content. */
  get revision(): number {
    return this.#revision;
  }

  /** Looks at the file now; never rejects. One look at a time. */
  refresh(): Promise<void> {
    this.#lookedAt = performance.now();
    this.#look ??= this.#read().finally(() => {
      this.#look = undefined;
    });
    return this.#look;
  }

  async #read(): Promise<void> {
    try {
      const handle = await open(this.path, 'r');
      try {
        const { size } = await handle.stat();
        if (size > MAX_BYTES) throw new Error(`${this.path} is over ${MAX_BYTES} bytes`);
        const content = await handle.readFile('utf8');
        if (content === this.#content) return;
        this.#options.validate(content);
        this.#content = content;
        this.#revision += 1;
      } finally {
        await handle.close();
      }
    } catch (error) {
      this.#options.onError?.(error);
    }
  }
}
