import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { runMask } from './mask-command.ts';

suite('sallyport mask', () => {
  let folder = '';
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'sallyport-mask-'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  async function run(...args: string[]) {
    let out = '';
    let err = '';
    const io = { stdout: (text: string) => void (out += text), stderr: (text: string) => void (err += text), env: {} };
    return { code: await runMask(args, io), out: () => out, err: () => err };
  }

  test('masks a file, and explains without the value', async () => {
    const file = join(folder, 'secret.json');
    writeFileSync(file, '{"kind":"Secret","data":{"a":"dHdvIHdvcmRz"}}');
    const { code, out, err } = await run(file, '--explain');
    assert.equal(code, 0);
    assert.ok(!out().includes('dHdvIHdvcmRz'));
    assert.equal(err(), '1\tdefault-structure\tfield\tdata.a\n');
  });

  test('--tree masks streams by channel, and rules apply', async () => {
    const rules = join(folder, 'rules.yaml');
    writeFileSync(
      rules,
      'kind: MaskingRule\nmetadata: {name: n}\nspec: {subjects: [{kind: Group, name: g}], ' +
        'match: {apiGroups: ["*"], resources: ["*/*"]}, patterns: [{name: acme, regex: "acme-[0-9]+"}]}\n',
    );
    const input = mkdtempSync(join(folder, 'in-'));
    const frame = (channel: number, text: string) =>
      JSON.stringify({ channel, base64: Buffer.from(text).toString('base64') });
    writeFileSync(join(input, 'a.jsonl'), `${frame(1, 'acme-1')}\n${frame(2, 'x')}\n${frame(1, '23 ok\n')}\n`);
    const output = join(folder, 'out');
    assert.equal((await run('--tree', input, output, '--rules', rules)).code, 0);
    const frames = readFileSync(join(output, 'a.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { channel: number; base64: string });
    const text = frames
      .filter(({ channel }) => channel === 1)
      .map(({ base64 }) => Buffer.from(base64, 'base64').toString())
      .join('');
    assert.match(text, /^sallyport\.masked\.[a-z2-7]{26} ok\n$/);
  });

  test('a rule that does not compile, a body that cannot be read and wrong arguments are failures', async () => {
    const rules = join(folder, 'broken.yaml');
    writeFileSync(rules, 'kind: MaskingRule\nmetadata: {name: n}\nspec: {fields: [{path: "a..b"}]}\n');
    const file = join(folder, 'cut.json');
    writeFileSync(file, '{"kind":"Secret","data":{"a":"dHdv');
    const broken = await run(file, '--rules', rules);
    assert.equal(broken.code, 1);
    assert.match(broken.err(), /spec\.fields\[0\]\.path \(column 3\)/);
    const cut = await run(file);
    assert.equal(cut.code, 1);
    assert.equal(cut.out(), '');
    assert.equal((await run()).code, 2);
    assert.equal((await run('--tree', folder)).code, 2);
  });
});
