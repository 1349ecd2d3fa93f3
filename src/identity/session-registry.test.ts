import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemorySecrets, MemorySessions, person, replica } from '../../test/sessions/memory.ts';
import type { Ended } from './session-registry.ts';

const SEEN = { code: 'SP_NOT_AUTHENTICATED' };

function replicas(count: number) {
  const clock = { now: Date.parse('2026-03-01T12:00:00Z') };
  const secrets = new MemorySecrets();
  const store = new MemorySessions(() => clock.now);
  const fresh = { value: true };
  const list = Array.from({ length: count }, () => replica({ secrets, store, clock, isFresh: () => fresh.value }));
  return { clock, secrets, store, fresh, list };
}

test('a session made on one replica works on another before its watch has shown it, with one read', async () => {
  const { list, store } = replicas(2);
  const { token } = await list[0]!.exchange.issue(person(), 'cursor', undefined);
  const before = store.reads;
  await Promise.all(Array.from({ length: 40 }, () => list[1]!.authenticator.authenticate(token)));
  assert.equal(store.reads - before, 1);
});

test('what does not exist is asked for once in two seconds, and believed when it appears', async () => {
  const { list, store, clock } = replicas(2);
  const { token, name } = await list[0]!.exchange.issue(person(), 'cursor', undefined);
  const kept = store.objects.get(name)!;
  store.objects.delete(name);
  const before = store.reads;
  for (let index = 0; index < 20; index++) await assert.rejects(list[1]!.authenticator.authenticate(token), SEEN);
  assert.equal(store.reads - before, 1);
  store.objects.set(name, kept);
  clock.now += 2_001;
  await list[1]!.authenticator.authenticate(token);
});

test('a read that fails refuses with 503, and is tried again', async () => {
  const { list, store } = replicas(2);
  const { token } = await list[0]!.exchange.issue(person(), 'cursor', undefined);
  store.broken = true;
  await assert.rejects(list[1]!.authenticator.authenticate(token), { code: 'SP_SESSIONS_NOT_LOADED' });
  store.broken = false;
  await list[1]!.authenticator.authenticate(token);
});

test('a revocation seen by the watch refuses at once on every replica and tells what to end, once', async () => {
  const { list, store } = replicas(2);
  for (const { registry } of list) store.watchers.push(registry);
  const { token, name } = await list[0]!.exchange.issue(person(), 'cursor', undefined);
  const told: Ended[][] = list.map(() => []);
  list.forEach(({ registry }, index) => void registry.onEnded((ended) => told[index]!.push(ended)));
  for (const { authenticator } of list) await authenticator.authenticate(token);

  await store.patchStatus(name, { revoked: true, reason: 'lost laptop' });
  for (const { authenticator } of list) await assert.rejects(authenticator.authenticate(token), SEEN);
  await store.patchStatus(name, { lastSeenTime: new Date().toISOString() });
  await store.delete(name, store.objects.get(name)!.session.uid);
  for (const { authenticator } of list) await assert.rejects(authenticator.authenticate(token), SEEN);
  assert.deepEqual(told, [[{ session: name, reason: 'Revoked' }], [{ session: name, reason: 'Revoked' }]]);
});

test('one that cannot be read any more ends alone, for good, and is told of once', async () => {
  const { list, store } = replicas(1);
  const { registry, exchange, authenticator } = list[0]!;
  store.watchers.push(registry);
  const odd = await exchange.issue(person(), 'cursor', undefined);
  const other = await exchange.issue(person({ username: 'bob' }), 'cursor', undefined);
  const { session } = store.objects.get(odd.name)!;
  const told: Ended[] = [];
  registry.onEnded((ended) => told.push(ended));
  registry.quarantine({ name: odd.name, uid: session.uid });
  registry.quarantine({ name: odd.name, uid: session.uid });
  await assert.rejects(authenticator.authenticate(odd.token), SEEN);
  await authenticator.authenticate(other.token);
  assert.deepEqual(told, [{ session: odd.name, reason: 'Unreadable' }]);
  registry.applySession(session);
  await assert.rejects(authenticator.authenticate(odd.token), SEEN);
  registry.quarantine({ name: other.name, uid: 'a successor of that name' });
  await assert.rejects(authenticator.authenticate(other.token), SEEN);
});

