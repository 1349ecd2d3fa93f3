import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { SAMPLE_IDENTITY } from '../../recording/cases/sample-recording.ts';
import { NO_COUNTS } from '../../recording/counts.ts';
import type { SessionRecordingStatus } from '../../recording/session-recording.generated.ts';
import type { Own, OwnObject } from '../../upstream/own.ts';
import { IndexWriter, type IndexWriterOptions } from './index-writer.ts';

/** The gateway's own client before an API server that counts, and holds as many objects as asked: no real one is to be filled. */
class CountingServer {
  readonly objects = new Map<string, OwnObject>();
  most = 0;
  creates = 0;
  deletes = 0;
  /** When each status was written, by the clock of the test, and of which object. */
  readonly patches: { readonly name: string; readonly at: number }[] = [];

  readonly own: Pick<Own, 'create' | 'get' | 'patchStatus' | 'list' | 'delete'> = {
    get: async (_kind, { name }) => this.objects.get(name),
    create: async (_kind, draft) => {
      this.creates += 1;
      const object = { metadata: { name: draft.name, uid: draft.name, resourceVersion: '1' } } as unknown as OwnObject;
      this.objects.set(draft.name, object);
      this.most = Math.max(this.most, this.objects.size);
      return object;
    },
    patchStatus: async (_kind, { name }, status) => {
      this.patches.push({ name, at: performance.now() });
      const before = this.objects.get(name)!;
      const object = { ...before, status: { ...(before['status'] as object), ...status } } as OwnObject;
      this.objects.set(name, object);
      return object;
    },
    list: async () => [...this.objects.values()],
    delete: async (_kind, { name }) => {
      this.deletes += 1;
      return this.objects.delete(name);
    },
  };

  status(name: string): SessionRecordingStatus {
    return this.objects.get(name)!['status'] as SessionRecordingStatus;
  }

  stored(name: string): string {
    const [condition] = this.status(name).conditions ?? [];
    return `${condition?.status} ${condition?.reason}`;
  }
}

function writer(
  server: CountingServer,
  options: Partial<IndexWriterOptions> = {},
): { index: IndexWriter; full: string[] } {
  const full: string[] = [];
  const index = new IndexWriter({
    own: server.own,
    statusInterval: 60_000,
    maxObjects: 2_000,
    maxAge: 3_600_000,
    stored: () => ({ ok: true, message: '' }),
    onError: (error) => assert.fail(error),
    onFull: (name) => full.push(name),
    ...options,
  });
  return { index, full };
}

const recording = (name: string) => ({ identity: { ...SAMPLE_IDENTITY, name }, counts: NO_COUNTS, seq: 1, hash: 'h' });
/** One of which there is something new whenever it is looked at. */
const busy = (name: string) => {
  let seq = 0;
  return {
    ...recording(name),
    get seq() {
      seq += 1;
      return seq;
    },
  };
};
const sealed = (endTime: string): SessionRecordingStatus => ({ phase: 'Sealed', endTime, counts: NO_COUNTS });

/** A clock that goes only when it is told to. @returns lets so many milliseconds pass */
function clock(context: TestContext): (milliseconds: number) => Promise<void> {
  let now = 1_000_000;
  context.mock.method(performance, 'now', () => now);
  context.mock.timers.enable({ apis: ['setInterval', 'Date'], now: Date.parse('2026-01-02T03:04:05Z') });
  return async (milliseconds) => {
    for (let passed = 0; passed < milliseconds; passed += 100) {
      now += 100;
      context.mock.timers.tick(100);
      for (let round = 0; round < 3; round += 1) await turn();
    }
  };
}

describe('the index of recordings', () => {
  it('ten thousand sessions do not fill etcd: never more objects than the cap, the oldest sealed go first', async () => {
    const server = new CountingServer();
    const { index } = writer(server, { maxObjects: 100, statusInterval: 1_000 });
    index.start();
    for (let number = 0; number < 10_000; number += 1) {
      const one = recording(`r-${number}`);
      index.opened(one);
      index.sealed(one, sealed(new Date(number * 1_000).toISOString()));
    }
    await index.stop(60_000);
    assert.ok(server.most <= 100, `${server.most} at once`);
    const left = [...server.objects.keys()].map((name) => Number(name.slice(2)));
    assert.ok(Math.min(...left) > 9_000, 'what is left is what ended last');
  });

  it('open ones are never taken away: beyond the cap none is made, and that is said', async () => {
    const server = new CountingServer();
    const { index, full } = writer(server, { maxObjects: 20 });
    index.start();
    for (let number = 0; number < 50; number += 1) index.opened(recording(`r-${number}`));
    for (let wait = 0; wait < 100 && full.length < 30; wait += 1) await sleep(100);
    await index.stop(0);
    assert.equal(server.objects.size, 20);
    assert.ok(full.length >= 30);
    assert.equal(server.deletes, 0);
  });

  it('what ended longer ago than maxAge goes, sealed or incomplete; what is younger stays, and what is open whatever its age', async (context) => {
    const pass = clock(context);
    const server = new CountingServer();
    const { index } = writer(server);
    const ago = (milliseconds: number): string => new Date(Date.now() - milliseconds).toISOString();
    const there = (name: string, status: SessionRecordingStatus) =>
      server.objects.set(name, { metadata: { name, uid: name }, status } as unknown as OwnObject);
    there('old', sealed(ago(3_700_000)));
    there('old-incomplete', { ...sealed(ago(3_700_000)), phase: 'Incomplete' });
    there('young', sealed(ago(3_500_000)));
    there('open', { phase: 'Open' });
    index.start();
    await pass(1_000);
    assert.deepEqual([...server.objects.keys()], ['young', 'open']);
    // Nothing starts anew for it: it is looked for once a minute.
    await pass(200_000);
    assert.deepEqual([...server.objects.keys()], ['open']);
  });
});

