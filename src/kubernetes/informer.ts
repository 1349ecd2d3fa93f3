import { ApiError, ApiUnreachableError, asked } from './api-error.ts';
import { BackOff, pause } from './back-off.ts';
import { keyOf } from './object.ts';
import { listAll, type Stored } from './pages.ts';
import type { ResourcePath } from './resource-path.ts';
import type { Transport } from './transport.ts';
import { Watch, type WatchEvent } from './watch.ts';

export interface InformerHandlers<T> {
  add?(object: T): void;
  update?(object: T, old: T): void;
  delete?(object: T): void;
  /** After a list, and after each event: everything known so far has been told. */
  settled?(): void;
}

export interface InformerOptions<T> {
  /** Names it in metrics and logs. */
  readonly name: string;
  readonly path: ResourcePath;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** Asks for PartialObjectMetadata only. */
  readonly metadataOnly?: boolean;
  /** What is kept of an object; throws for one that is not of this kind. */
  readonly accept: (object: Stored) => T;
  readonly handlers: InformerHandlers<T>;
  /** Told of every failure; the informer goes on by itself. */
  readonly onFailure?: (error: Error, failures: number) => void;
  readonly bounds?: Partial<InformerBounds>;
}

export interface InformerBounds {
  readonly pageSize: number;
  readonly maxObjects: number;
  /** Bytes of a page, and of one event. */
  readonly maxPage: number;
  readonly maxLine: number;
  /** Milliseconds of silence after which a watch is not trusted any more, but replaced by a new one. */
  readonly quiet: number;
  /** Milliseconds to open a watch, and for one page of a list. */
  readonly openTimeout: number;
  readonly listTimeout: number;
  /** Seconds that one watch lives; the API server then ends it. */
  readonly lifetime: number;
  /** Milliseconds after which everything is listed anew, whatever the watch says. */
  readonly relist: number;
}

/**
 * Bounds for an owner who distrusts what is older than `staleAfter` milliseconds: silence has to be looked into well
 * before that, or a collection in which nothing happens would count as stale now and then.
 */
export function boundsFor(staleAfter: number): Partial<InformerBounds> {
  const third = Math.floor(staleAfter / 3);
  return { quiet: Math.min(BOUNDS.quiet, third), openTimeout: Math.min(BOUNDS.openTimeout, third) };
}

const BOUNDS: InformerBounds = {
  pageSize: 500,
  maxObjects: 50_000,
  maxPage: 64 << 20,
  maxLine: 4 << 20,
  quiet: 10_000,
  openTimeout: 5_000,
  listTimeout: 15_000,
  lifetime: 290,
  relist: 900_000,
};

const METADATA_LIST = 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1';
const METADATA_WATCH = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1';

/**
 * Keeps a collection as the API server has it, and says how old that knowledge is. It never stops by itself: after any
 * failure it lists again. What it holds is fresh as of the last of these: the moment a list or a watch was asked for
 * that was then answered, and the arrival of an event or a bookmark. A silent watch proves nothing (its connection may
 * be dead without a sign), so after `quiet` a second one is opened from the last known revision, on a new connection;
 * the API server's acceptance of it is the proof, and it takes the place of the first.
 */
export class Informer<T> {
  readonly name: string;
  readonly #transport: Transport;
  readonly #options: InformerOptions<T>;
  readonly #bounds: InformerBounds;
  readonly #objects = new Map<string, Known<T>>();
  readonly #stop = new AbortController();
  readonly #backOff = new BackOff();
  #running: Promise<void> | undefined;
  #firstSync = Promise.withResolvers<void>();
  #synced = false;
  #freshAt = Number.NEGATIVE_INFINITY;
  #resourceVersion = '';
  #failures = 0;
  #lists = 0;
  #watches = 0;

  constructor(transport: Transport, options: InformerOptions<T>) {
    this.name = options.name;
    this.#transport = transport;
    this.#options = options;
    this.#bounds = { ...BOUNDS, ...options.bounds };
  }

