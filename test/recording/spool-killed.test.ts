import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { SAMPLE_IDENTITY } from '../../src/recording/cases/sample-recording.ts';
import { Shipper } from '../../src/recording/shipping/shipper.ts';
import { newSigningKey, publicPEM, readSigningKey } from '../../src/recording/signing-key.ts';
import { Spool } from '../../src/recording/spool/spool.ts';
import { FilesystemStorage } from '../../src/recording/storage/filesystem.ts';
import { verifySuccession } from '../../src/recording/succession.ts';
import { events, linesIn, recordingsIn, verifyIn } from './recorded.ts';

const SCRIPT = ['--disable-warning=ExperimentalWarning', join(import.meta.dirname, 'spool-writer.ts')];

/** What Node.js has compiled of the writer: it starts sooner. */
const compiled = (folder: string) => ({ ...process.env, NODE_COMPILE_CACHE: join(folder, 'compiled') });

/** Runs the writer until it is killed, `after` milliseconds from when it is ready. */
async function runUntilKilled(folder: string, durability: string, run: number, after: number): Promise<string[]> {
  const child = spawn(process.execPath, [...SCRIPT, folder, durability, String(run)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: compiled(folder),
  });
  let output = '';
  let timer: NodeJS.Timeout | undefined;
  child.stdout.setEncoding('latin1').on('data', (text: string) => {
    output += text;
    if (timer === undefined && output.includes('R ')) timer = setTimeout(() => child.kill('SIGKILL'), after);
  });
  const signal = await new Promise<string | null>((resolve) => child.once('close', (_, by) => resolve(by)));
  assert.equal(signal, 'SIGKILL', output);
  // What stands behind the last newline was cut off by the kill itself.
  return output.split('\n').slice(0, -1);
}

/** Ends what the last kill left, and ships all that the store does not have. @returns what the start reports */
async function finish(folder: string, pem: string): Promise<string[]> {
  const said: string[] = [];
  let shipper: Shipper | undefined;
  const spool = await Spool.open({
    folder: join(folder, 'spool'),
    durability: 'Process',
    maxBytes: 1 << 30,
    minFreeBytes: 0,
    segmentBytes: 8_000,
    segmentAge: 3_600_000,
    events: {
      corrupt: (name, _, reason) => said.push(`C ${name} ${reason}`),
      torn: (name, bytes) => said.push(`T ${name} ${bytes}`),
      grown: (recording) => shipper?.grown(recording),
    },
  });
  const storage = new FilesystemStorage(join(folder, 'store'));
  const key = readSigningKey(pem);
  shipper = new Shipper({
    spool,
    storage,
    key,
    replica: SAMPLE_IDENTITY.replica,
    partInterval: 5,
    events: { failed: (error) => said.push(`F ${error.message}`) },
  });
  await shipper.start();
  for (const recording of spool.recordings) await recording.finish('Stopped', new Date().toISOString());
  // A store that does not take something will not do so later either.
  while ([...spool.recordings].length > 0 && !said.some((line) => line.startsWith('F '))) await sleep(10);
  await shipper.stop(10_000);
  await spool.close();
  return said;
}

const KILLS = 100;

describe('a process that records, ships and is killed with SIGKILL', () => {
  it(`${KILLS} times at random moments: no write without its first event, no acknowledged event missing, every recording is in the store and verifies`, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'spool-killed-'));
    try {
      const pem = newSigningKey();
      writeFileSync(join(folder, 'key.pem'), pem, { mode: 0o600 });
      assert.equal(spawnSync(process.execPath, SCRIPT, { env: compiled(folder) }).status, 0);
      const said: string[] = [];
      for (let run = 0; run < KILLS; run += 1) {
        const durability = run % 5 === 4 ? 'Disk' : 'Process';
        said.push(...(await runUntilKilled(folder, durability, run, Math.random() * 120)));
      }
      said.push(...(await finish(folder, pem)));
      const lines = (what: string): string[] =>
        said.filter((line) => line.startsWith(`${what} `)).map((line) => line.slice(2));
      assert.deepEqual(lines('C'), [], 'nothing was put aside');
      assert.deepEqual(lines('F'), [], 'the store took everything');
      const received = new Set<string>();
      const complete = new Set<string>();
      const store = join(folder, 'store');
      const reports = [];
      for (const name of recordingsIn(store)) {
        const report = await verifyIn(store, name, publicPEM(readSigningKey(pem)));
        assert.equal(report.state, 'Complete', name);
        reports.push(report);
        for (const { stage, auditID } of events(await linesIn(store, name))) {
          if (stage === 'RequestReceived') received.add(auditID);
          else complete.add(auditID);
        }
      }
      assert.deepEqual(verifySuccession(reports), [], 'each manifest names the one before');
      const [writes, answers] = [lines('W'), lines('A')];
      assert.ok(writes.length > 10 * KILLS, `${writes.length} writes`);
      assert.deepEqual(
        writes.filter((id) => !received.has(id)),
        [],
        'every write has its first event',
      );
      assert.deepEqual(
        answers.filter((id) => !complete.has(id)),
        [],
        'every answered request has its last event',
      );
      const torn = lines('T').length;
      t.diagnostic(
        `${writes.length} writes, ${answers.length} answers, ${torn} torn lines cut off, ${reports.length} recordings`,
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