test('a deleted session is over; a late answer or a lagging event does not bring it back', async () => {
  const { list, store } = replicas(1);
  const { registry, exchange, authenticator } = list[0]!;
  store.watchers.push(registry);
  const { token, name } = await exchange.issue(person(), 'cursor', undefined);
  const { session } = store.objects.get(name)!;
  const told: Ended[] = [];
  const stop = registry.onEnded((ended) => told.push(ended));
  await store.delete(name, session.uid);
  registry.applySession(session);
  registry.learn(session);
  await assert.rejects(authenticator.authenticate(token), SEEN);
  assert.deepEqual(told, [{ session: name, reason: 'Deleted' }]);
  stop();
  registry.applySession({ ...session, uid: 'another', status: { revoked: true } });
  assert.equal(told.length, 1, 'an ended subscription hears nothing');
});

test('a session that only a read has shown is read again after half a minute: a deletion may have gone unseen', async () => {
  const { list, store, clock } = replicas(2);
  const { token, name } = await list[0]!.exchange.issue(person(), 'cursor', undefined);
  const { registry, authenticator } = list[1]!;
  await authenticator.authenticate(token);
  const told: Ended[] = [];
  registry.onEnded((ended) => told.push(ended));
  store.objects.delete(name);
  clock.now += 29_000;
  await authenticator.authenticate(token);
  clock.now += 2_000;
  await assert.rejects(authenticator.authenticate(token), SEEN);
  assert.deepEqual(told, [{ session: name, reason: 'Deleted' }]);
});

test('a session that the watch has shown is never read again', async () => {
  const { list, store, clock } = replicas(1);
  const { registry, exchange, authenticator } = list[0]!;
  store.watchers.push(registry);
  const { token, name } = await exchange.issue(person(), 'cursor', undefined);
  registry.applySession(store.objects.get(name)!.session);
  const before = store.reads;
  clock.now += 600_000;
  await authenticator.authenticate(token);
  assert.equal(store.reads, before);
});

test('a stale watch refuses everyone', async () => {
  const { list, fresh } = replicas(1);
  const { exchange, authenticator, registry } = list[0]!;
  const { token } = await exchange.issue(person(), 'cursor', undefined);
  fresh.value = false;
  await assert.rejects(authenticator.authenticate(token), { code: 'SP_SESSIONS_NOT_LOADED', status: 503 });
  assert.throws(() => registry.admit(person()), { code: 'SP_SESSIONS_NOT_LOADED' });
  await assert.rejects(exchange.issue(person(), 'cursor', undefined), { code: 'SP_SESSIONS_NOT_LOADED' });
});

test('a frozen agent gets nothing through, nor a new session; thawed, its sessions go on', async () => {
  const { list } = replicas(1);
  const { exchange, authenticator, registry } = list[0]!;
  const { token } = await exchange.issue(person(), 'cursor', undefined);
  const caller = await authenticator.authenticate(token);
  const told: Ended[] = [];
  registry.onEnded((ended) => told.push(ended));

  registry.applyFreeze({ name: 'agent-cursor', agent: 'cursor', reason: 'deleting things', frozenBy: 'bob' });
  assert.throws(() => registry.admit(caller), {
    code: 'SP_SESSION_REFUSED',
    status: 403,
    message: 'an administrator has frozen agent cursor: deleting things',
  });
  assert.throws(() => registry.admit(person({ agent: 'cursor' })), { code: 'SP_SESSION_REFUSED' });
  registry.admit(person());
  registry.admit(person({ agent: 'brief' }));
  await assert.rejects(exchange.issue(person(), 'cursor', undefined), { code: 'SP_SESSION_REFUSED' });
  await exchange.issue(person(), 'brief', undefined);

  registry.applyFreeze({ name: 'all', agent: '*', reason: '', frozenBy: 'bob' });
  for (const one of [caller, person(), person({ agent: 'brief' }), person({ method: 'TokenReview' })]) {
    assert.throws(() => registry.admit(one), { code: 'SP_SESSION_REFUSED' });
  }
  await assert.rejects(exchange.issue(person(), 'brief', undefined), { code: 'SP_SESSION_REFUSED' });
  assert.deepEqual(told, [
    { agent: 'cursor', reason: 'Frozen' },
    { agent: '*', reason: 'Frozen' },
  ]);

  registry.deleteFreeze('all');
  assert.throws(() => registry.admit(caller), { code: 'SP_SESSION_REFUSED' }, 'the other freeze still stands');
  registry.deleteFreeze('agent-cursor');
  registry.admit(await authenticator.authenticate(token));
});
