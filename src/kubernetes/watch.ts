import { ApiError, ApiUnreachableError, asked } from './api-error.ts';
import { JsonLines } from './json-lines.ts';
import { isStored } from './object.ts';
import type { Stored } from './pages.ts';
import type { ResourcePath } from './resource-path.ts';
import type { Stream, Transport } from './transport.ts';

export type WatchEvent =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: Stored }
  | { readonly type: 'BOOKMARK'; readonly resourceVersion: string };

export interface WatchOptions {
  readonly query?: Readonly<Record<string, string>>;
  readonly accept?: string;
  readonly resourceVersion: string;
  /** Seconds after which the API server ends the watch in an orderly way. */
  readonly lifetime: number;
  /** Milliseconds until the answer's head. */
  readonly openTimeout: number;
  /** Bytes of one event at most. */
  readonly maxLine: number;
  readonly signal?: AbortSignal;
}

/**
 * One watch that the API server has accepted: when it is opened, everything after `resourceVersion` is on its way.
 * Events are parsed one after another as they are taken, so a slow reader slows the API server, and no queue grows.
 */
export class Watch {
  readonly #path: ResourcePath;
  readonly #stream: Stream;
  readonly #lines: JsonLines;

  private constructor(path: ResourcePath, stream: Stream, maxLine: number) {
    this.#path = path;
    this.#stream = stream;
    this.#lines = new JsonLines(maxLine);
  }

  /** @throws ApiError (410: list again), ApiUnreachableError */
  static async open(transport: Transport, path: ResourcePath, options: WatchOptions): Promise<Watch> {
    const stream = await transport.stream(
      {
        verb: 'watch',
        path,
        query: {
          ...options.query,
          watch: 'true',
          allowWatchBookmarks: 'true',
          resourceVersion: options.resourceVersion,
          timeoutSeconds: String(options.lifetime),
        },
        ...(options.accept === undefined ? {} : { accept: options.accept }),
        ...(options.signal === undefined ? {} : { signal: options.signal }),
      },
      options.openTimeout,
    );
    return new Watch(path, stream, options.maxLine);
  }

  /**
   * The events until the API server ends the watch.
   * @throws ApiError for an ERROR event (410 among them), ApiUnreachableError for a broken or senseless stream
   */
  async *events(): AsyncGenerator<WatchEvent, void> {
    try {
      for await (const chunk of this.#stream.body) {
        for (const line of this.#lines.push(chunk as Buffer)) yield this.#event(line);
      }
    } catch (error) {
      if (error instanceof ApiError || error instanceof ApiUnreachableError) throw error;
      const malformed = error instanceof SyntaxError || error instanceof RangeError;
      throw new ApiUnreachableError(
        asked('watch', this.#path),
        malformed ? 'malformed' : 'broken',
        malformed ? error.message : 'the watch broke off',
        error,
      );
    } finally {
      this.close();
    }
  }

  close(): void {
    this.#stream.close();
  }

  #event(line: unknown): WatchEvent {
    const { type, object } = (line ?? {}) as { type?: unknown; object?: unknown };
    if (type === 'ERROR') {
      const { code, reason, message } = (object ?? {}) as { code?: unknown; reason?: unknown; message?: unknown };
      throw new ApiError(
        asked('watch', this.#path),
        typeof code === 'number' ? code : 500,
        typeof reason === 'string' ? reason : '',
        typeof message === 'string' ? message : '',
      );
    }
    if (type === 'BOOKMARK') {
      const resourceVersion = (object as { metadata?: { resourceVersion?: unknown } } | null)?.metadata
        ?.resourceVersion;
      if (typeof resourceVersion === 'string' && resourceVersion !== '') return { type, resourceVersion };
    } else if ((type === 'ADDED' || type === 'MODIFIED' || type === 'DELETED') && isStored(object)) {
      return { type, object };
    }
    throw new ApiUnreachableError(asked('watch', this.#path), 'malformed', 'an event that is none');
  }
}
