import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { STORAGE_CASES } from './cases.ts';
import { FilesystemStorage } from './filesystem.ts';
import { temporaryName } from './temporaries.ts';

const root = mkdtempSync(join(tmpdir(), 'sallyport-storage-'));
after(() => rmSync(root, { recursive: true, force: true }));

for (const [index, { name, run }] of STORAGE_CASES.entries()) {
  test(`in a folder: ${name}`, async () => {
    const storage = new FilesystemStorage(root);
    await run(storage, { folder: `recordings/case-${index}/`, retainUntil: Date.now() + 3_600_000 });
    await storage.close();
  });
}

test('in a folder: what writers left that were killed goes when it is old, and nothing else does', async () => {
  const folder = mkdtempSync(join(root, 'left-'));
  const elsewhere = mkdtempSync(join(root, 'elsewhere-'));
  mkdirSync(join(folder, 'recordings/one/000001.jsonl.zst.open'), { recursive: true });
  const left = ['recordings/one', 'recordings/one/000001.jsonl.zst.open', ''].map((at) =>
    join(folder, at, temporaryName()),
  );
  const others = ['recordings/one/manifest.json', 'recordings/one/.tmp-mine'].map((at) => join(folder, at));
  const linked = join(elsewhere, temporaryName());
  for (const path of [...left, ...others, linked]) writeFileSync(path, 'x');
  symlinkSync(elsewhere, join(folder, 'recordings/link'));
  // Killed between the time of its retention and its name.
  utimesSync(left[0]!, new Date(), new Date(Date.now() + 1_000_000_000));
  const there = (): boolean[] => [...left, ...others, linked].map((path) => existsSync(path));
  await new FilesystemStorage(folder).removeTemporaries();
  assert.deepEqual(there(), [true, true, true, true, true, true]);
  await new FilesystemStorage(folder, { temporaryFor: -60_000 }).removeTemporaries();
  assert.deepEqual(there(), [false, false, false, true, true, true]);
});
