import assert from 'node:assert/strict';
import { test } from 'node:test';
import { execute } from './stage.ts';

test('the story plays to its end, and every scene says what it should', { timeout: 180_000 }, async () => {
  const main = new URL('main.ts', import.meta.url).pathname;
  const { code, stdout, stderr } = await execute(process.execPath, [main], { KEEP: '0', NO_COLOR: '1' });
  assert.equal(code, 0, `${stdout}\n${stderr}`);
  assert.match(stdout, /That was the story, in \d+ s/);
});
