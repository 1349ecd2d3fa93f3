import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { STORAGE_CASES } from './cases.ts';
import { FilesystemStorage } from './filesystem.ts';

const root = mkdtempSync(join(tmpdir(), 'sallyport-storage-'));
after(() => rmSync(root, { recursive: true, force: true }));

for (const [index, { name, run }] of STORAGE_CASES.entries()) {
  test(`in a folder: ${name}`, async () => {
    const storage = new FilesystemStorage(root);
    await run(storage, { folder: `recordings/case-${index}/`, retainUntil: Date.now() + 3_600_000 });
    await storage.close();
  });
}
