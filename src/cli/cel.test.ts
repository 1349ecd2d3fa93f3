import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { readCelCases, runCelCase, runCelCases } from './cel.ts';

const folder = fileURLToPath(new URL('../../test/cel/', import.meta.url));
const known = JSON.parse(await readFile(join(folder, 'known.json'), 'utf8')) as Record<string, string>;

for (const file of ['cases.jsonl', 'further-cases.jsonl']) {
  test(`every case of ${file} is answered as Kubernetes answers it, or is named`, async () => {
    const { cases, objects } = await readCelCases(join(folder, file));
    assert.ok(cases.length > 100);
    const failing = cases.filter((c) => !runCelCase(c, objects).passed).map((c) => c.id);
    assert.deepEqual(
      failing.filter((id) => !(id in known)),
      [],
    );
  });

  test(`the cost of the cases of ${file} is that of Kubernetes`, async () => {
    const { cases, objects } = await readCelCases(join(folder, file));
    const other: string[] = [];
    for (const c of cases) {
      const { cost } = runCelCase(c, objects);
      if (cost !== undefined && c.cost !== undefined && cost !== c.cost && !(`cost ${c.id}` in known)) other.push(c.id);
    }
    assert.deepEqual(other, []);
  });
}

describe('the report of `sallyport cel`', () => {
  let dir = '';
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'sallyport-cel-'));
  });
  after(() => rm(dir, { recursive: true }));

  async function report(...cases: object[]): Promise<{ code: number; lines: string[] }> {
    const file = join(dir, 'cases.jsonl');
    await writeFile(file, cases.map((c) => JSON.stringify(c)).join('\n'));
    const lines: string[] = [];
    return { code: await runCelCases(file, (line) => lines.push(line)), lines };
  }

  test('names a failing case and closes with the sums', async () => {
    const { code, lines } = await report(
      { id: 'right', group: 'g', expression: '1 + 1', expect: { value: { int: '2' }, type: 'int' } },
      { id: 'wrong-value', group: 'g', expression: '1 + 1', expect: { value: { int: '3' }, type: 'int' } },
      { id: 'wrong-type', group: 'g', quirk: true, expression: '2.0', expect: { value: { double: '2' }, type: 'int' } },
      { id: 'wrong-error', group: 'g', expression: '1 / 0', expect: { error: 'compile' } },
    );
    assert.equal(code, 1);
    assert.match(lines.join('\n'), /FAIL wrong-value.*FAIL wrong-type.*FAIL wrong-error/s);
    assert.ok(lines.includes('g: 1 passed, 2 failed') && lines.includes('g (quirks): 0 passed, 1 failed'));
    assert.equal(lines.at(-1), '1 passed, 3 failed');
  });

  test('an expression over its budget must stop, not answer', async () => {
    const heavy = 'lists.range(1000).all(i, lists.range(1000).all(j, i + j >= 0))';
    const small = 'lists.range(3).all(i, i >= 0)';
    const expect = { value: true, type: 'bool' };
    const { lines } = await report(
      { id: 'stops', group: 'heavy', expression: heavy, expect, budget: true },
      { id: 'answers', group: 'heavy', expression: small, expect, budget: true },
    );
    assert.equal(lines.at(-1), '1 passed, 1 failed');
  });

  test('2 and 2.0 of a case are an int and a double', async () => {
    const line = { id: 'n', group: 'g', expression: 'type(params.a) == int && type(params.b) == double' };
    const file = join(dir, 'numbers.jsonl');
    await writeFile(
      file,
      `${JSON.stringify({ ...line, expect: { value: true, type: 'bool' } }).slice(0, -1)},"vars":{"params":{"a":2,"b":2.0}}}`,
    );
    assert.equal(await runCelCases(file, () => {}), 0);
  });
});
