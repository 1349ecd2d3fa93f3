import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { SAMPLE_IDENTITY } from '../cases/sample-recording.ts';
import type { JointManifest } from '../joint-manifest.ts';
import type { EventLine } from '../line.ts';
import { catalogue } from '../reading/catalogue.ts';
import { newSigningKey, readSigningKey } from '../signing-key.ts';
import { Spool } from '../spool/spool.ts';
import type { SpooledRecording } from '../spool/spooled-recording.ts';
import { FilesystemStorage } from '../storage/filesystem.ts';
import { recordingFiles } from '../stored-recording.ts';
import { verifySuccession } from '../succession.ts';
import { linesOf } from '../timeline-lines.ts';
import { verifyStored } from '../verify-joint.ts';
import { readAnnouncements } from './announcement.ts';
import { Shipper, type ShipperOptions } from './shipper.ts';

const key = readSigningKey(newSigningKey());
const keyOf = (id: string) => (id === key.id ? key.publicKey : undefined);
const SESSION = 'cursor-session';
let home: string;
let store: FilesystemStorage;
const running: { stop(): Promise<void> }[] = [];

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'joining-'));
  store = new FilesystemStorage(join(home, 'store'));
});
afterEach(async () => {
  for (const each of running.splice(0)) await each.stop();
  rmSync(home, { recursive: true, force: true });
});

async function replica(name: string, more: Partial<ShipperOptions> = {}) {
  const joined: JointManifest[] = [];
  let shipper: Shipper | undefined;
  const spool = await Spool.open({
    folder: join(home, name),
    durability: 'Process',
    maxBytes: 64 << 20,
    minFreeBytes: 0,
    segmentBytes: 1 << 16,
    segmentAge: 3_600_000,
    events: { grown: (recording) => shipper?.grown(recording) },
  });
  shipper = new Shipper({
    spool,
    storage: store,
    key,
    replica: name,
    partInterval: 30,
    announceInterval: 50,
    adoptAfter: 3_600_000,
    events: { joined: (manifest) => void joined.push(manifest) },
    ...more,
  });
  await shipper.start();
  let stopped = false;
  const end = async (deadline: number): Promise<void> => {
    if (stopped) return;
    stopped = true;
    await shipper.stop(deadline);
    await spool.close();
  };
  const each = {
    spool,
    shipper,
    joined,
    stop: () => end(2_000),
    /** As `kill -9` does: nothing is sent any more. */
    vanish: () => end(0),
    begin: (chain: string, startTime: string): SpooledRecording =>
      spool.create({ ...SAMPLE_IDENTITY, name: `${SESSION}.${chain}`, replica: name, startTime }),
  };
  running.push(each);
  return each;
}

let count = 0;
function eventAt(time: string): EventLine {
  count += 1;
  return {
    kind: 'Event',
    level: 'Metadata',
    auditID: `event-${count}`,
    stage: 'ResponseComplete',
    requestReceivedTimestamp: time,
    stageTimestamp: time,
    requestURI: '/api/v1/pods',
    verb: 'list',
    user: { username: 'alice', groups: [] },
    caller: SAMPLE_IDENTITY.caller,
    sourceIPs: [],
    outcome: 'Complete',
  };
}

/** Later than the clock's, which heads of segments have. */
const at = (second: number): string => `2036-01-02T03:04:${String(second).padStart(2, '0')}.000Z`;

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 60_000; !(await holds()); await delay(20))
    assert.ok(Date.now() < end, 'never came about');
}

const verified = async () => await verifyStored(recordingFiles(store, SESSION), keyOf);
const listed = async () => {
  const found = [];
  for await (const entry of catalogue(store)) found.push(entry);
  return found;
};
const order = async (): Promise<string[]> => {
  const times: string[] = [];
  for await (const { line, chain } of linesOf(store, SESSION)) {
    if (line.kind === 'Event') times.push(`${chain} ${line.stageTimestamp.slice(17, 19)}`);
  }
  return times;
};

