import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { GatewayProcess } from '../gateway/gateway-process.ts';
import { type Answer, Scene } from '../gateway/scene.ts';
import { events, spooledLines, storedLines, storedRecordings, storeOf, verifyStored } from './recorded.ts';
import { smallDisk } from './small-disk.ts';

const RULES = `
    - name: everything
      action: Allow
      match: {verbs: ["*"], apiGroups: ["*"], resources: ["*", "*/*"]}
  recording: {level: RequestResponse}`;

describe('recording when something fails', () => {
  let scene: Scene;
  const path = (): string => `/api/v1/namespaces/${scene.namespace}/configmaps`;
  const write = (name: string): Promise<Answer> =>
    scene.ask(path(), {
      method: 'POST',
      headers: ['Content-Type', 'application/json'],
      body: JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name } }),
    });
  const metric = async (name: string): Promise<number> => {
    const { body } = await scene.gateway.probe('/metrics');
    return Number(new RegExp(`^sallyport_${name}(?:\\{[^}]*\\})? (\\S+)$`, 'm').exec(body)?.[1] ?? '0');
  };

  before(async () => {
    scene = await Scene.open('faults', { rules: RULES, recording: true });
  });
  after(() => scene?.close());

  it('a disk that is full: writes are refused before the forward, reads pass and the loss is told, what was carried out is answered; then it goes on by itself', async (t) => {
    const disk = smallDisk('24m');
    if (typeof disk === 'string') return t.skip(disk);
    const other = await Scene.open('full', {
      rules: RULES,
      recording: true,
      cluster: scene.cluster,
      adjust: (configuration) =>
        Object.assign(configuration.recording.spool, { folder: join(disk.path, 'spool'), minFreeBytes: 0 }),
    });
    const ballast = join(disk.path, 'ballast');
    const fill = () => spawnSync('dd', ['if=/dev/zero', `of=${ballast}`, 'bs=4096']);
    const dropped = async (): Promise<number> =>
      Number(/^sallyport_recording_dropped_total (\d+)/m.exec((await other.gateway.probe('/metrics')).body)?.[1]);
    try {
      const base = `/api/v1/namespaces/${other.namespace}/configmaps`;
      const post = (name: string, length = 100_000) =>
        other.ask(base, {
          method: 'POST',
          headers: ['Content-Type', 'application/json'],
          body: JSON.stringify({ metadata: { name }, data: { text: 'x'.repeat(length) } }),
        });
      assert.equal((await post('before')).status, 201);
      fill();
      let refused: Answer | undefined;
      for (let attempt = 0; refused === undefined && attempt < 20; attempt += 1) {
        const answer = await post(`full-${attempt}`);
        if (answer.status !== 201) refused = answer;
      }
      assert.equal(refused?.status, 503, refused?.body);
      assert.match(
        refused!.json().message,
        /^SP_RECORDING_UNAVAILABLE: .*cannot be now: the space for recordings is used up. It was not carried out;/,
      );
      assert.equal(refused!.headers['retry-after'], '5');
      const before = await dropped();
      const read = await other.ask(base);
      assert.equal(read.status, 200, 'a read passes where no policy says Strict');
      assert.equal(await dropped(), before + 1);
      rmSync(ballast);
      for (let status = 0; status !== 201; await sleep(100)) ({ status } = await post(`after-${Date.now()}`));

      // Room for the line that says that it is let through, not for the one that says how it went.
      const carriedOut: string[] = [];
      for (const [length, room] of [
        [50_000, 80_000],
        [100_000, 160_000],
      ] as const) {
        fill();
        truncateSync(ballast, statSync(ballast).size - room);
        const already = await dropped();
        const answer = await post(`carried-out-${length}`, length);
        assert.equal(answer.status, 201, 'who is told to try again what was done does it twice');
        assert.equal(answer.json().data.text.length, length, 'the answer is whole');
        assert.equal(await dropped(), already + 1);
        carriedOut.push(String(answer.headers['x-request-id']));
        rmSync(ballast);
        for (let status = 0; status !== 201; await sleep(100)) ({ status } = await post(`later-${Date.now()}`));
      }
      await other.gateway.kill('SIGTERM');
      const [name] = storedRecordings(other.gateway);
      const report = await verifyStored(other.gateway, name!);
      assert.equal(report.sound, true, 'the chain holds over what could not be written');
      assert.equal(report.unknownOutcomes, 2);
      const lines = await storedLines(other.gateway, name!);
      for (const id of carriedOut) {
        const begun = events(lines, id);
        assert.equal(begun[0]?.stage, 'RequestReceived');
        assert.ok(begun.every(({ stage }) => stage !== 'ResponseComplete'));
        const behind = lines.slice(lines.indexOf(begun.at(-1)!));
        const gap = behind.find((line) => line.kind === 'Gap');
        assert.equal(gap?.dropped, 1, 'the recording says that a line is missing');
      }
    } finally {
      // The cluster is the first scene’s.
      await other.gateway.stop();
      disk.remove();
    }
  });

  it('a store that is down: the spool takes it, the metrics say so, and the store gets it all when it is back', async () => {
    const store = storeOf(scene.gateway);
    await write('one');
    for (; !existsSync(join(store, 'replicas')); await sleep(50));
    // Root writes through permissions; a file where the folder was is in anyone's way.
    renameSync(store, `${store}.away`);
    writeFileSync(store, '');
    for (let number = 0; number < 20; number += 1) assert.equal((await write(`down-${number}`)).status, 201);
    for (let failing = 0; failing === 0; await sleep(200)) failing = await metric('recording_store_failing_seconds');
    assert.ok((await metric('recording_unshipped_bytes')) > 0);
    rmSync(store);
    renameSync(`${store}.away`, store);
    for (let left = 1; left > 0; await sleep(200)) left = await metric('recording_unshipped_bytes');
    assert.equal(await metric('recording_store_failing_seconds'), 0);
  });

  it('a second process with the same spool does not start, and names the first', async () => {
    const second = GatewayProcess.start(scene.cluster, {
      replicaOf: scene.gateway,
      recording: true,
      adjust: (configuration) =>
        Object.assign(configuration.recording.spool, { folder: join(scene.gateway.directory, 'spool') }),
    });
    await assert.rejects(
      second,
      new RegExp(`belongs to process ${scene.gateway.pid} on .*every replica needs a spool of its own`),
    );
  });

  it('a corrupt spool: kept aside, reported, and the gateway serves', async () => {
    await scene.effective();
    await write('corrupt');
    await scene.gateway.kill('SIGKILL');
    const root = join(scene.gateway.directory, 'spool', 'recordings');
    const [name] = readdirSync(root);
    const [file] = readdirSync(join(root, name!)).filter((one) => one.endsWith('.jsonl'));
    const text = readFileSync(join(root, name!, file!), 'utf8');
    writeFileSync(join(root, name!, file!), text.replace('"kind":"Event"', '"kind":"Evemt"'));
    await scene.gateway.launch();
    await scene.effective();
    assert.equal(await metric('recording_corrupt_total'), 1);
    await scene.gateway.logged((entry) => String(entry['message']).includes('it was put aside'));
    assert.equal(readdirSync(join(scene.gateway.directory, 'spool', 'corrupt')).length, 1);
    // Reads are not waited for where no policy says Strict.
    for (const end = Date.now() + 30_000; spooledLines(scene.gateway).length === 0 && Date.now() < end; )
      await sleep(50);
    assert.ok(spooledLines(scene.gateway).length > 0, 'a new recording is written');
  });
});