  start(): void {
    this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  /** Resolves after the first whole list; never rejects. */
  whenSynced(): Promise<void> {
    return this.#firstSync.promise;
  }

  /** A whole list was taken in at least once. Says nothing of freshness: see `age`. */
  get synced(): boolean {
    return this.#synced;
  }

  /** Milliseconds since what is known was last proved to be what the API server has; Infinity before the first list. */
  age(): number {
    return performance.now() - this.#freshAt;
  }

  /** Of the last known state; opaque. */
  get resourceVersion(): string {
    return this.#resourceVersion;
  }

  get counts(): {
    readonly objects: number;
    readonly lists: number;
    readonly watches: number;
    readonly failures: number;
  } {
    return { objects: this.#objects.size, lists: this.#lists, watches: this.#watches, failures: this.#failures };
  }

  /** @param key `namespace/name`, or the name of what is cluster-scoped. */
  get(key: string): T | undefined {
    return this.#objects.get(key)?.value;
  }

  *values(): Generator<T, void> {
    for (const { value } of this.#objects.values()) yield value;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        await this.#list(signal);
        const until = performance.now() + this.#bounds.relist * (0.9 + Math.random() / 5);
        while (!signal.aborted && performance.now() < until) await this.#watch(signal, until);
      } catch (error) {
        if (signal.aborted) break;
        this.#failures += 1;
        this.#options.onFailure?.(error as Error, this.#failures);
        const atLeast = error instanceof ApiError ? (error.retryAfter ?? 0) * 1_000 : 0;
        await pause(this.#backOff.next(atLeast), signal);
      }
    }
  }

  async #list(signal: AbortSignal): Promise<void> {
    const askedAt = performance.now();
    this.#lists += 1;
    const { items, resourceVersion } = await listAll(this.#transport, this.#options.path, {
      ...this.#bounds,
      maxBytes: this.#bounds.maxPage,
      timeout: this.#bounds.listTimeout,
      query: this.#selectors(),
      ...(this.#options.metadataOnly === true ? { accept: METADATA_LIST } : {}),
      signal,
    });
    this.#replace(items);
    this.#resourceVersion = resourceVersion;
    this.#proved(askedAt);
    this.#synced = true;
    this.#firstSync.resolve();
  }

  /** One watch and those that replace it, until the API server ends one in an orderly way. */
  async #watch(signal: AbortSignal, until: number): Promise<void> {
    let watch = await this.#open(signal);
    let openedAt = performance.now();
    let took = 0;
    let events = watch.events();
    const following = () => {
      const next = events.next();
      // Its failure is seen where it is awaited, or of no interest once the watch was replaced.
      next.catch(() => {});
      return next;
    };
    let next = following();
    try {
      while (!signal.aborted && performance.now() < until) {
        const event = await within(next, this.#bounds.quiet, signal);
        if (event?.done === true) {
          // Else an API server that accepts and at once ends every watch would be asked without a pause.
          if (took === 0 && performance.now() - openedAt < 1_000) throw this.#tooShort();
          this.#backOff.reset();
          return;
        }
        if (event !== undefined) {
          this.#take(event.value);
          took += 1;
          next = following();
        } else if (!signal.aborted) {
          // Silence. Whichever speaks first is trusted: the old watch by an event, the new one by being accepted.
          const replacement = await this.#replacement(next, signal);
          if (replacement === undefined) continue;
          watch.close();
          watch = replacement;
          openedAt = performance.now();
          took = 0;
          events = watch.events();
          next = following();
        }
      }
    } finally {
      watch.close();
    }
  }

  /** @returns the new watch, or undefined when the old one spoke in the meantime. */
  async #replacement(old: Promise<unknown>, signal: AbortSignal): Promise<Watch | undefined> {
    const abandon = new AbortController();
    const opening = this.#open(AbortSignal.any([signal, abandon.signal]));
    const spoke = old.then(
      () => undefined,
      () => undefined,
    );
    const winner = await Promise.race([opening, spoke]);
    if (winner === undefined) {
      abandon.abort();
      opening.then((late) => late.close()).catch(() => {});
    }
    return winner;
  }

  async #open(signal: AbortSignal): Promise<Watch> {
    const askedAt = performance.now();
    this.#watches += 1;
    const watch = await Watch.open(this.#transport, this.#options.path, {
      query: this.#selectors(),
      ...(this.#options.metadataOnly === true ? { accept: METADATA_WATCH } : {}),
      resourceVersion: this.#resourceVersion,
      // Not at the same second for every replica and informer.
      lifetime: Math.max(1, Math.round(this.#bounds.lifetime * (0.9 + Math.random() / 5))),
      openTimeout: this.#bounds.openTimeout,
      maxLine: this.#bounds.maxLine,
      signal,
    });
    this.#proved(askedAt);
    return watch;
  }

  #proved(at: number): void {
    if (at > this.#freshAt) this.#freshAt = at;
  }

  #take(event: WatchEvent): void {
    if (event.type === 'BOOKMARK') {
      this.#resourceVersion = event.resourceVersion;
    } else {
      if (event.type === 'DELETED') this.#remove(keyOf(event.object));
      else this.#set(event.object);
      this.#resourceVersion = event.object.metadata.resourceVersion;
      this.#options.handlers.settled?.();
    }
    this.#proved(performance.now());
    this.#backOff.reset();
  }

  #tooShort(): Error {
    return new ApiUnreachableError(asked('watch', this.#options.path), 'broken', 'the watch ended as soon as it began');
  }

  #replace(items: readonly Stored[]): void {
    const present = new Set<string>();
    for (const item of items) {
      present.add(keyOf(item));
      this.#set(item);
    }
    for (const key of [...this.#objects.keys()]) if (!present.has(key)) this.#remove(key);
    this.#options.handlers.settled?.();
  }

  // Handlers are told before it is noted that they were: if one throws, the next list tells it again, and until then
  // nothing counts as fresh.

  #set(object: Stored): void {
    const key = keyOf(object);
    const { uid, resourceVersion } = object.metadata;
    const known = this.#objects.get(key);
    if (known !== undefined && known.uid === uid && known.resourceVersion === resourceVersion) return;
    if (known === undefined && this.#objects.size >= this.#bounds.maxObjects) {
      throw new RangeError(`${this.name}: more than ${this.#bounds.maxObjects} objects`);
    }
    const value = this.#options.accept(object);
    const { handlers } = this.#options;
    if (known === undefined) handlers.add?.(value);
    else handlers.update?.(value, known.value);
    this.#objects.set(key, { uid, resourceVersion, value });
  }

  #remove(key: string): void {
    const known = this.#objects.get(key);
    if (known === undefined) return;
    this.#options.handlers.delete?.(known.value);
    this.#objects.delete(key);
  }

  #selectors(): Record<string, string> {
    const { labelSelector, fieldSelector } = this.#options;
    return {
      ...(labelSelector === undefined ? {} : { labelSelector }),
      ...(fieldSelector === undefined ? {} : { fieldSelector }),
    };
  }
}

interface Known<T> {
  readonly uid: string;
  readonly resourceVersion: string;
  readonly value: T;
}

/** @returns undefined when nothing came in time. */
function within<R>(promise: Promise<R>, milliseconds: number, signal: AbortSignal): Promise<R | undefined> {
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', nothing);
    };
    const nothing = () => {
      end();
      resolve(undefined);
    };
    const timer = setTimeout(nothing, milliseconds);
    signal.addEventListener('abort', nothing, { once: true });
    promise.then(resolve, reject).finally(end);
  });
}
