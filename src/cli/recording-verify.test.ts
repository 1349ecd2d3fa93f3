import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { SAMPLE_IDENTITY, sampleRecording } from '../recording/cases/sample-recording.ts';
import { newSigningKey, publicPEM, readSigningKey } from '../recording/signing-key.ts';
import { runVerify } from './recording-verify.ts';

const key = readSigningKey(newSigningKey());
const NAME = SAMPLE_IDENTITY.name;
let store: string;
let folder: string;

beforeEach(async () => {
  store = mkdtempSync(join(tmpdir(), 'store-'));
  folder = join(store, 'recordings', NAME);
  mkdirSync(folder, { recursive: true });
  mkdirSync(join(store, 'keys'));
  for (const [name, bytes] of (await sampleRecording(key)).files) writeFileSync(join(folder, name), bytes);
  writeFileSync(join(store, 'keys', `${key.id}.pem`), publicPEM(key));
});
afterEach(() => rmSync(store, { recursive: true }));

async function run(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const output = { stdout: '', stderr: '' };
  const io = {
    stdout: (text: string) => void (output.stdout += text),
    stderr: (text: string) => void (output.stderr += text),
    env: {},
  };
  return { code: await runVerify(args, io), ...output };
}

test('a recording is verified by name, by its folder, and with its whole store', async () => {
  for (const args of [[NAME, '--store', store], [folder], [store]]) {
    const { code, stdout, stderr } = await run(...args);
    assert.equal(code, 0, stdout + stderr);
    assert.match(stdout, new RegExp(`^SOUND    ${NAME}: 3 segments, 52 lines, \\d+ bytes, signed by ${key.id}\n$`));
    assert.match(stderr, /the keys are those that lie beside the recordings/);
  }
});

test('one changed byte: where, and exit code 1', async () => {
  const bytes = (await sampleRecording(key)).files.get('000002.jsonl.zst')!;
  const at = bytes.length - 20;
  writeFileSync(join(folder, '000002.jsonl.zst'), bytes.with(at, bytes[at]! ^ 1));
  const { code, stdout } = await run(folder);
  assert.equal(code, 1);
  assert.match(stdout, /^ALTERED .*\n {2}000002\.jsonl\.zst, line 1\d, byte \d+ of /);
  const json = JSON.parse((await run(store, '-o', 'json')).stdout) as { sound: boolean };
  assert.equal(json.sound, false);
});

test('a key of one’s own is the only one that counts', async () => {
  const mine = join(store, 'mine.pem');
  writeFileSync(mine, publicPEM(readSigningKey(newSigningKey())));
  const other = await run(folder, '--key', mine);
  assert.equal(other.code, 1);
  assert.match(other.stdout, /not among the keys given/);
  writeFileSync(mine, publicPEM(key));
  const { code, stderr } = await run(folder, '--key', mine);
  assert.equal(code, 0);
  assert.equal(stderr, '');
});

test('what is not there, or no key, is said', async () => {
  assert.match((await run('nobody', '--store', store)).stderr, /there is no recording nobody/);
  assert.match((await run('nobody')).stderr, /which store\?/);
  assert.match((await run('../etc', '--store', store)).stderr, /is no name of a recording/);
  writeFileSync(join(store, 'bad.pem'), 'x');
  assert.match((await run(folder, '--key', join(store, 'bad.pem'))).stderr, /holds no public key/);
});
