import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { SAMPLE_IDENTITY, type SampleRecording, sampleRecording } from '../../src/recording/cases/sample-recording.ts';
import { newSigningKey, publicPEM, readSigningKey } from '../../src/recording/signing-key.ts';

const missing = ['python3', 'zstd', 'openssl'].find((program) => spawnSync(program, ['--help']).error !== undefined);

describe('a verifier that knows docs/recording.md alone', { skip: missing && `${missing} is not installed` }, () => {
  const key = readSigningKey(newSigningKey());
  let folder: string;
  let sample: SampleRecording;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'recording-'));
    sample = await sampleRecording(key, { segments: 3, requests: 20 });
    writeFileSync(join(folder, 'key.pem'), publicPEM(key));
  });
  after(() => rmSync(folder, { recursive: true }));

  function verify(files: ReadonlyMap<string, Buffer>): { code: number | null; output: string } {
    const recording = join(folder, SAMPLE_IDENTITY.name);
    rmSync(recording, { recursive: true, force: true });
    mkdirSync(recording);
    for (const [name, bytes] of files) writeFileSync(join(recording, name), bytes);
    const script = join(import.meta.dirname, 'verify.py');
    const run = spawnSync('python3', [script, recording, join(folder, 'key.pem')], { encoding: 'utf8' });
    return { code: run.status, output: run.stdout + run.stderr };
  }

  it('finds a recording as it was written sound', () => {
    assert.deepEqual(verify(sample.files), { code: 0, output: '' });
  });

  it('finds a changed byte in every file', () => {
    for (const [name, bytes] of sample.files) {
      const at = Math.floor(bytes.length / 2);
      const { code, output } = verify(new Map([...sample.files, [name, Buffer.from(bytes.with(at, bytes[at]! ^ 1))]]));
      assert.equal(code, 1, `${name}: ${output}`);
    }
  });

  it('finds a removed segment, and one that was added', () => {
    const [first] = sample.files.keys();
    const without = new Map([...sample.files].filter(([name]) => name !== first));
    assert.match(verify(without).output, /000001\.jsonl\.zst: is missing/);
    const more = new Map([...sample.files, ['000004.jsonl.zst', sample.files.get('000003.jsonl.zst')!]]);
    assert.match(verify(more).output, /000004\.jsonl\.zst: is not in the manifest/);
  });
});