test('two replicas write one recording, which whoever ends last seals; its lines are one timeline', async () => {
  const [one, two] = [await replica('one'), await replica('two')];
  const [a, b] = [one.begin('a', at(0)), two.begin('b', at(2))];
  await a.append([eventAt(at(1)), eventAt(at(5))], 200);
  await b.append([eventAt(at(3)), eventAt(at(7))], 200);
  await until(
    async () => (await readAnnouncements(store)).filter(({ recordings }) => recordings.length > 0).length === 2,
  );
  await a.finish('Idle', at(8));
  await until(() => one.spool.recording(`${SESSION}.a`) === undefined);
  await delay(200);
  assert.deepEqual(one.joined, [], 'two has a chain of it open');
  assert.deepEqual(
    (await listed()).map(({ name, state, counts }) => [name, state, counts?.requests]),
    [[SESSION, 'Open', 4]],
  );
  assert.equal((await verified()).state, 'Open');
  await b.finish('SessionEnded', at(9));
  await until(() => two.joined.length === 1);
  assert.deepEqual(
    two.joined[0]!.chains.map(({ name, replica, lines }) => [name, replica, lines]),
    [
      ['a', 'one', 4],
      ['b', 'two', 4],
    ],
  );
  const report = await verified();
  assert.deepEqual(report.findings, []);
  assert.equal(report.state, 'Complete');
  assert.equal(report.lines, 8);
  assert.equal(report.keyID, key.id);
  assert.deepEqual(await order(), ['a 01', 'b 03', 'a 05', 'b 07']);
  assert.deepEqual(
    (await listed()).map(({ name, state, counts }) => [name, state, counts?.requests]),
    [[SESSION, 'Complete', 4]],
  );
});

test('two that end at the same moment leave one manifest that names both, however often', async () => {
  for (let round = 0; round < 5; round += 1) {
    const [one, two] = [await replica(`one-${round}`), await replica(`two-${round}`)];
    const chains = [one.begin(`a${round}`, at(0)), two.begin(`b${round}`, at(0))];
    for (const chain of chains) await chain.append([eventAt(at(1))], 100);
    await Promise.all(chains.map((chain) => chain.finish('Stopped', at(2))));
    await Promise.all([one.stop(), two.stop()]);
    const report = await verified();
    assert.deepEqual(report.findings, []);
    assert.equal(report.state, 'Complete', `round ${round}`);
    assert.equal(report.chains?.length, 2 * (round + 1));
  }
});

test('a session that goes on after its chains had ended has the same recording, sealed anew', async () => {
  const one = await replica('one');
  for (const [index, chain] of ['a', 'b', 'c'].entries()) {
    const recording = one.begin(chain, at(index * 2));
    await recording.append([eventAt(at(index * 2 + 1))], 100);
    await recording.finish('Idle', at(index * 2 + 1));
    await until(() => one.joined.length === index + 1);
  }
  assert.deepEqual(
    one.joined.map(({ number, chains }) => [number, chains.length]),
    [
      [1, 1],
      [2, 2],
      [3, 3],
    ],
  );
  const report = await verified();
  assert.deepEqual(report.findings, []);
  assert.equal(report.state, 'Complete');
  assert.deepEqual(verifySuccession([report]), []);
  const folder = join(home, 'store', 'recordings', SESSION);
  rmSync(join(folder, 'manifest-000002.json'));
  assert.match(
    (await verified()).findings.map(({ file, what }) => `${file} ${what}`).join(),
    /manifest-000002\.json is missing/,
  );
});

test('a replica that is killed: its chain is sealed Incomplete by another one, and the recording with it', async () => {
  const options = { adoptAfter: 1_000 };
  const [one, two] = [await replica('one', options), await replica('two', options)];
  const [a, b] = [one.begin('a', at(0)), two.begin('b', at(0))];
  await a.append([eventAt(at(1))], 100);
  await one.shipper.flush(a);
  await b.append([eventAt(at(2))], 100);
  await two.shipper.flush(b);
  const last = a.seq;
  await one.vanish();
  await b.finish('Idle', at(3));
  await until(() => two.joined.length === 1);
  const [manifest] = two.joined;
  assert.equal(manifest!.state, 'Incomplete');
  assert.equal(manifest!.reason, 'ReplicaGone');
  assert.deepEqual(
    manifest!.chains.map(({ name, state, lines }) => [name, state, lines]),
    [
      ['a', 'Incomplete', last],
      ['b', 'Complete', 3],
    ],
  );
  const report = await verified();
  assert.deepEqual(report.findings, []);
  assert.equal(report.state, 'Incomplete');
  assert.deepEqual(
    (await readAnnouncements(store)).map(({ replica }) => replica),
    ['two'],
  );
  // It comes back: what the store did not have is a further chain, and nothing that is sealed is touched.
  const before = readFileSync(join(home, 'store', 'recordings', SESSION, 'manifest.json'));
  const again = await replica('one');
  const resumed = again.spool.recording(`${SESSION}.a`)!;
  await resumed.append([eventAt(at(9))], 100);
  await until(() => again.joined.length + two.joined.length === 2);
  const [resealed] = [...again.joined, ...two.joined.slice(1)];
  assert.deepEqual(
    resealed!.chains.map(({ name }) => name),
    ['a', 'a-rest', 'b'].sort(),
  );
  assert.deepEqual((await verified()).findings, []);
  assert.ok(before.equals(readFileSync(join(home, 'store', 'recordings', SESSION, 'manifest.json'))));
});

