import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import type { SecretStore } from '../../identity/session-key.ts';
import { newSigningKey, readSigningKey } from '../../recording/signing-key.ts';
import { SigningKeys } from './signing-keys.ts';

let folder: string;
const told: string[] = [];
const published = new Map<string, string>();
let storeDown = false;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'signing-keys-'));
  told.length = 0;
  published.clear();
  storeDown = false;
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const load = (files: string[] | undefined, store: SecretStore = secrets({})): Promise<SigningKeys> =>
  SigningKeys.load({
    files,
    secret: 'sallyport-keys',
    store,
    publish: async (id, pem) => {
      if (storeDown) throw new Error('the store is down');
      published.set(id, pem);
    },
    onChanged: ({ id }) => told.push(`changed ${id}`),
    onError: ({ message }) => told.push(message),
  });

/** A Secret in memory. */
function secrets(data: Record<string, string> | undefined): SecretStore & { data: typeof data; creates: number } {
  const store = {
    data,
    creates: 0,
    get: async () => (store.data === undefined ? undefined : { data: store.data, resourceVersion: '1' }),
    create: async (_name: string, made: Readonly<Record<string, string>>) => {
      store.creates += 1;
      store.data = { ...made };
      return { data: store.data, resourceVersion: '1' };
    },
    update: async () => 'Conflict' as const,
  };
  return store;
}

test('of files the last one signs; one that is replaced signs from the next look on, and both are published', async () => {
  const files = ['a.pem', 'b.pem'].map((name) => join(folder, name));
  const [a, b, c] = [newSigningKey(), newSigningKey(), newSigningKey()];
  writeFileSync(files[0]!, a);
  writeFileSync(files[1]!, b);
  const keys = await load(files);
  assert.equal(keys.current.id, readSigningKey(b).id);
  await keys.look();
  assert.deepEqual(told, []);
  writeFileSync(files[1]!, c);
  await keys.look();
  assert.equal(keys.current.id, readSigningKey(c).id);
  assert.deepEqual(told, [`changed ${keys.current.id}`]);
  assert.deepEqual(new Set(published.keys()), new Set([a, b, c].map((pem) => readSigningKey(pem).id)));
});

test('of a Secret the entry that sorts last signs; it is made where there is none', async () => {
  const store = secrets(undefined);
  const keys = await load(undefined, store);
  const first = keys.current.id;
  assert.equal(store.creates, 1);
  const next = newSigningKey();
  store.data = { ...store.data!, '000002.pem': next, 'notes.txt': 'no key' };
  await keys.look();
  assert.equal(keys.current.id, readSigningKey(next).id);
  assert.notEqual(keys.current.id, first);
});

test('what cannot be read changes nothing, and is told without a key in it', async () => {
  const good = newSigningKey();
  const store = secrets({ '1.pem': good });
  const keys = await load(undefined, store);
  const { id } = keys.current;
  const half = good.slice(0, 60);
  for (const data of [{ '1.pem': good, '2.pem': half }, {}, { '1.pem': 'no key' }]) {
    store.data = data;
    await keys.look();
    assert.equal(keys.current.id, id);
  }
  assert.equal(told.length, 3);
  assert.match(told[0]!, /^the entry 2\.pem of the Secret sallyport-keys is no private key/);
  assert.ok(!told.join().includes(half.slice(30, 50)));
  store.data = { '1.pem': good };
  await keys.look();
  assert.equal(told.length, 3);
});

test('a public key that the store does not take is put there later', async () => {
  const keys = await load(undefined, secrets(undefined));
  storeDown = true;
  await keys.look();
  assert.deepEqual([published.size, told], [0, ['the store is down']]);
  storeDown = false;
  await keys.look();
  await keys.look();
  assert.deepEqual([...published.keys()], [keys.current.id]);
});

test('a start without a key that can be read says which', async () => {
  writeFileSync(join(folder, 'a.pem'), 'nothing');
  await assert.rejects(load([join(folder, 'a.pem')]), /a\.pem is no private key/);
  await assert.rejects(load([join(folder, 'b.pem')]), /b\.pem/);
  await assert.rejects(load(undefined, secrets({ 'x.txt': '' })), /holds no signing key/);
});
