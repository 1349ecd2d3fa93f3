import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { Manifest } from '../../recording/manifest.ts';
import { SealedIndex } from './sealed-index.ts';

const manifest = (name: string): Manifest => ({ recording: { name }, lines: 3, counts: {} }) as Manifest;

/** A store that answers when it is told to. */
function slowStore() {
  const asked: PromiseWithResolvers<Buffer>[] = [];
  const storage = {
    locator: 'file:///store/',
    get: async function* () {
      const answer = Promise.withResolvers<Buffer>();
      asked.push(answer);
      yield await answer.promise;
    },
  };
  const said: string[] = [];
  const warned: unknown[] = [];
  const index = { sealed: ({ identity }: { identity: { name: string } }) => void said.push(identity.name) };
  const log = { warn: (what: unknown) => void warned.push(what) };
  return { asked, said, warned, index: new SealedIndex(storage as never, index as never, log as never) };
}

test('whoever stops waits for what is still being looked up', async () => {
  const { asked, said, index, warned } = slowStore();
  index.sealed(manifest('a'), 'A');
  let settled = false;
  const settling = index.settle().then(() => {
    settled = true;
  });
  for (let turns = 0; turns < 5; turns += 1) await turn();
  assert.deepEqual([settled, asked.length], [false, 1]);
  // Another one, while it waits.
  index.sealed(manifest('b'), 'B');
  asked[0]!.reject(new Error('the store is down'));
  for (let turns = 0; turns < 5; turns += 1) await turn();
  assert.deepEqual([settled, warned.length], [false, 1]);
  asked[1]!.reject(new Error('the store is down'));
  await settling;
  assert.deepEqual([said, warned.length], [[], 2]);
});

test('of a chain the index says nothing, and there is nothing to wait for', async () => {
  const { asked, index } = slowStore();
  index.sealed(manifest('a.chain'), 'A');
  await index.settle();
  assert.equal(asked.length, 0);
});
