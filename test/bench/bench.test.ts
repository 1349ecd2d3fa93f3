import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { planOf } from './plan.ts';
import { median, medianRatio, quantile } from './quantile.ts';

const LINUX = process.platform === 'linux';

function bench(env: Record<string, string>): Promise<{ code: number; stdout: string; stderr: string }> {
  const main = fileURLToPath(new URL('main.ts', import.meta.url));
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [main],
      { env: { ...process.env, ...env }, timeout: 300_000 },
      (error, stdout, stderr) => {
        resolve({ code: typeof error?.code === 'number' ? error.code : error === null ? 0 : -1, stdout, stderr });
      },
    );
  });
}

test('quantiles, and ratios within a round', () => {
  const hundred = Array.from({ length: 100 }, (_, index) => 100 - index);
  assert.equal(quantile(hundred, 0.5), 50);
  assert.equal(quantile(hundred, 0.99), 99);
  assert.equal(quantile(hundred, 1), 100);
  assert.ok(Number.isNaN(quantile([], 0.5)));
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 2, 3]), 2.5);
  // Twice as slow in each round, whatever else slowed that round down.
  assert.equal(medianRatio([2, 20, 200], [1, 10, 100]), 2);
  assert.equal(medianRatio([2, Number.NaN, 6], [1, 5, 3]), 2);
});

test('a part that does not exist is refused', async () => {
  assert.throws(() => planOf({ BENCH_ONLY: 'get,lists' }, ['get', 'list']), /lists is none of/);
  const { code, stderr } = await bench({ BENCH_ONLY: 'nothing' });
  assert.equal(code, 1);
  assert.match(stderr, /nothing is none of/);
});

test('what takes long runs only when it is named', () => {
  assert.deepEqual([...planOf({}, ['get', 'soak'], ['soak']).keys], ['get']);
  assert.deepEqual([...planOf({ BENCH_ONLY: 'soak' }, ['get', 'soak'], ['soak']).keys], ['soak']);
});

test('a short soak: no request fails, all of its recordings verify, and memory is told', {
  skip: LINUX ? false : 'reads /proc',
  timeout: 300_000,
}, async () => {
  const { code, stdout, stderr } = await bench({ QUICK: '1', BENCH_ONLY: 'soak' });
  assert.equal(code, 0, stderr);
  assert.match(stdout, /no request fails +0 of \d{2,} +PASS/, stdout);
  const [, recordings = '0', lines = '0'] = /\n +[\d,]+ +0 +[\d.]+ +[\d.]+ +([\d,]+) +([\d,]+)\n/.exec(stdout) ?? [];
  assert.ok(Number(recordings) >= 10 && Number(lines.replaceAll(',', '')) > 500, stdout);
  assert.match(stdout, /lives +[\d.]+ MiB +[\d.]+ MiB +[\d.]+ MiB/);
});

test('the small GET is measured through every way', {
  skip: LINUX ? false : 'reads /proc',
  timeout: 300_000,
}, async () => {
  const { code, stdout, stderr } = await bench({ QUICK: '1', BENCH_ONLY: 'get' });
  assert.equal(code, 0, stderr);
  const row = (name: string): string[] => {
    const line = stdout.split('\n').find((one) => one.trimStart().startsWith(`${name}  `));
    assert.ok(line, `no row of ${name}:\n${stdout}`);
    return line.trim().split(/\s{2,}/);
  };
  for (const name of ['kubectl proxy', 'gateway, 1 policy', 'gateway, default masks', 'gateway, 200 policies']) {
    const cells = row(name);
    assert.ok(Number(cells[2]) > 0, `${name} took no CPU: ${cells}`);
    assert.equal(cells.at(-1), '0', `requests failed: ${cells}`);
  }
  assert.match(row('direct')[5]!, /^\d+\.\d+ in all$/);
  assert.match(stdout, /(PASS|MISS)/);
  assert.match(stdout, /docs\/benchmarks\.md is left as it is/);
});
