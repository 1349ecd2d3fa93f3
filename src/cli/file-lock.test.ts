import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { withLock } from './file-lock.ts';

let folder: string;
let lock: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sallyport-lock-'));
  lock = join(folder, 'lock');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test('one at a time, and nothing is left behind', async () => {
  let inside = 0;
  let most = 0;
  await Promise.all(
    Array.from({ length: 20 }, () =>
      withLock(lock, 30_000, async () => {
        most = Math.max(most, ++inside);
        await sleep(3);
        inside--;
      }),
    ),
  );
  assert.equal(most, 1);
  assert.deepEqual(readdirSync(folder), []);
});

test('released when the work fails', async () => {
  await assert.rejects(
    withLock(lock, 1_000, async () => {
      throw new Error('failed');
    }),
    /failed/,
  );
  assert.equal(await withLock(lock, 1_000, async () => 'again'), 'again');
});

test('a lock whose holder has died is taken over at once', async () => {
  const child = spawn(process.execPath, ['-e', '']);
  await new Promise((resolve) => child.once('exit', resolve));
  writeFileSync(lock, String(child.pid));
  const started = performance.now();
  await withLock(lock, 10_000, async () => undefined);
  assert.ok(performance.now() - started < 2_000);
});

test('a lock that nobody has touched for long is taken over, though its process id lives (again)', async () => {
  writeFileSync(lock, String(process.pid));
  const past = new Date(Date.now() - 60_000);
  utimesSync(lock, past, past);
  await withLock(lock, 2_000, async () => undefined);
});

test('a living holder is waited for, not longer than said', async () => {
  writeFileSync(lock, String(process.pid));
  await assert.rejects(
    withLock(lock, 200, async () => undefined),
    /another process holds/,
  );
  assert.deepEqual(readdirSync(folder), ['lock']);
});
