import { randomBytes } from 'node:crypto';
import type { SecretStore } from './session-key.ts';

/** The Secret of the gateway's namespace that holds the installation key. */
export const INSTALLATION_SECRET = 'sallyport-installation';

const FIELD = 'key';
const BYTES = 32;

/**
 * The key of this installation, the same on every replica: under it digests and the `via` extra are made. Made at the
 * first start; of several replicas that start at once, the Secret's creation lets one win.
 * @throws when the Secret can be neither read nor made, or holds no key: nothing is served without it.
 */
export async function installationKey(store: SecretStore): Promise<Buffer> {
  for (let attempt = 0; attempt < 3; attempt++) {
    const stored = await store.get(INSTALLATION_SECRET);
    if (stored !== undefined) return read(stored.data[FIELD]);
    const key = randomBytes(BYTES);
    const created = await store.create(INSTALLATION_SECRET, { [FIELD]: key.toString('base64') });
    if (created !== 'Conflict') return key;
  }
  throw new Error(`the Secret ${INSTALLATION_SECRET} is neither there nor can it be made`);
}

function read(text: string | undefined): Buffer {
  const key = Buffer.from(text ?? '', 'base64');
  if (key.length !== BYTES || key.toString('base64') !== text) {
    throw new Error(
      `the Secret ${INSTALLATION_SECRET} holds no ${BYTES}-byte key under "${FIELD}": restore it from a backup, or delete it, ` +
        'which voids every approval under way',
    );
  }
  return key;
}
