import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Worker } from 'node:worker_threads';
import { bundle } from '../../image/bundle.ts';

/** What the image runs, without the image. */
describe('the bundle', { timeout: 120_000 }, () => {
  let folder: string;
  before(async () => {
    folder = join(mkdtempSync(join(tmpdir(), 'sallyport-bundle-')), 'app');
    await bundle(folder);
  });
  after(() => rm(join(folder, '..'), { recursive: true, force: true }));

  it('has the thread of diffs where the gateway looks for it, and it answers', async () => {
    const parts = readdirSync(join(folder, 'parts')).filter((name) => name.endsWith('.mjs'));
    const starts = parts.filter((name) => readFileSync(join(folder, 'parts', name), 'utf8').includes('./diff-thread'));
    assert.equal(starts.length, 1, 'one part starts it, and that is beside it');
    const thread = join(folder, 'parts', 'diff-thread.mjs');
    assert.ok(existsSync(thread));
    const worker = new Worker(thread);
    try {
      const answer = new Promise<{ text: string }>((resolve, reject) => {
        worker.once('message', resolve);
        worker.once('error', reject);
      });
      worker.postMessage({ before: '{"a":1}', after: '{"a":2}', masked: undefined });
      assert.match((await answer).text, /\+a: 2/);
    } finally {
      await worker.terminate();
    }
  });

  it('names no file of the sources', () => {
    for (const name of [...readdirSync(folder), ...readdirSync(join(folder, 'parts')).map((part) => `parts/${part}`)]) {
      if (!name.endsWith('.mjs')) continue;
      const text = readFileSync(join(folder, name), 'utf8');
      for (const [, file] of text.matchAll(/new URL\(["'`](\.[^"'`$]*)["'`],\s*import\.meta\.url\)/g)) {
        assert.ok(existsSync(join(folder, name, '..', file!)), `${name}: ${file}`);
      }
    }
  });
});
