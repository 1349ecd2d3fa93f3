import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  inMemory,
  SAMPLE_IDENTITY,
  type SampleRecording,
  sampleRecording,
} from '../../src/recording/cases/sample-recording.ts';
import { parseEnvelope, signEnvelope, writeEnvelope } from '../../src/recording/envelope.ts';
import type { VerifyReport } from '../../src/recording/finding.ts';
import { JOINT_FORMAT, type JointChain, sealJointManifest } from '../../src/recording/joint-manifest.ts';
import { MANIFEST_TYPE, sealManifest } from '../../src/recording/manifest.ts';
import { newSigningKey, publicPEM, readSigningKey } from '../../src/recording/signing-key.ts';
import { verifyStored } from '../../src/recording/verify-joint.ts';

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

  /** Two chains under one manifest, and a third one under a further manifest. */
  async function several(): Promise<Map<string, Buffer>> {
    const { name: recording, user, caller } = SAMPLE_IDENTITY;
    const files = new Map<string, Buffer>();
    const chains: JointChain[] = [];
    let previous: string | undefined;
    for (const [number, added] of [['a', 'b'], ['c']].entries()) {
      for (const name of added) {
        const identity = { ...SAMPLE_IDENTITY, name: `${recording}.${name}`, replica: name };
        const chain = await sampleRecording(key, { segments: 2, requests: 10, identity });
        for (const [file, bytes] of chain.files) files.set(`${name}/${file}`, bytes);
        const { state, reason, endTime, segments, lines, hash, counts } = chain.manifest;
        const manifestSHA256 = sha256(chain.files.get('manifest.json')!);
        const { startTime } = identity;
        const known = { name, replica: name, state, reason, startTime, endTime, lines, hash, counts, manifestSHA256 };
        chains.push({ ...known, segments: segments.length });
      }
      const { state, reason, endTime, counts } = chains.at(-1)!;
      const file = sealJointManifest(
        {
          format: JOINT_FORMAT,
          recording: { name: recording, user, caller, startTime: SAMPLE_IDENTITY.startTime },
          number: number + 1,
          ...{ state, reason, endTime, counts, chains, previous },
          lines: chains.reduce((sum, { lines }) => sum + lines, 0),
          sealedBy: 'a',
        },
        key,
      );
      previous = sha256(file);
      files.set(number === 0 ? 'manifest.json' : 'manifest-000002.json', file);
    }
    return files;
  }

  function verify(files: ReadonlyMap<string, Buffer>): { code: number | null; output: string } {
    const recording = join(folder, SAMPLE_IDENTITY.name);
    rmSync(recording, { recursive: true, force: true });
    mkdirSync(recording);
    for (const [name, bytes] of files) {
      mkdirSync(dirname(join(recording, name)), { recursive: true });
      writeFileSync(join(recording, name), bytes);
    }
    const script = join(import.meta.dirname, 'verify.py');
    const run = spawnSync('python3', [script, recording, join(folder, 'key.pem')], { encoding: 'utf8' });
    return { code: run.status, output: run.stdout + run.stderr };
  }

  /** What Sallyport itself says. */
  const verifyHere = (files: ReadonlyMap<string, Buffer>): Promise<VerifyReport> =>
    verifyStored(inMemory(SAMPLE_IDENTITY.name, files, 1_000), (id) => (id === key.id ? key.publicKey : undefined));

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

  it('finds a recording of several chains sound, and every byte that is changed in it, with the chain that it is in', async () => {
    const files = await several();
    assert.deepEqual(verify(files), { code: 0, output: '' });
    const ours = await verifyHere(files);
    assert.deepEqual([ours.findings, ours.state, ours.chains?.length], [[], 'Complete', 3]);
    for (const [name, bytes] of files) {
      const at = Math.floor(bytes.length / 2);
      const { code, output } = verify(new Map([...files, [name, Buffer.from(bytes.with(at, bytes[at]! ^ 1))]]));
      assert.equal(code, 1, `${name}: ${output}`);
    }
    const without = (gone: string) => new Map([...files].filter(([name]) => !name.startsWith(gone)));
    assert.match(verify(without('b/')).output, /^b: is missing/m);
    assert.match(verify(without('manifest-000002')).output, /^c: is named by no manifest/m);
  });

  it('finds a removed segment, and one that was added', () => {
    const [first] = sample.files.keys();
    const without = new Map([...sample.files].filter(([name]) => name !== first));
    assert.match(verify(without).output, /000001\.jsonl\.zst: is missing/);
    const more = new Map([...sample.files, ['000004.jsonl.zst', sample.files.get('000003.jsonl.zst')!]]);
    assert.match(verify(more).output, /000004\.jsonl\.zst: is not in the manifest/);
  });

  it('takes neither parts of an open segment nor what is being written for files, and misses the manifest', () => {
    const beside = ['000004.jsonl.zst.open/000001-61-62', '.tmp-0f5d1c62-9f0e-4c3b-8a55-2f6a1d0c7e11'];
    const more = new Map([...sample.files, ...beside.map((name) => [name, Buffer.from('x')] as const)]);
    assert.deepEqual(verify(more), { code: 0, output: '' });
    assert.match(
      verify(new Map([...sample.files, ['.tmp-mine', Buffer.from('x')]])).output,
      /^\.tmp-mine: is not in the/,
    );
    const open = new Map([...sample.files].filter(([name]) => name !== 'manifest.json'));
    assert.deepEqual(verify(open), {
      code: 1,
      output: 'manifest.json: is missing: the recording is open, or it was taken away\n',
    });
  });

  it('takes a manifest for no other recording’s, and holds the last line against it', async () => {
    const { manifest } = sample;
    for (const changed of [
      { ...manifest, recording: { ...manifest.recording, name: 'another' } },
      { ...manifest, lines: manifest.lines - 1 },
      { ...manifest, hash: '0'.repeat(64) },
    ]) {
      const files = new Map([...sample.files, ['manifest.json', sealManifest(changed, key)]]);
      assert.match(
        verify(files).output,
        /^manifest\.json: (of another recording|the recording does not end as it says)$/m,
      );
      assert.equal((await verifyHere(files)).sound, false);
    }
  });

  it('of several signatures takes the first by the key that it trusts, as Sallyport does', async () => {
    const { payload } = parseEnvelope(sample.files.get('manifest.json')!);
    const signature = (by: typeof key) =>
      signEnvelope(MANIFEST_TYPE, Buffer.from(payload, 'base64'), by).signatures[0]!;
    const [own, foreign] = [signature(key), signature(readSigningKey(newSigningKey()))];
    const broken = { keyid: own.keyid, sig: foreign.sig };
    for (const [signatures, sound] of [
      [[foreign, own], true],
      [[own, broken], true],
      [[foreign, broken, own], false],
      [[foreign], false],
      [[], false],
      [[...Array.from({ length: 7 }, () => foreign), own], true],
      [[...Array.from({ length: 8 }, () => foreign), own], false],
    ] as const) {
      const file = writeEnvelope({ payloadType: MANIFEST_TYPE, payload, signatures });
      const files = new Map([...sample.files, ['manifest.json', file]]);
      const what = signatures.map(({ keyid }) => keyid.slice(0, 6)).join(' ');
      assert.equal((await verifyHere(files)).sound, sound, what);
      assert.equal(verify(files).code, sound ? 0 : 1, what);
    }
  });
});

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
