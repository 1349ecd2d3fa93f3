import assert from 'node:assert/strict';
import { it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Informer, InformerHandlers } from '../kubernetes/informer.ts';
import type { Logger } from '../observe/log.ts';
import { CompiledSet } from './compiled-set.ts';

const log = { error() {} } as unknown as Logger;

/** What an informer is to a set: objects, their age, and the calls by which it tells of them. */
class Source {
  readonly objects: string[] = [];
  milliseconds = 0;
  handlers: InformerHandlers<string> = {};
  readonly name: string;

  constructor(name = 'Thing') {
    this.name = name;
  }

  start(): void {}
  async stop(): Promise<void> {}
  async whenSynced(): Promise<void> {}
  age(): number {
    return this.milliseconds;
  }
  values(): string[] {
    return this.objects;
  }
  put(object: string): void {
    this.objects.push(object);
    this.handlers.add?.(object);
    this.handlers.settled?.();
  }
}

function setOf(source: Source, beside: Source[] = []) {
  const sets: string[] = [];
  const set = new CompiledSet<string, string>({
    what: 'things',
    code: 'SP_POLICY_NOT_LOADED',
    staleAfter: 1_000,
    log,
    watch(handlers) {
      source.handlers = handlers;
      return source as unknown as Informer<string>;
    },
    beside: beside as unknown as Informer<unknown>[],
    compile(objects) {
      if (objects.includes('poison')) throw new Error('no');
      return objects.join(' ');
    },
    inForce: (one) => void sets.push(one),
  });
  return { set, sets };
}

const refused = (message: RegExp) => (error: Error) => {
  assert.equal((error as Error & { code: string }).code, 'SP_POLICY_NOT_LOADED');
  assert.match(error.message, message);
  return true;
};

async function until(condition: () => boolean): Promise<void> {
  for (let attempt = 0; attempt < 500 && !condition(); attempt++) await sleep(5);
  assert.ok(condition());
}

it('gives nothing before all is loaded; what comes in one burst is compiled once', async () => {
  const source = new Source();
  const { set, sets } = setOf(source);
  source.put('a');
  assert.throws(() => set.current(), refused(/the things are not loaded yet: nothing passes meanwhile/));
  await set.start();
  assert.equal(set.current(), 'a');
  for (const object of ['b', 'c', 'd']) source.put(object);
  assert.equal(set.current(), 'a');
  await until(() => sets.length > 1);
  assert.deepEqual(sets, ['a', 'a b c d']);
  assert.equal(set.current(), 'a b c d');
  await set.stop();
});

it('gives nothing while what was written cannot be compiled, until it can', async () => {
  const source = new Source();
  const { set, sets } = setOf(source);
  await set.start();
  source.put('poison');
  await until(() => set.check() !== true);
  assert.throws(() => set.current(), refused(/the things could not be compiled/));
  source.objects.length = 0;
  source.put('good');
  await until(() => set.check() === true);
  assert.deepEqual(sets, ['', 'good']);
  await set.stop();
});

it('gives nothing while any of its watches is stale, and takes in what was missed before anything passes again', async () => {
  const source = new Source();
  const beside = new Source('Other');
  const { set } = setOf(source, [beside]);
  await set.start();
  beside.milliseconds = 1_001;
  assert.throws(() => set.current(), refused(/the watch on Other objects is stale/));
  beside.milliseconds = 0;
  source.milliseconds = 1_001;
  assert.throws(() => set.current(), refused(/the watch on Thing objects is stale/));
  source.put('missed');
  source.milliseconds = 0;
  assert.equal(set.current(), 'missed');
  await set.stop();
});
