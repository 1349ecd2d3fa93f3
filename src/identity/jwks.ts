import type { webcrypto } from 'node:crypto';
import { createLocalJWKSet, errors, type FlattenedJWSInput, type JWK, type JWTHeaderParameters } from 'jose';

const MAX_KEYS = 100;

/** The keys of an issuer are not known, or are older than they may be. */
export class KeysUnavailable extends Error {
  constructor(reason: string) {
    super(reason);
    this.name = 'KeysUnavailable';
  }
}

export interface FoundKey {
  readonly key: webcrypto.CryptoKey;
  /** Of the set that the key is from. */
  readonly generation: number;
}

export interface KeySetOptions {
  /** Reads the set anew; takes a deadline. */
  readonly load: (signal: AbortSignal) => Promise<Record<string, unknown>>;
  readonly now: () => number;
  /** Told of every attempt: undefined for a good one. */
  readonly onLoad?: (error: Error | undefined) => void;
  /** Milliseconds between two attempts at least, whoever asks for one. */
  readonly cooldown?: number;
  /** Milliseconds between background refreshes: a withdrawn key is believed at most this long. */
  readonly refreshInterval?: number;
  /** Milliseconds that known keys are believed while their issuer cannot be reached. */
  readonly maxStale?: number;
  /** Milliseconds for one attempt, discovery included. */
  readonly timeout?: number;
}

/**
 * The public keys of one issuer: loaded in the background, kept while the issuer is unreachable (for a time), and
 * loaded anew when a token names an unknown key, at most once per cool-down however many such tokens come.
 */
export class KeySet {
  readonly #options: Required<KeySetOptions>;
  #find: ReturnType<typeof createLocalJWKSet> | undefined;
  #fingerprint = '';
  #generation = 0;
  #loadedAt = Number.NEGATIVE_INFINITY;
  #attemptedAt = Number.NEGATIVE_INFINITY;
  #failure: Error | undefined;
  #loading: Promise<boolean> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = new AbortController();

  constructor(options: KeySetOptions) {
    this.#options = {
      onLoad: () => {},
      cooldown: 10_000,
      refreshInterval: 300_000,
      maxStale: 3_600_000,
      timeout: 5_000,
      ...options,
    };
  }

  /** Loads now, and again by itself until closed. Never rejects: an unreachable issuer stops nobody's start. */
  async start(): Promise<void> {
    await this.#load();
  }

  close(): void {
    this.#closed.abort();
    clearTimeout(this.#timer);
  }

  /** Grows whenever the keys change, so that what was verified with the former ones is verified again. */
  get generation(): number {
    return this.#generation;
  }

  /** Whether keys are known and fresh enough to be believed. */
  get usable(): boolean {
    return this.#find !== undefined && this.#options.now() - this.#loadedAt <= this.#options.maxStale;
  }

  /** When keys were last loaded, Unix milliseconds; `-Infinity` before that. */
  get loadedAt(): number {
    return this.#loadedAt;
  }

  get failure(): Error | undefined {
    return this.#failure;
  }

  /**
   * The key that a token's header asks for, by `kid` and `alg` within this set alone: `jwk`, `jku`, `x5u` and `x5c` of
   * the header are never looked at, since an attacker writes them.
   * @throws KeysUnavailable, or a JOSEError when the (fresh) set has no such key, or more than one.
   */
  async key(header: JWTHeaderParameters, token: FlattenedJWSInput): Promise<FoundKey> {
    // Keys that aged beyond their time are loaded first; for an unknown key, once the cool-down allows.
    if (!this.usable) await this.#reload();
    if (!this.usable) throw new KeysUnavailable(this.#failure?.message ?? 'the keys are not known yet');
    try {
      return await this.#lookUp(header, token);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey) || !(await this.#reload())) throw error;
    }
    if (this.#failure !== undefined) throw new KeysUnavailable(this.#failure.message);
    return this.#lookUp(header, token);
  }

  async #lookUp(header: JWTHeaderParameters, token: FlattenedJWSInput): Promise<FoundKey> {
    const generation = this.#generation;
    return { key: await this.#find!(header, token), generation };
  }

  /** Whether an attempt was made (by this call, or one under way). */
  async #reload(): Promise<boolean> {
    if (this.#loading === undefined && this.#options.now() - this.#attemptedAt < this.#options.cooldown) return false;
    await this.#load();
    return true;
  }

  #load(): Promise<boolean> {
    this.#loading ??= this.#attempt().finally(() => {
      this.#loading = undefined;
    });
    return this.#loading;
  }

  async #attempt(): Promise<boolean> {
    const { load, now, onLoad, timeout, cooldown, refreshInterval } = this.#options;
    clearTimeout(this.#timer);
    this.#attemptedAt = now();
    try {
      this.#take(await load(AbortSignal.any([this.#closed.signal, AbortSignal.timeout(timeout)])));
      this.#loadedAt = now();
      this.#failure = undefined;
    } catch (error) {
      this.#failure = error instanceof Error ? error : new Error(String(error));
    }
    if (!this.#closed.signal.aborted) {
      onLoad(this.#failure);
      // Spread by a tenth, so that many replicas do not ask at the same moment.
      const wait = (this.#failure === undefined ? refreshInterval : cooldown) * (0.9 + Math.random() / 5);
      this.#timer = setTimeout(() => void this.#load(), wait).unref();
    }
    return this.#failure === undefined;
  }

  #take(document: Record<string, unknown>): void {
    const { keys } = document;
    if (!Array.isArray(keys)) throw new Error('not a key set');
    if (keys.length > MAX_KEYS) throw new Error(`more than ${MAX_KEYS} keys`);
    const usable = (keys as unknown[]).filter(isPublicKey);
    if (usable.length === 0) throw new Error('the key set has no public key');
    const fingerprint = JSON.stringify(usable);
    if (fingerprint === this.#fingerprint) return;
    this.#find = createLocalJWKSet({ keys: usable });
    this.#fingerprint = fingerprint;
    this.#generation += 1;
  }
}

/** Never a symmetric key, and never one whose private half its issuer has published. */
function isPublicKey(key: unknown): key is JWK {
  if (typeof key !== 'object' || key === null) return false;
  const { kty, d, k } = key as JWK;
  return (kty === 'RSA' || kty === 'EC' || kty === 'OKP') && d === undefined && k === undefined;
}
