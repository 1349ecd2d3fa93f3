import type { SessionKeys } from './session-key.ts';
import type { SessionStore } from './session-object.ts';
import type { SessionRegistry } from './session-registry.ts';

/** `lastSeenTime` is for people who look for idle sessions: a write a minute and session is plenty. */
const SEEN_EVERY = 60_000;
/** Deletions in one sweep, so that a backlog is worn away and not stormed. */
const SWEEP = 50;

/**
 * What sessions need now and then: last-seen times written, expired objects deleted after their retention, keys rotated.
 * Every replica may run it: writes are idempotent, a lost race is a no-op, and jitter keeps replicas apart.
 */
export class SessionUpkeep {
  readonly #registry: SessionRegistry;
  readonly #store: SessionStore;
  readonly #keys: Pick<SessionKeys, 'refresh'>;
  readonly #retention: number;
  readonly #onError: (error: unknown, what: string) => void;
  readonly #now: () => number;
  readonly #random: () => number;
  /** Seen, and not yet written: session name to Unix milliseconds. */
  readonly #seen = new Map<string, number>();
  /** Not before this time is a session's last-seen written again by this replica. */
  readonly #notBefore = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;
  #working: Promise<void> | undefined;

  /** @param options `retention` in milliseconds; `onError` gets what failed and will be tried again. */
  constructor(options: {
    registry: SessionRegistry;
    store: SessionStore;
    keys: Pick<SessionKeys, 'refresh'>;
    retention: number;
    onError: (error: unknown, what: string) => void;
    now?: () => number;
    random?: () => number;
  }) {
    this.#registry = options.registry;
    this.#store = options.store;
    this.#keys = options.keys;
    this.#retention = options.retention;
    this.#onError = options.onError;
    this.#now = options.now ?? Date.now;
    this.#random = options.random ?? Math.random;
  }

  /** Runs every 10 to 15 seconds from now on. */
  start(): void {
    const next = () => {
      this.#timer = setTimeout(
        () => void this.run().finally(() => this.#timer !== undefined && next()),
        10_000 + this.#random() * 5_000,
      );
      this.#timer.unref();
    };
    next();
  }

  /** @returns when the round under way is done. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#working;
  }

  /** One round. Never rejects. */
  run(): Promise<void> {
    this.#working ??= this.#round().finally(() => {
      this.#working = undefined;
    });
    return this.#working;
  }

  async #round(): Promise<void> {
    await this.#attempt('the session keys', () => this.#keys.refresh());
    await this.#writeLastSeen();
    await this.#sweep();
  }

  async #writeLastSeen(): Promise<void> {
    for (const [name, at] of this.#registry.takeLastSeen()) this.#seen.set(name, at);
    for (const [name, at] of this.#seen) {
      const session = this.#registry.get(name);
      if (session === undefined || session.status.revoked === true) {
        this.#seen.delete(name);
        this.#notBefore.delete(name);
        continue;
      }
      if (this.#now() < (this.#notBefore.get(name) ?? 0)) continue;
      this.#seen.delete(name);
      // Another replica may have written it a moment ago.
      if (at - (Date.parse(session.status.lastSeenTime ?? '') || 0) < SEEN_EVERY) continue;
      this.#notBefore.set(name, this.#now() + SEEN_EVERY * (1 + this.#random() / 4));
      const written = await this.#attempt(`last-seen of session ${name}`, () =>
        this.#store.patchStatus(name, { lastSeenTime: new Date(at).toISOString() }),
      );
      if (!written) break;
    }
  }

  async #sweep(): Promise<void> {
    const limit = this.#now() - this.#retention;
    let deleted = 0;
    for (const session of [...this.#registry.sessions()]) {
      if (Date.parse(session.spec.expirationTime) > limit) continue;
      if (deleted++ >= SWEEP) return;
      this.#notBefore.delete(session.name);
      // By uid: an object made anew under this name is another session.
      if (
        !(await this.#attempt(`expired session ${session.name}`, () => this.#store.delete(session.name, session.uid)))
      )
        return;
    }
  }

  async #attempt(what: string, work: () => Promise<unknown>): Promise<boolean> {
    try {
      await work();
      return true;
    } catch (error) {
      this.#onError(error, what);
      return false;
    }
  }
}
