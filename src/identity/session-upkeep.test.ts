import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemorySecrets, MemorySessions, person, replica } from '../../test/sessions/memory.ts';
import { SessionUpkeep } from './session-upkeep.ts';

const WEEK = 604_800_000;

function rooms(count: number) {
  const clock = { now: Date.parse('2026-03-01T12:00:00Z') };
  const secrets = new MemorySecrets();
  const store = new MemorySessions(() => clock.now);
  const failures: string[] = [];
  const list = Array.from({ length: count }, () => {
    const made = replica({ secrets, store, clock });
    store.watchers.push(made.registry);
    const upkeep = new SessionUpkeep({
      ...made,
      retention: WEEK,
      onError: (_, what) => failures.push(what),
      now: () => clock.now,
    });
    return { ...made, upkeep };
  });
  return { clock, store, list, failures, secrets };
}

test('last-seen is written once a minute at most, whatever the traffic, by however many replicas', async () => {
  const { clock, store, list } = rooms(3);
  const { token, name } = await list[0]!.exchange.issue(person(), 'cursor', undefined);
  const before = store.writes;
  for (let second = 0; second < 600; second += 5) {
    clock.now += 5_000;
    for (const { authenticator } of list) await authenticator.authenticate(token);
    for (const { upkeep } of list) await upkeep.run();
  }
  const writes = store.writes - before;
  assert.ok(writes >= 5 && writes <= 10, `${writes} writes in ten minutes`);
  const seen = Date.parse(store.objects.get(name)!.session.status.lastSeenTime!);
  assert.ok(clock.now - seen < 90_000);
});

test('an unused session is not written', async () => {
  const { clock, store, list } = rooms(1);
  await list[0]!.exchange.issue(person(), 'cursor', undefined);
  const before = store.writes;
  clock.now += 600_000;
  await list[0]!.upkeep.run();
  assert.equal(store.writes, before);
});

test('expired sessions go after their retention, live and younger ones stay, every replica may sweep', async () => {
  const { clock, store, list } = rooms(2);
  const old = await list[0]!.exchange.issue(person(), 'cursor', 60);
  clock.now += WEEK;
  const young = await list[0]!.exchange.issue(person(), 'cursor', 3_600);
  await Promise.all(list.map(({ upkeep }) => upkeep.run()));
  assert.ok(store.objects.has(old.name), 'its minute of life counts');
  clock.now += 60_000;
  await Promise.all(list.map(({ upkeep }) => upkeep.run()));
  assert.deepEqual([...store.objects.keys()], [young.name]);
});

test('a failing API server is reported and tried again; a round never rejects', async () => {
  const { clock, store, list, failures, secrets } = rooms(1);
  const { token, name } = await list[0]!.exchange.issue(person(), 'cursor', undefined);
  await list[0]!.authenticator.authenticate(token);
  clock.now += 100_000;
  store.broken = true;
  secrets.broken = true;
  await list[0]!.upkeep.run();
  assert.deepEqual(failures, ['the session keys', `last-seen of session ${name}`]);
  store.broken = false;
  secrets.broken = false;
  clock.now += 100_000;
  await list[0]!.authenticator.authenticate(token);
  await list[0]!.upkeep.run();
  assert.ok(store.objects.get(name)!.session.status.lastSeenTime);
});

test('it stops', async () => {
  const { list } = rooms(1);
  list[0]!.upkeep.start();
  await list[0]!.upkeep.stop();
});
