import { randomBytes } from 'node:crypto';
import { type CryptoKey, exportJWK, generateKeyPair, importJWK, type JWK } from 'jose';

/** A Secret, as far as the keys need it. `data` is decoded (no base64). */
export interface StoredSecret {
  readonly data: Readonly<Record<string, string>>;
  readonly resourceVersion: string;
}

/** Secrets of the gateway's namespace, with optimistic concurrency: the loser of a race is told `Conflict`. */
export interface SecretStore {
  get(name: string): Promise<StoredSecret | undefined>;
  create(name: string, data: Readonly<Record<string, string>>): Promise<StoredSecret | 'Conflict'>;
  update(
    name: string,
    data: Readonly<Record<string, string>>,
    resourceVersion: string,
  ): Promise<StoredSecret | 'Conflict'>;
}

/** Signing algorithm of sessions: fixed, so that no token can choose. */
export const SESSION_ALGORITHM = 'ES256';

const DATA_KEY = 'keys.json';
/** A new key is stored this long before it signs, so that every replica has it by then (they re-read more often). */
const LEAD = 60_000;
/** A replica re-reads the Secret at least this often while it is used. */
const REFRESH = 20_000;
/** Tokens with made-up key ids must not become a flood of reads. */
const UNKNOWN_KEY_PAUSE = 2_000;
/** After a failed read, so that an API server that is away is not asked once per request. */
const FAILURE_PAUSE = 1_000;
const SKEW = 60_000;

interface KeyRecord {
  readonly kid: string;
  /** Unix milliseconds from which it signs. */
  readonly activeFrom: number;
  /** Private JWK; its private part is dropped once a successor signs. */
  readonly jwk: JWK;
}

interface LoadedKey {
  readonly kid: string;
  readonly activeFrom: number;
  readonly publicKey: CryptoKey;
  readonly privateKey: CryptoKey | undefined;
}

/**
 * The keys that sign agent sessions, shared by all replicas through one Secret. Rotation needs no leader: whoever sees
 * that the newest key is old adds one, and the Secret's resourceVersion lets exactly one of them win.
 */
export class SessionKeys {
  readonly #store: SecretStore;
  readonly #secret: string;
  readonly #rotateAfter: number;
  readonly #longestToken: number;
  readonly #now: () => number;
  #keys: readonly LoadedKey[] = [];
  #loadedAt = Number.NEGATIVE_INFINITY;
  #failedAt = Number.NEGATIVE_INFINITY;
  #lastUnknown = Number.NEGATIVE_INFINITY;
  #loading: Promise<void> | undefined;

  /** @param options times in milliseconds; `longestToken` is how long a superseded key must still verify. */
  constructor(options: {
    store: SecretStore;
    secret: string;
    rotateAfter: number;
    longestToken: number;
    now?: () => number;
  }) {
    this.#store = options.store;
    this.#secret = options.secret;
    this.#rotateAfter = options.rotateAfter;
    this.#longestToken = options.longestToken;
    this.#now = options.now ?? Date.now;
  }

  /** The key that signs now. @throws when the Secret can be neither read nor made, or holds what is not a key set. */
  async signingKey(): Promise<{ kid: string; key: CryptoKey }> {
    await this.refresh();
    const now = this.#now();
    const usable = this.#keys.filter((key) => key.privateKey !== undefined);
    const active = usable.filter((key) => key.activeFrom <= now).at(-1) ?? usable.at(0);
    if (active?.privateKey === undefined) throw new Error(`Secret ${this.#secret} holds no key that can sign`);
    return { kid: active.kid, key: active.privateKey };
  }

  /** The public key of an id; undefined when no such key is known, after at most one more look at the Secret. */
  async verificationKey(kid: string): Promise<CryptoKey | undefined> {
    const known = this.#find(kid);
    if (known !== undefined) {
      // Keys already loaded stay good while the API server is away; whether a session may still be used is the
      // registry's to say, and that goes stale on its own.
      void this.refresh().catch(() => undefined);
      return known;
    }
    const now = this.#now();
    if (now - this.#lastUnknown >= UNKNOWN_KEY_PAUSE) {
      this.#lastUnknown = now;
      await this.#load();
    } else {
      // The look that another request has begun answers this one too.
      await this.#loading;
    }
    return this.#find(kid);
  }

  /** True while the key of that id is in the Secret, as last read: a removed key ends what was verified with it. */
  has(kid: string): boolean {
    return this.#find(kid) !== undefined;
  }

