import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { SAMPLE_IDENTITY, type SampleOptions, sampleRecording } from '../recording/cases/sample-recording.ts';
import { sealManifest } from '../recording/manifest.ts';
import { writeAnnouncement } from '../recording/shipping/announcement.ts';
import { newSigningKey, publicPEM, readSigningKey } from '../recording/signing-key.ts';
import { FilesystemStorage } from '../recording/storage/filesystem.ts';
import { runVerify } from './recording-verify.ts';
import { verifyStore } from './store-verification.ts';

const key = readSigningKey(newSigningKey());
const SEGMENT = '000001.jsonl.zst';
const TEMPORARY = '.tmp-0f5d1c62-9f0e-4c3b-8a55-2f6a1d0c7e11';
let store: string;

beforeEach(() => {
  store = mkdtempSync(join(tmpdir(), 'store-'));
  put('keys/key.pem', publicPEM(key));
});
afterEach(() => rmSync(store, { recursive: true }));

const at = (path: string): string => join(store, path);
function put(path: string, content: string | Buffer): void {
  mkdirSync(dirname(at(path)), { recursive: true });
  writeFileSync(at(path), content);
}
const remove = (path: string): void => rmSync(at(path), { recursive: true });
const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

type Named = NonNullable<SampleOptions['predecessor']>;

/** Puts a recording into the store, and says what the next manifest names. @param only files that are there yet */
async function record(
  name: string,
  { only, predecessor }: { readonly only?: readonly string[]; readonly predecessor?: Named | undefined } = {},
): Promise<Named & { readonly files: ReadonlyMap<string, Buffer> }> {
  const identity = { ...SAMPLE_IDENTITY, name };
  const { files } = await sampleRecording(key, {
    segments: 2,
    requests: 2,
    identity,
    ...(predecessor && { predecessor }),
  });
  for (const [file, bytes] of files) if (only?.includes(file) ?? true) put(`recordings/${name}/${file}`, bytes);
  return { name, sha256: sha256(files.get('manifest.json')!), files };
}

