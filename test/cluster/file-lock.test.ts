import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { withFileLock } from './file-lock.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-lock-'));
after(() => rmSync(folder, { recursive: true, force: true }));

test('only one holds the lock, and those who wait say so', async () => {
  const path = join(folder, 'one');
  const said: string[] = [];
  let inside = 0;
  let most = 0;
  const work = async () => {
    inside++;
    most = Math.max(most, inside);
    await sleep(50);
    inside--;
  };
  await Promise.all([1, 2, 3].map(() => withFileLock(path, 'a test', (line) => said.push(line), work)));
  assert.equal(most, 1);
  assert.match(said.join('\n'), new RegExp(`waiting for process ${process.pid}, which is busy with a test`));
  assert.deepEqual(readdirSync(folder), []);
});

test('a lock whose holder has died is taken over', async () => {
  const path = join(folder, 'stale');
  // This very process, as it would look if its pid had belonged to an earlier one.
  const record = JSON.stringify({ name: 'a build', pid: process.pid, startTime: 'long ago' });
  writeFileSync(path, record);
  writeFileSync(`${path}.${process.pid}.killed`, record);
  assert.equal(
    await withFileLock(
      path,
      'a test',
      () => undefined,
      async () => 'done',
    ),
    'done',
  );
  assert.equal(existsSync(path), false);
  assert.deepEqual(readdirSync(folder), []);
});

test('a lock file that says nothing is taken over', async () => {
  const path = join(folder, 'empty');
  writeFileSync(path, '');
  assert.equal(
    await withFileLock(
      path,
      'a test',
      () => undefined,
      async () => 'done',
    ),
    'done',
  );
});

test('work that fails gives the lock back', async () => {
  const path = join(folder, 'failing');
  const failing = withFileLock(
    path,
    'a test',
    () => undefined,
    async () => {
      throw new Error('no');
    },
  );
  await assert.rejects(failing, /^Error: no$/);
  assert.equal(existsSync(path), false);
});