test('a replica that ends between its chain and the recording: its next start, or another one, seals it', async () => {
  const one = await replica('one');
  const a = one.begin('a', at(0));
  await a.append([eventAt(at(1))], 100);
  const { putSealed } = store;
  store.putSealed = async (at_, ...rest) => {
    if (at_ === `recordings/${SESSION}/manifest.json`) throw new Error('the process ends here');
    return await putSealed.call(store, at_, ...rest);
  };
  await a.finish('Idle', at(2));
  await until(async () => (await readAnnouncements(store)).some(({ joining }) => joining?.includes(SESSION)));
  await one.vanish();
  store.putSealed = putSealed;
  assert.equal((await verified()).state, 'Open');
  const two = await replica('two', { adoptAfter: 100 });
  await until(() => two.joined.length === 1);
  assert.equal((await verified()).state, 'Complete');
});

test('whatever is changed in either chain, or in the manifests, is found and named with its chain', async () => {
  const [one, two] = [await replica('one'), await replica('two')];
  for (const [each, chain] of [
    [one, 'a'],
    [two, 'b'],
  ] as const) {
    const recording = each.begin(chain, at(0));
    for (let index = 0; index < 20; index += 1) await recording.append([eventAt(at(index))], 100);
    await recording.finish('Idle', at(30));
  }
  await until(() => one.joined.length + two.joined.length > 0);
  await Promise.all([one.stop(), two.stop()]);
  const folder = join(home, 'store', 'recordings', SESSION);
  assert.deepEqual((await verified()).findings, []);
  const kept = join(home, 'kept');
  cpSync(folder, kept, { recursive: true });
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => file.includes('.json'));
  assert.deepEqual(files.sort(), [
    'a/000001.jsonl.zst',
    'a/manifest.json',
    'b/000001.jsonl.zst',
    'b/manifest.json',
    'manifest.json',
  ]);
  const found = async (): Promise<string[]> => {
    const list = (await verified()).findings.map(({ file }) => file);
    rmSync(folder, { recursive: true, force: true });
    cpSync(kept, folder, { recursive: true });
    return list;
  };
  for (const file of files) {
    const bytes = readFileSync(join(folder, file));
    const middle = bytes.length >> 1;
    rmSync(join(folder, file));
    writeFileSync(join(folder, file), bytes.with(middle, bytes[middle]! ^ 1));
    assert.ok((await found()).includes(file), `a changed byte of ${file}`);
    if (file !== 'manifest.json') {
      rmSync(join(folder, file));
      assert.ok((await found()).includes(file), `${file} removed`);
    }
  }
  rmSync(join(folder, 'b'), { recursive: true });
  assert.deepEqual(await found(), ['b/']);
  // A whole chain in another one's place, and one chain's segment in the other's.
  rmSync(join(folder, 'b'), { recursive: true });
  cpSync(join(folder, 'a'), join(folder, 'b'), { recursive: true });
  assert.ok((await found()).some((file) => file.startsWith('b/')));
  rmSync(join(folder, 'a', '000001.jsonl.zst'));
  cpSync(join(folder, 'b', '000001.jsonl.zst'), join(folder, 'a', '000001.jsonl.zst'));
  assert.ok((await found()).includes('a/000001.jsonl.zst'));
  // Taken away, the manifest is missed: what is left is no sealed recording, and whoever sealed it next names it.
  rmSync(join(folder, 'manifest.json'));
  assert.equal((await verified()).state, 'Open');
});
