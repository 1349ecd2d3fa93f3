import assert from 'node:assert/strict';
import { test } from 'node:test';
import { installationKey } from './installation-key.ts';
import type { SecretStore, StoredSecret } from './session-key.ts';

function memoryStore(secrets = new Map<string, StoredSecret>()): SecretStore {
  return {
    get: async (name) => secrets.get(name),
    create: async (name, data) => {
      await Promise.resolve();
      if (secrets.has(name)) return 'Conflict';
      const stored = { data, resourceVersion: '1' };
      secrets.set(name, stored);
      return stored;
    },
    update: async () => 'Conflict',
  };
}

test('replicas that start at once agree on one key', async () => {
  const store = memoryStore();
  const keys = await Promise.all([installationKey(store), installationKey(store), installationKey(store)]);
  assert.equal(keys[0]!.length, 32);
  assert.ok(keys.every((key) => key.equals(keys[0]!)));
  assert.ok((await installationKey(store)).equals(keys[0]!));
});

test('a damaged key stops the start, and is never replaced in silence', async () => {
  for (const key of ['', 'short', Buffer.alloc(31).toString('base64'), `${Buffer.alloc(32).toString('base64')} `]) {
    const secrets = new Map([['sallyport-installation', { data: { key }, resourceVersion: '1' }]]);
    await assert.rejects(installationKey(memoryStore(secrets)), /holds no 32-byte key/);
    assert.equal(secrets.get('sallyport-installation')!.data.key, key);
  }
});

test('a store that fails stops the start', async () => {
  const store = { ...memoryStore(), get: () => Promise.reject(new Error('forbidden')) };
  await assert.rejects(installationKey(store), /forbidden/);
});