  /** Loads, makes or rotates the keys where that is due; cheap otherwise. Call it now and then to rotate on time. */
  async refresh(): Promise<void> {
    const now = this.#now();
    if (now - this.#loadedAt < REFRESH) return;
    if (now - this.#failedAt < FAILURE_PAUSE) throw new Error(`Secret ${this.#secret} could not be read just now`);
    await this.#load();
  }

  #find(kid: string): CryptoKey | undefined {
    return this.#keys.find((key) => key.kid === kid)?.publicKey;
  }

  async #load(): Promise<void> {
    this.#loading ??= this.#reconcile()
      .catch((error: unknown) => {
        this.#failedAt = this.#now();
        throw error;
      })
      .finally(() => {
        this.#loading = undefined;
      });
    await this.#loading;
  }

  async #reconcile(): Promise<void> {
    for (let attempt = 0; attempt < 10; attempt++) {
      const stored = await this.#store.get(this.#secret);
      const records = stored === undefined ? [] : parseRecords(stored.data[DATA_KEY], this.#secret);
      const next = await this.#due(records);
      if (next === undefined) {
        this.#keys = await Promise.all(records.map(load));
        this.#loadedAt = this.#now();
        return;
      }
      const data = { [DATA_KEY]: JSON.stringify({ keys: next }) };
      const written =
        stored === undefined
          ? await this.#store.create(this.#secret, data)
          : await this.#store.update(this.#secret, data, stored.resourceVersion);
      if (written !== 'Conflict') {
        this.#keys = await Promise.all(next.map(load));
        this.#loadedAt = this.#now();
        return;
      }
    }
    throw new Error(`Secret ${this.#secret} is written by others at every attempt`);
  }

  /** What the Secret should hold; undefined when it does already. Sorted by the time from which a key signs. */
  async #due(records: readonly KeyRecord[]): Promise<KeyRecord[] | undefined> {
    const now = this.#now();
    const newest = records.at(-1);
    if (newest === undefined) return [await makeKey(now)];
    const rotate = now - newest.activeFrom >= this.#rotateAfter;
    const list = rotate ? [...records, await makeKey(now + LEAD)] : [...records];
    const kept = list
      .filter((_, index) => {
        const successor = list[index + 1];
        return successor === undefined || now < successor.activeFrom + this.#longestToken + SKEW;
      })
      .map((record) => {
        const successor = list[list.indexOf(record) + 1];
        // A key that no longer signs has no reason to keep what could sign.
        const retired = successor !== undefined && now >= successor.activeFrom + SKEW && record.jwk.d !== undefined;
        return retired ? { ...record, jwk: publicPart(record.jwk) } : record;
      });
    const same = kept.length === records.length && kept.every((record, index) => record === records[index]);
    return same ? undefined : kept;
  }
}

async function makeKey(activeFrom: number): Promise<KeyRecord> {
  const { privateKey } = await generateKeyPair(SESSION_ALGORITHM, { extractable: true });
  return { kid: randomBytes(9).toString('base64url'), activeFrom, jwk: await exportJWK(privateKey) };
}

async function load(record: KeyRecord): Promise<LoadedKey> {
  const publicKey = (await importJWK(publicPart(record.jwk), SESSION_ALGORITHM)) as CryptoKey;
  const privateKey =
    record.jwk.d === undefined ? undefined : ((await importJWK(record.jwk, SESSION_ALGORITHM)) as CryptoKey);
  return { kid: record.kid, activeFrom: record.activeFrom, publicKey, privateKey };
}

function publicPart({ kty, crv, x, y }: JWK): JWK {
  return { kty, crv, x, y } as JWK;
}

/** A Secret that is there but unreadable is never overwritten: someone must look, and until then nothing is signed. */
function parseRecords(text: string | undefined, secret: string): KeyRecord[] {
  let keys: unknown;
  try {
    keys = (JSON.parse(text ?? '') as { keys?: unknown }).keys;
  } catch {
    // No cause: a parser's message quotes what it read, and that is key material.
    throw new Error(`Secret ${secret} does not hold JSON in ${DATA_KEY}`);
  }
  const valid =
    Array.isArray(keys) &&
    keys.length > 0 &&
    keys.length <= 1_000 &&
    keys.every(
      (key: Partial<KeyRecord> | null) =>
        typeof key?.kid === 'string' &&
        Number.isFinite(key.activeFrom) &&
        key.jwk?.kty === 'EC' &&
        key.jwk.crv === 'P-256',
    );
  if (!valid) throw new Error(`Secret ${secret} does not hold a list of ${SESSION_ALGORITHM} keys in ${DATA_KEY}`);
  return (keys as KeyRecord[]).toSorted((a, b) => a.activeFrom - b.activeFrom);
}