describe('how often an object is written', () => {
  it('one that changes all the time: when it begins, and once in an interval, a tenth more or less', async (context) => {
    const pass = clock(context);
    let random = 0;
    context.mock.method(Math, 'random', () => random);
    for (const [drawn, from, to] of [
      [0, 54_000, 55_000],
      [0.999, 65_900, 67_000],
    ] as const) {
      const server = new CountingServer();
      const { index } = writer(server);
      random = drawn;
      index.start();
      index.opened(busy('busy'));
      await pass(from - 1_000);
      assert.equal(server.patches.length, 1, `before ${from} ms`);
      await pass(140_000);
      const [first, second, third] = server.patches.map(({ at }) => at);
      for (const apart of [second! - first!, third! - second!]) {
        assert.ok(apart >= from && apart <= to + 1_000, `${apart} ms`);
      }
      assert.equal(server.creates, 1);
    }
  });

  it('those of many that began at once do not come at once again', async (context) => {
    const pass = clock(context);
    const server = new CountingServer();
    const { index } = writer(server);
    index.start();
    for (let number = 0; number < 200; number += 1) index.opened(busy(`r-${number}`));
    await pass(53_000);
    assert.equal(server.patches.length, 200);
    await pass(15_000);
    const second = server.patches.slice(200);
    assert.equal(second.length, 200);
    assert.ok(mostInASecond(second) < 60, `spread over twelve seconds, and ${mostInASecond(second)} in one`);
  });

  it('one of which nothing changes is not written again', async (context) => {
    const pass = clock(context);
    const server = new CountingServer();
    const { index } = writer(server);
    index.start();
    index.opened(recording('idle'));
    await pass(200_000);
    assert.equal(server.patches.length, 1);
  });
});

function mostInASecond(patches: readonly { readonly at: number }[]): number {
  const bySecond = new Map<number, number>();
  for (const { at } of patches) bySecond.set(Math.floor(at / 1_000), (bySecond.get(Math.floor(at / 1_000)) ?? 0) + 1);
  return Math.max(...bySecond.values());
}

describe('the condition Stored', () => {
  it('turns False within seconds of the store’s end, with reason and message, and True again; nothing else is written', async (context) => {
    const pass = clock(context);
    const server = new CountingServer();
    let store = { ok: true, message: '' };
    const { index } = writer(server, { stored: () => store });
    index.start();
    index.opened(recording('one'));
    index.opened(recording('two'));
    await pass(20_000);
    const before = server.status('one').conditions![0]!;
    assert.equal(server.stored('one'), 'True Storing');
    store = { ok: false, message: `the store does not take what is recorded: ${'x'.repeat(2_000)}` };
    await pass(11_000);
    const after = server.status('one').conditions![0]!;
    assert.deepEqual([server.stored('one'), server.stored('two')], new Array(2).fill('False StoreUnavailable'));
    assert.match(after.message!, /^the store does not take what is recorded: x+$/);
    assert.equal(after.message!.length, 1_024);
    assert.ok(Date.parse(after.lastTransitionTime!) >= Date.parse(before.lastTransitionTime!) + 19_000);
    await pass(100_000);
    assert.equal(server.patches.length, 4, 'that it is still down is no news');
    store = { ok: true, message: '' };
    await pass(11_000);
    assert.deepEqual([server.stored('one'), server.stored('two')], new Array(2).fill('True Storing'));
    assert.equal(server.patches.length, 6);
  });

  it('of two thousand open recordings: no stampede, and none later than its interval', async (context) => {
    const pass = clock(context);
    const server = new CountingServer();
    let ok = true;
    const { index } = writer(server, { stored: () => ({ ok, message: '' }) });
    index.start();
    for (let number = 0; number < 2_000; number += 1) index.opened(recording(`r-${number}`));
    await pass(90_000);
    const written = server.patches.length;
    assert.equal(written, 2_000);
    ok = false;
    await pass(67_000);
    const turns = server.patches.slice(written);
    assert.equal(new Set(turns.map(({ name }) => name)).size, 2_000);
    assert.equal(turns.length, 2_000);
    assert.ok(mostInASecond(turns) < 120, `${mostInASecond(turns)} in a second`);
  });

  it('a store that comes and goes has no object written more often than every five seconds', async (context) => {
    const pass = clock(context);
    const server = new CountingServer();
    let ok = true;
    const { index } = writer(server, { stored: () => ({ ok, message: '' }) });
    index.start();
    index.opened(recording('one'));
    for (let turns = 0; turns < 100; turns += 1) {
      await pass(3_000);
      ok = !ok;
    }
    const at = server.patches.map((patch) => patch.at);
    assert.ok(at.length > 5);
    for (const [index, time] of at.slice(1).entries()) assert.ok(time - at[index]! >= 5_000, `${time - at[index]!} ms`);
  });

  it('of a sealed recording it is True, whatever the object said before: nothing is written to it any more', async (context) => {
    const pass = clock(context);
    const server = new CountingServer();
    let ok = false;
    const { index } = writer(server, { stored: () => ({ ok, message: 'down' }) });
    index.start();
    const one = recording('one');
    index.opened(one);
    await pass(11_000);
    assert.equal(server.stored('one'), 'False StoreUnavailable');
    ok = true;
    index.sealed(one, sealed(new Date().toISOString()));
    await pass(1_000);
    assert.equal(server.status('one').phase, 'Sealed');
    assert.equal(server.stored('one'), 'True Sealed');
  });
});
