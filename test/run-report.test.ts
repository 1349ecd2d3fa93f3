import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { test } from 'node:test';
import type { RunReport } from './run-report.ts';

const TESTS = `
import { describe, it, test } from 'node:test';
test('runs', () => {});
test('cannot', { skip: 'no such program' }, () => {});
test('finds out', async (t) => { await 0; t.skip('no such program'); });
describe('nobody', { skip: 'needs root' }, () => { it('in it', () => {}); });
describe('some', () => { it('one', (t) => t.skip()); it('two', () => {}); it('three', { skip: false }, () => {}); });
test('fails', (t) => { t.skip('too late'); throw new Error('on purpose'); });
`;

test('what failed is named, and what skipped itself, with its reason, however it did', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'run-report-'));
  try {
    const file = join(folder, 'some.test.mjs');
    writeFileSync(file, TESTS);
    const reporter = new URL('run-report.ts', import.meta.url).href;
    const said = await new Promise<string>((resolve) => {
      const { NODE_TEST_CONTEXT: _, ...env } = process.env;
      // As the run calls it: forced to exit, it still has to say all.
      const out = join(folder, 'said');
      const reporting = ['--test-reporter=spec', '--test-reporter-destination=stdout'];
      const skipping = [`--test-reporter=${reporter}`, `--test-reporter-destination=${out}`];
      const args = [
        '--disable-warning=ExperimentalWarning',
        '--test',
        '--test-force-exit',
        ...reporting,
        ...skipping,
        file,
      ];
      execFile(process.execPath, args, { env }, () => resolve(readFileSync(out, 'utf8')));
    });
    const name = relative(process.cwd(), file);
    const reports = said.trim().split('\n');
    assert.deepEqual(
      reports.map((line) => JSON.parse(line) as RunReport),
      [
        { failed: name },
        { skipped: `2 of ${name} (“cannot”, “finds out”): no such program` },
        { skipped: `1 of ${name} (“nobody”): needs root` },
        { skipped: `1 of ${name} (“one”): it does not say why` },
      ],
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});
