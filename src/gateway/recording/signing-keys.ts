import { readFile } from 'node:fs/promises';
import type { SecretStore } from '../../identity/session-key.ts';
import { newSigningKey, publicPEM, readSigningKey, type SigningKey } from '../../recording/signing-key.ts';

const FIRST_ENTRY = '000001.pem';
/** Milliseconds between two looks: by so much a rotation is late. */
const LOOK_EVERY = 10_000;

export interface SigningKeysOptions {
  /** Files of keys, of which the last one signs; undefined: the Secret's entries, of which the last by name does. */
  readonly files: readonly string[] | undefined;
  readonly secret: string;
  readonly store: SecretStore;
  /** Puts a public key where recordings are kept. */
  readonly publish: (id: string, pem: string) => Promise<void>;
  readonly onChanged: (current: SigningKey) => void;
  /** Keys that cannot be read now, or not be published: those from before sign on. */
  readonly onError: (error: Error) => void;
  /** Milliseconds. */
  readonly lookEvery?: number;
}

/**
 * By which manifests are signed. Looked at again and again, so that a key is rotated by adding one, with nothing started anew; what is
 * wrong there is told, and changes nothing. Public halves go to the store, for readers without keys of their own; an auditor
 * keeps them elsewhere.
 */
export class SigningKeys {
  readonly #options: SigningKeysOptions;
  readonly #published = new Set<string>();
  #keys: readonly SigningKey[];
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;

  private constructor(options: SigningKeysOptions, keys: readonly SigningKey[]) {
    this.#options = options;
    this.#keys = keys;
  }

  /** @throws Error naming the file, or the Secret and its entry, never a key */
  static async load(options: SigningKeysOptions): Promise<SigningKeys> {
    return new SigningKeys(options, await read(options));
  }

  get current(): SigningKey {
    return this.#keys.at(-1)!;
  }

  start(): void {
    this.#timer = setInterval(() => void this.look(), this.#options.lookEvery ?? LOOK_EVERY).unref();
    void this.look();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking;
  }

  /** Looks now; never rejects. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #look(): Promise<void> {
    const { publish, onChanged, onError } = this.#options;
    try {
      const before = this.current.id;
      this.#keys = await read(this.#options);
      if (this.current.id !== before) onChanged(this.current);
    } catch (error) {
      onError(error as Error);
    }
    for (const key of this.#keys) {
      if (this.#published.has(key.id)) continue;
      try {
        await publish(key.id, publicPEM(key));
        this.#published.add(key.id);
      } catch (error) {
        onError(error as Error);
      }
    }
  }
}

async function read({ files, secret, store }: SigningKeysOptions): Promise<readonly SigningKey[]> {
  if (files === undefined) return await fromSecret(store, secret);
  const entries = await Promise.all(files.map(async (file) => [file, await readFile(file, 'utf8')] as const));
  return keysOf(entries, 'recording.signingKey.files');
}

/** Made at the first start; of several replicas that start at once, the Secret's creation lets one win. */
async function fromSecret(store: SecretStore, secret: string): Promise<readonly SigningKey[]> {
  for (let attempt = 0; attempt < 3; attempt += 1) {
    const stored = await store.get(secret);
    if (stored !== undefined) {
      const entries = Object.entries(stored.data).filter(([name]) => name.endsWith('.pem'));
      entries.sort(([a], [b]) => (a < b ? -1 : 1));
      return keysOf(
        entries.map(([name, pem]) => [`the entry ${name} of the Secret ${secret}`, pem]),
        `the Secret ${secret}`,
      );
    }
    const pem = newSigningKey();
    if ((await store.create(secret, { [FIRST_ENTRY]: pem })) !== 'Conflict') return keysOf([[secret, pem]], secret);
  }
  throw new Error(`the Secret ${secret} is neither there nor can it be made`);
}

function keysOf(entries: readonly (readonly [string, string])[], where: string): readonly SigningKey[] {
  const keys = entries.map(([name, pem]) => {
    try {
      return readSigningKey(pem);
    } catch (error) {
      throw new Error(`${name} ${(error as Error).message}`);
    }
  });
  if (keys.length === 0) throw new Error(`${where} holds no signing key (an entry *.pem, PKCS#8, Ed25519)`);
  return keys;
}
