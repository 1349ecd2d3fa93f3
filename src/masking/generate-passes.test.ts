import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { generated } from './generate-passes.ts';

test('the passes in WebAssembly are what their sources say', async () => {
  for (const [file, text] of await generated()) {
    assert.equal(readFileSync(new URL(file, import.meta.url), 'utf8'), text, 'run `npm run generate`');
  }
});
