import { readFileSync } from 'node:fs';
import type { SecretStore } from '../../identity/session-key.ts';
import { newSigningKey, readSigningKey, type SigningKey } from '../../recording/signing-key.ts';

const FIRST_ENTRY = '000001.pem';

/** By which manifests are signed, and all whose signatures are good. */
export interface SigningKeys {
  readonly current: SigningKey;
  readonly all: readonly SigningKey[];
}

/**
 * Keys from a Secret: the last entry by name signs. Made at the first start; of several replicas that start at once, the
 * Secret's creation lets one win. To rotate, add an entry whose name sorts last, and start the replicas anew.
 * @throws Error naming the Secret and entry, never a key
 */
export async function keysFromSecret(store: SecretStore, secret: string): Promise<SigningKeys> {
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

/** Keys from files: the last one signs. @throws Error naming the file */
export function keysFromFiles(files: readonly string[]): SigningKeys {
  return keysOf(
    files.map((file) => [file, readFileSync(file, 'utf8')]),
    'recording.signingKey.files',
  );
}

function keysOf(entries: readonly (readonly [string, string])[], where: string): SigningKeys {
  const all = entries.map(([name, pem]) => {
    try {
      return readSigningKey(pem);
    } catch (error) {
      throw new Error(`${name} ${(error as Error).message}`);
    }
  });
  const current = all.at(-1);
  if (current === undefined) throw new Error(`${where} holds no signing key (an entry *.pem, PKCS#8, Ed25519)`);
  return { current, all };
}
