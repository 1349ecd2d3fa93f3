import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { glob } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';

const ROOT = new URL('../../', import.meta.url).pathname;

test('every link of every page leads somewhere', async () => {
  const broken: string[] = [];
  for await (const page of glob(['*.md', 'docs/**/*.md', 'test/**/*.md', 'charts/**/*.md'], { cwd: ROOT })) {
    const text = readFileSync(join(ROOT, page), 'utf8').replace(/```[\s\S]*?```/g, '');
    for (const [, target] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target!)) continue;
      const [path, anchor] = target!.split('#', 2);
      const file = path === '' ? join(ROOT, page) : join(ROOT, dirname(page), path!);
      if (!existsSync(file)) broken.push(`${page}: ${target}`);
      else if (anchor !== undefined && !anchors(file).has(anchor)) broken.push(`${page}: ${target}`);
    }
  }
  assert.deepEqual(broken, []);
});

test('pages speak of the product alone: no path of a machine in them', async () => {
  for await (const page of glob(['*.md', 'docs/**/*.md'], { cwd: ROOT })) {
    assert.doesNotMatch(readFileSync(join(ROOT, page), 'utf8'), /\/(root|home|work)\//, page);
  }
});

/** As GitHub makes them from headings. */
function anchors(file: string): Set<string> {
  const headings = readFileSync(file, 'utf8').matchAll(/^#+ (.*)$/gm);
  return new Set(
    [...headings].map(([, heading]) =>
      heading!
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\- ]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );
}
