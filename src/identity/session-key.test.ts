import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { MemorySecrets } from '../../test/sessions/memory.ts';
import { SessionKeys } from './session-key.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

function keysOf(store: MemorySecrets, clock: { now: number }): SessionKeys {
  return new SessionKeys({ store, secret: 'keys', rotateAfter: DAY, longestToken: 12 * HOUR, now: () => clock.now });
}

function stored(store: MemorySecrets): { kid: string; jwk: { d?: string } }[] {
  return (JSON.parse(store.secrets.get('keys')!.data['keys.json']!) as { keys: [] }).keys;
}

test('three replicas that start at once agree on one key', async () => {
  const store = new MemorySecrets(() => sleep(Math.random() * 5));
  const clock = { now: Date.now() };
  const replicas = [keysOf(store, clock), keysOf(store, clock), keysOf(store, clock)];
  const kids = await Promise.all(replicas.map(async (keys) => (await keys.signingKey()).kid));
  assert.equal(new Set(kids).size, 1);
  assert.equal(stored(store).length, 1);
});

test('rotation by age: one winner, a lead before it signs, the old key verifies until its last token has ended', async () => {
  const store = new MemorySecrets(() => sleep(Math.random() * 5));
  const clock = { now: Date.now() };
  const replicas = [keysOf(store, clock), keysOf(store, clock), keysOf(store, clock)];
  const first = (await replicas[0]!.signingKey()).kid;
  await Promise.all(replicas.map((keys) => keys.refresh()));

  clock.now += DAY;
  await Promise.all(replicas.map((keys) => keys.refresh()));
  assert.equal(stored(store).length, 2, 'exactly one successor');
  assert.equal((await replicas[1]!.signingKey()).kid, first, 'the successor does not sign before others can have it');

  clock.now += 3 * 60_000;
  const second = (await replicas[1]!.signingKey()).kid;
  assert.notEqual(second, first);
  for (const keys of replicas) {
    assert.ok(await keys.verificationKey(first));
    assert.ok(await keys.verificationKey(second));
  }
  const old = stored(store).find((key) => key.kid === first)!;
  assert.equal(old.jwk.d, undefined, 'a key that no longer signs keeps no private part');

  clock.now += 12 * HOUR + 2 * 60_000;
  await replicas[2]!.refresh();
  assert.equal(await replicas[2]!.verificationKey(first), undefined);
  assert.deepEqual(
    stored(store).map((key) => key.kid),
    [second],
  );
});

test('a key made by another replica is found by one more look; made-up ids cause no flood of reads', async () => {
  const store = new MemorySecrets();
  const clock = { now: Date.now() };
  const mine = keysOf(store, clock);
  await mine.signingKey();
  store.secrets.delete('keys');
  const theirs = await keysOf(store, clock).signingKey();
  assert.ok(await mine.verificationKey(theirs.kid));
  const before = store.reads;
  for (let index = 0; index < 1_000; index++) assert.equal(await mine.verificationKey(`made-up-${index}`), undefined);
  assert.ok(store.reads - before <= 1, `${store.reads - before} reads`);
});

test('a Secret that holds something else is refused, never overwritten, never quoted', async () => {
  for (const text of [
    '',
    '{',
    '{"keys":[]}',
    '{"keys":[{"kid":"a"}]}',
    '{"keys":[{"kid":"a","activeFrom":1,"jwk":{"kty":"oct","k":"c2VjcmV0"}}]}',
  ]) {
    const store = new MemorySecrets();
    await store.create('keys', { 'keys.json': text });
    await assert.rejects(keysOf(store, { now: Date.now() }).signingKey(), (error: Error) => {
      assert.match(error.message, /^Secret keys /);
      assert.ok(!`${error.stack}${String(error.cause)}`.includes('c2VjcmV0'));
      return true;
    });
    assert.equal(store.secrets.get('keys')!.data['keys.json'], text);
  }
});

test('loaded keys verify while the API server is away, and it is not asked once per request', async () => {
  const store = new MemorySecrets();
  const clock = { now: Date.now() };
  const keys = keysOf(store, clock);
  const { kid } = await keys.signingKey();
  store.broken = true;
  clock.now += HOUR;
  const before = store.reads;
  for (let index = 0; index < 100; index++) assert.ok(await keys.verificationKey(kid));
  assert.ok(store.reads - before <= 2, `${store.reads - before} reads`);
  await assert.rejects(keys.signingKey());
});

test('a Secret deleted by an administrator ends what was signed before', async () => {
  const store = new MemorySecrets();
  const clock = { now: Date.now() };
  const keys = keysOf(store, clock);
  const { kid } = await keys.signingKey();
  store.secrets.delete('keys');
  clock.now += 60_000;
  await keys.refresh();
  assert.equal(keys.has(kid), false);
});
