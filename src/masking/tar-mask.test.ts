import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import fc from 'fast-check';
import { recognizerFor } from './default-plan.ts';
import { DEFAULT_FAMILIES } from './detector.ts';
import { MARKER } from './marker.ts';
import { TarMask } from './tar-mask.ts';

const recognizer = recognizerFor(DEFAULT_FAMILIES);
const token = `ghp_${randomBytes(18).toString('hex')}`;
const password = randomBytes(4).toString('hex');
const key = `-----BEGIN ${'PRIVATE KEY'}-----\n${randomBytes(600).toString('base64').replace(/.{64}/g, '$&\n')}\n-----END ${'PRIVATE KEY'}-----\n`;

function mask(bytes: Buffer, cuts: readonly number[] = [], strict = true): Buffer {
  const by = new TarMask(recognizer, () => `${MARKER}${'a'.repeat(26)}`, strict);
  const out: Buffer[] = [];
  let from = 0;
  for (const to of [...[...cuts].sort((a, b) => a - b), bytes.length]) {
    out.push(by.write(bytes.subarray(from, to)));
    from = to;
  }
  out.push(by.end());
  return Buffer.concat(out);
}

suite('masking an archive as it passes', () => {
  let folder = '';
  let archive = Buffer.alloc(0);
  const random = randomBytes(70_000);
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'sallyport-tar-'));
    const from = join(folder, 'from');
    const deep = join(from, ...Array.from({ length: 12 }, (_, i) => `a-long-name-of-a-folder-${i}`));
    mkdirSync(deep, { recursive: true });
    writeFileSync(join(deep, 'app.env'), `LEVEL=info\nGITHUB_TOKEN=${token}\nDB_PASSWORD=${password}`);
    writeFileSync(join(from, 'tls.key'), `${key}after\n`);
    writeFileSync(join(from, 'random'), random);
    writeFileSync(join(from, 'empty'), '');
    symlinkSync('tls.key', join(from, 'link'));
    archive = execFileSync('tar', ['cf', '-', '-C', from, '.'], { maxBuffer: 1 << 26 });
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  test('tar reads it, every file has its length, and no secret is in it', () => {
    const masked = mask(archive);
    assert.equal(masked.length, archive.length);
    const to = mkdtempSync(join(folder, 'to-'));
    execFileSync('tar', ['xf', '-', '-C', to], { input: masked });
    for (const secret of [token, password, key.split('\n')[3]!]) assert.ok(!masked.includes(secret));
    assert.deepEqual(readFileSync(join(to, 'random')), random);
    assert.equal(readFileSync(join(to, 'tls.key')).length, key.length + 6);
    assert.match(readFileSync(join(to, 'tls.key'), 'latin1'), /^[*\n]+\nafter\n$/);
    const env = readdirSync(to, { recursive: true, encoding: 'utf8' }).find((name) => name.endsWith('app.env'))!;
    assert.match(readFileSync(join(to, env), 'latin1'), /^LEVEL=info\nGITHUB_TOKEN=\*{40}\nDB_PASSWORD=\*{8}$/);
  });

  test('however it is cut, what comes out is the same', () => {
    const whole = mask(archive);
    fc.assert(
      fc.property(fc.array(fc.nat(archive.length), { maxLength: 40 }), (cuts) => {
        assert.deepEqual(mask(archive, cuts), whole);
      }),
      { numRuns: 30 },
    );
  });

  test('an archive that is cut off comes as far as it came', () => {
    for (const length of [100, 700, 5_000, archive.length - 5_000]) {
      assert.equal(mask(archive.subarray(0, length)).length, length);
    }
  });

  test('what is no archive is refused where a rule demands, and else keeps its length', () => {
    const other = Buffer.concat([Buffer.from([0x1f, 0x8b]), randomBytes(2_000)]);
    assert.throws(() => mask(other), /no tar archive/);
    assert.deepEqual(mask(other, [], false), other);
    const text = Buffer.from(`${'x'.repeat(600)} ${token}\n`);
    const masked = mask(text, [], false);
    assert.equal(masked.length, text.length);
    assert.ok(!masked.includes(token));
  });

  test('sizes that lie do not make anything pass unmasked', () => {
    const lying = Buffer.from(archive);
    // A size far beyond what follows: all of it is the file's, and masked as such.
    const at = archive.indexOf('./tls.key');
    lying.write('77777777777\0', at + 124, 'latin1');
    let sum = 256;
    for (let i = 0; i < 512; i++) if (i < 148 || i >= 156) sum += lying[at + i]!;
    lying.write(`${sum.toString(8).padStart(6, '0')}\0 `, at + 148, 'latin1');
    const masked = mask(lying);
    assert.equal(masked.length, lying.length);
    assert.ok(!masked.includes(key.split('\n')[3]!));
  });
});