async function verify(
  args: readonly string[] = ['--store', store],
  env: Record<string, string> = {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  const output = { stdout: '', stderr: '' };
  const io = {
    stdout: (text: string) => void (output.stdout += text),
    stderr: (text: string) => void (output.stderr += text),
    env,
  };
  return { code: await runVerify(args, io), ...output };
}

const words = (stdout: string): string[] => stdout.match(/^[A-Z]+(?= )/gm) ?? [];

test('without a name all of a store is checked, wherever it is named', async () => {
  const first = await record('one');
  await record('two', { predecessor: first });
  for (const [args, env] of [
    [[store], {}],
    [['--store', store], {}],
    [['--store', `file://${store}`], {}],
    [[], { SALLYPORT_STORE: store }],
  ] as const) {
    const { code, stdout } = await verify(args, env);
    assert.deepEqual([code, words(stdout)], [0, ['SOUND', 'SOUND']], args.join(' '));
  }
  assert.match((await verify([])).stderr, /which store\?/);
});

test('a removed recording is missing, although of two only one is left', async () => {
  const first = await record('one');
  await record('two', { predecessor: first });
  remove('recordings/one');
  for (const args of [[store], ['--store', store]]) {
    const { code, stdout } = await verify(args);
    assert.equal(code, 1);
    assert.deepEqual(words(stdout), ['SOUND', 'MISSING']);
    assert.match(
      stdout,
      /^MISSING {2}one is not there, which two names: it was removed, or its retention has ended\n$/m,
    );
  }
  const json = JSON.parse((await verify(['--store', store, '-o', 'json'])).stdout) as Record<string, unknown>;
  assert.deepEqual([json['sound'], (json['missing'] as string[]).length], [false, 1]);
  // Of a recording alone nothing is known of others.
  assert.equal((await verify(['two', '--store', store])).code, 0);
});

test('an older manifest in the place of the one that was sealed is found by the one that names it', async () => {
  const { manifest } = await sampleRecording(key, {
    identity: { ...SAMPLE_IDENTITY, name: 'one' },
    segments: 2,
    requests: 2,
  });
  const first = await record('one');
  await record('two', { predecessor: first });
  put('recordings/one/manifest.json', sealManifest({ ...manifest, endTime: '2026-01-02T04:00:00.000Z' }, key));
  const { code, stdout } = await verify();
  assert.deepEqual([code, words(stdout)], [1, ['SOUND', 'SOUND', 'MISSING']]);
  assert.match(stdout, /^MISSING {2}one has another manifest than the one that two names$/m);
  remove('recordings/one/manifest.json');
  assert.match((await verify()).stdout, /^MISSING {2}one has no manifest that holds; two names one$/m);
});

test('the last recording of a replica is missed by what the replica says of itself', async () => {
  const first = await record('one');
  const last = await record('two', { predecessor: first });
  const storage = new FilesystemStorage(store);
  await writeAnnouncement(storage, {
    replica: 'r-0',
    recordings: [],
    lastSealed: { name: 'two', sha256: last.sha256 },
  });
  assert.equal((await verify()).code, 0);
  await record('two');
  const replaced = await verify();
  assert.equal(replaced.code, 1);
  assert.match(
    replaced.stdout,
    /^MISSING {2}two has another manifest than the one that the announcement of replica r-0 names$/m,
  );
  remove('recordings/two');
  assert.match((await verify()).stdout, /^MISSING {2}two is not there, which the announcement of replica r-0 names: /m);
});

test('an announcement is nobody’s signed word: it leads nowhere outside the recordings, and is shown escaped', async () => {
  await record('one');
  const lastSealed = { name: '../../etc\u001b[2J', sha256: 'x' };
  await writeAnnouncement(new FilesystemStorage(store), { replica: 'r', recordings: [], lastSealed });
  const { code, stdout } = await verify();
  assert.equal(code, 1);
  assert.ok(!stdout.includes('\u001b'));
  assert.match(stdout, /^MISSING {2}\.\.\/\.\.\/etc\\u\{1b\}\[2J is not there/m);
});

test('a store in which there is no recording is not sound: emptied, or another place', async () => {
  const { name, sha256: manifest } = await record('one');
  const lastSealed = { name, sha256: manifest };
  await writeAnnouncement(new FilesystemStorage(store), { replica: 'r', recordings: [], lastSealed });
  remove('recordings/one');
  for (const args of [[store], ['--store', store]]) {
    const { code, stdout, stderr } = await verify(args);
    assert.equal(code, 1);
    assert.match(stdout, /^MISSING {2}one is not there/);
    assert.match(stderr, /there is no recording in file:/);
  }
  remove('recordings');
  remove('replicas');
  for (const args of [[store], ['--store', store], ['--store', at('nothing')], [at('keys')]]) {
    const { code, stdout, stderr } = await verify(args);
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(stderr, /there is no recording in /);
  }
  const json = await verify(['--store', store, '-o', 'json']);
  assert.equal(json.code, 1);
  assert.equal((JSON.parse(json.stdout) as { sound: boolean }).sound, false);
});

test('what lies among the recordings and is none is said, and the others are checked all the same', async () => {
  await record('one');
  put('recordings/Not a name/x', 'x');
  put('recordings/note', 'x');
  put('recordings/two.chain/manifest.json', 'x');
  const { code, stdout } = await verify();
  assert.deepEqual([code, words(stdout)], [1, ['SOUND', 'FOREIGN', 'FOREIGN', 'FOREIGN']]);
  assert.match(stdout, /^FOREIGN {2}recordings\/Not a name: does not belong/m);
});

test('a store that is written to meanwhile: what was sealed or begun since the listing is looked at again', async () => {
  // Read at first; sealed while the others are read.
  const early = await record('a-early', { only: [SEGMENT, '000002.jsonl.zst'] });
  for (const filler of ['b', 'c', 'd', 'e']) await record(filler);
  const [late, later] = [
    await record('y', { predecessor: early }),
    await record('z', { predecessor: await record('new') }),
  ];
  renameSync(at('recordings/new'), at('new'));
  for (const name of ['y', 'z']) remove(`recordings/${name}/manifest.json`);
  const told: string[] = [];
  const place = {
    storage: new FilesystemStorage(store),
    locator: undefined,
    keys: new Map([[key.id, key.publicKey]]),
    io: { stderr: () => {} },
  };
  const { missing, reports } = await verifyStore(place, ({ recording, state }) => {
    told.push(`${recording} ${state}`);
    if (existsSync(at('recordings/new'))) return;
    renameSync(at('new'), at('recordings/new'));
    for (const { name, files } of [early, late, later]) {
      put(`recordings/${name}/manifest.json`, files.get('manifest.json')!);
    }
  });
  assert.deepEqual(missing, []);
  assert.deepEqual(told.slice(0, 1), ['a-early Open']);
  assert.deepEqual(told.slice(-2).sort(), ['a-early Complete', 'new Complete']);
  assert.equal(reports.length, 8);
  assert.ok(reports.every(({ state }) => state === 'Complete'));
});

test('a recording of which no segment is sealed yet is open, and not gone', async () => {
  await record('one');
  put(`recordings/open/${SEGMENT}.open/000001-1-2`, 'x');
  for (const args of [['open', '--store', store], [at('recordings/open')]]) {
    const { code, stdout } = await verify(args);
    assert.equal(code, 0, args.join(' '));
    assert.match(stdout, /^OPEN {5}open: 0 segments, .*; open: no segment of it is sealed yet\n$/);
  }
  assert.deepEqual(words((await verify()).stdout), ['SOUND', 'OPEN']);
  put(`recordings/joint/a/${SEGMENT}.open/000001-1-2`, 'x');
  const joint = await verify(['joint', '--store', store]);
  assert.match(joint.stdout, /^OPEN {5}joint: 1 chains, 0 segments, /);
  put(`recordings/nothing/${SEGMENT}.open/${TEMPORARY}`, 'x');
  assert.match((await verify(['nothing', '--store', store])).stderr, /there is no recording nothing/);
});

test('one that has ended and has no manifest is told from one that is written, its chains too', async () => {
  const { files } = await record('ended', { only: [SEGMENT, '000002.jsonl.zst'] });
  await record('written', { only: [SEGMENT] });
  const ended = await verify(['ended', 'written', '--store', store]);
  assert.equal(ended.code, 0);
  assert.match(
    ended.stdout,
    /^ENDED {4}ended: .*It has ended, and there is no manifest: it is about to be written, or was taken away$/m,
  );
  assert.match(ended.stdout, /^OPEN {5}written: .*sound as far as it goes, not sealed$/m);
  for (const chain of ['a', 'b']) {
    const identity = { ...SAMPLE_IDENTITY, name: `joint.${chain}` };
    const sample = await sampleRecording(key, { segments: 1, identity });
    for (const [file, bytes] of sample.files) {
      // One is sealed for itself, of the other its own manifest is not there either.
      if (chain === 'a' || file === SEGMENT) put(`recordings/joint/${chain}/${file}`, bytes);
    }
  }
  assert.match((await verify(['joint', '--store', store])).stdout, /^ENDED {4}joint: 2 chains/);
  put(`recordings/joint/c/${SEGMENT}.open/000001-1-2`, 'x');
  assert.match((await verify(['joint', '--store', store])).stdout, /^OPEN {5}joint: 3 chains/);
  assert.ok(files.size > 2);
});

test('--sealed: who knows that all is sealed takes nothing open for sound, and hears which it is', async () => {
  await record('one');
  assert.equal((await verify(['--store', store, '--sealed'])).code, 0);
  await record('ended', { only: [SEGMENT, '000002.jsonl.zst'] });
  await record('written', { only: [SEGMENT] });
  put(`recordings/begun/${SEGMENT}.open/000001-1-2`, 'x');
  assert.equal((await verify()).code, 0);
  const { code, stdout } = await verify(['--store', store, '--sealed']);
  assert.equal(code, 1);
  assert.deepEqual(stdout.match(/^UNSEALED [a-z]+/gm), ['UNSEALED begun', 'UNSEALED ended', 'UNSEALED written']);
  for (const args of [['written', '--store', store], [at('recordings/ended')]]) {
    assert.equal((await verify([...args, '--sealed'])).code, 1);
  }
  const json = await verify(['--store', store, '--sealed', '-o', 'json']);
  const { sound, unsealed } = JSON.parse(json.stdout) as { sound: boolean; unsealed: string[] };
  assert.deepEqual([sound, unsealed], [false, ['begun', 'ended', 'written']]);
});

test('what a writer left that was killed is no file of a recording, by name, by folder, with the store; anything else is', async () => {
  await record('one');
  const all = [['one', '--store', store], [at('recordings/one')], [store]];
  put(`recordings/one/${TEMPORARY}`, 'half');
  put(`recordings/one/000003.jsonl.zst.open/${TEMPORARY}`, 'half');
  for (const args of all) {
    const { code, stdout } = await verify(args);
    assert.deepEqual([code, words(stdout)], [0, ['SOUND']], `${args.join(' ')} ${stdout}`);
  }
  for (const other of ['.tmp-mine', '000003.jsonl.zst.open.txt', 'note.open']) {
    put(`recordings/one/${other}`, 'x');
    for (const args of all) {
      const { code, stdout } = await verify(args);
      assert.equal(code, 1, `${other}: ${args.join(' ')}`);
      assert.match(stdout, /does not belong to a recording/);
    }
    remove(`recordings/one/${other}`);
  }
});

test('what stands beside --store is a name, and a recording’s folder stays one whatever is put into it', async () => {
  const { files } = await record('one');
  put('recordings/one/recordings/two/manifest.json', files.get('manifest.json')!);
  const { code, stdout } = await verify([at('recordings/one')]);
  assert.equal(code, 1);
  assert.match(stdout, /^ALTERED {2}one: /);
  assert.match((await verify([at('recordings/one'), '--store', store])).stderr, /is no name of a recording/);
});
