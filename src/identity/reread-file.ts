import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';

/**
 * A small file that may be replaced while the process runs, parsed. It must be good at the start; later a bad or
 * missing one is told of, and the last good content stays in force. Looked at when used, never waited for.
 */
export class RereadFile<Content> {
  readonly path: string;
  readonly #parse: (text: string) => Content;
  readonly #onError: (error: unknown) => void;
  readonly #interval: number;
  #text: string;
  #content: Content;
  #revision = 0;
  #lookedAt = performance.now();
  #looking: Promise<void> | undefined;

  /** @param interval milliseconds between looks. @throws when the file cannot be read or parsed. */
  constructor(path: string, parse: (text: string) => Content, onError: (error: unknown) => void, interval = 5_000) {
    this.path = path;
    this.#parse = parse;
    this.#onError = onError;
    this.#interval = interval;
    this.#text = readFileSync(path, 'utf8');
    this.#content = parse(this.#text);
  }

  get current(): Content {
    if (performance.now() - this.#lookedAt >= this.#interval) void this.refresh();
    return this.#content;
  }

  /** Grows with every change of the content. */
  get revision(): number {
    return this.#revision;
  }

  /** Looks now; never rejects. */
  refresh(): Promise<void> {
    this.#lookedAt = performance.now();
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #look(): Promise<void> {
    try {
      const text = await readFile(this.path, 'utf8');
      if (text === this.#text) return;
      this.#content = this.#parse(text);
      this.#text = text;
      this.#revision += 1;
    } catch (error) {
      this.#onError(error);
    }
  }
}
