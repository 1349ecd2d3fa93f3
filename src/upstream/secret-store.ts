import type { SecretStore, StoredSecret } from '../identity/session-key.ts';
import { isStatus } from '../kubernetes/api-error.ts';
import type { Own, OwnObject } from './own.ts';

/** The gateway's own Secrets, in its namespace. */
export function secretStore(own: Own): SecretStore {
  return {
    async get(name) {
      const secret = await own.get('Secret', { name });
      return secret === undefined ? undefined : decode(secret);
    },
    create: (name, data) => unlessConflict(() => own.create('Secret', draft(name, data))),
    update: (name, data, resourceVersion) =>
      unlessConflict(() => own.update('Secret', draft(name, data), resourceVersion)),
  };
}

function draft(name: string, data: Readonly<Record<string, string>>) {
  const encoded = Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'utf8').toString('base64')]);
  return {
    name,
    labels: { 'app.kubernetes.io/managed-by': 'sallyport' },
    content: { type: 'Opaque', data: Object.fromEntries(encoded) as Record<string, string> },
  };
}

function decode(secret: OwnObject): StoredSecret {
  const data: Record<string, string> = {};
  for (const [key, value] of Object.entries((secret['data'] as Record<string, unknown> | undefined) ?? {})) {
    if (typeof value === 'string') data[key] = Buffer.from(value, 'base64').toString('utf8');
  }
  return { data, resourceVersion: secret.metadata.resourceVersion };
}

/** The loser of a race is told so; it is no error. */
async function unlessConflict(write: () => Promise<OwnObject>): Promise<StoredSecret | 'Conflict'> {
  try {
    return decode(await write());
  } catch (error) {
    if (isStatus(error, 409)) return 'Conflict';
    throw error;
  }
}
