import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { SAMPLE_IDENTITY } from '../../src/recording/cases/sample-recording.ts';
import type { VerifyReport } from '../../src/recording/finding.ts';
import type { EventLine } from '../../src/recording/line.ts';
import { Shipper } from '../../src/recording/shipping/shipper.ts';
import { newSigningKey, readSigningKey } from '../../src/recording/signing-key.ts';
import { Spool } from '../../src/recording/spool/spool.ts';
import type { SpooledRecording } from '../../src/recording/spool/spooled-recording.ts';
import { FilesystemStorage } from '../../src/recording/storage/filesystem.ts';
import { part } from './part.ts';
import { median } from './quantile.ts';
import { number } from './words.ts';

interface Size {
  readonly seconds: number;
  readonly sessions: number;
}

const RATE = 10_000;
const TICK = 10;
const PROGRAM = new URL('../../bin/sallyport', import.meta.url).pathname;
const verifying = promisify(execFile);

/** Events a second through spool and shipper in one process, and how fast what they made is verified. */
export const recordingLines = part<Size>(
  'recording-lines',
  { full: { seconds: 20, sessions: 200 }, quick: { seconds: 2, sessions: 20 } },
  async (_bed, size) => {
    const folder = await mkdtemp(join(tmpdir(), 'recording-bench-'));
    try {
      const key = readSigningKey(newSigningKey());
      const written = await write(folder, size, key);
      const { bytes, milliseconds, lines } = await verify(folder, key);
      const rate = bytes / 1e6 / (milliseconds / 1_000);
      const cores = written.cpu / written.milliseconds;
      return {
        title: 'Lines of recordings',
        notes: [
          `${RATE} events a second in ${size.sessions} recordings for ${size.seconds} s: appended, chained, written to the spool, packed and shipped to a folder, all in one process. ` +
            'CPU is that of the whole process, its thread pool too. Then all of them verified, by `sallyport recording verify` in a process of its own, its start included.',
        ],
        tables: [
          {
            columns: ['events', 'events/s', 'cores', 'slowest commit ms', 'MB of lines', 'lines', 'verify MB/s'],
            rows: [
              [
                String(written.events),
                number(written.events / (written.milliseconds / 1_000), 0),
                number(cores, 2),
                number(written.slowest, 1),
                number(bytes / 1e6, 0),
                String(lines),
                number(rate, 0),
              ],
            ],
          },
        ],
        musts: [
          {
            what: '10,000 events a second on one core',
            measured: `${number(written.events / (written.milliseconds / 1_000), 0)}/s on ${number(cores, 2)} cores`,
            pass: written.events / (written.milliseconds / 1_000) >= RATE * 0.99 && cores <= 1,
          },
          { what: 'verify at 200 MB/s of raw events', measured: `${number(rate, 0)} MB/s`, pass: rate >= 200 },
        ],
      };
    } finally {
      await rm(folder, { recursive: true });
    }
  },
);

async function write(folder: string, size: Size, key: ReturnType<typeof readSigningKey>) {
  let slowest = 0;
  let shipper: Shipper | undefined;
  const spool = await Spool.open({
    folder: join(folder, 'spool'),
    durability: 'Process',
    maxBytes: 4 * 2 ** 30,
    minFreeBytes: 0,
    segmentBytes: 8 << 20,
    segmentAge: 900_000,
    events: {
      committed: (_lines, _bytes, milliseconds) => {
        slowest = Math.max(slowest, milliseconds);
      },
      grown: (recording) => shipper?.grown(recording),
    },
  });
  const storage = new FilesystemStorage(join(folder, 'store'));
  shipper = new Shipper({ spool, storage, key, replica: 'bench' });
  await shipper.start();
  const recordings = Array.from({ length: size.sessions }, (_, index) =>
    spool.create({ ...SAMPLE_IDENTITY, name: `bench-${index}` }),
  );
  const began = performance.now();
  const cpu = process.cpuUsage();
  let events = 0;
  const end = began + size.seconds * 1_000;
  while (performance.now() < end) {
    const due = Math.floor(((performance.now() - began) / 1_000) * RATE);
    const kept: (Promise<void> | undefined)[] = [];
    for (; events < due; events += 1) kept.push(append(recordings[events % recordings.length]!));
    await Promise.all(kept);
    await sleep(TICK);
  }
  const milliseconds = performance.now() - began;
  const { user, system } = process.cpuUsage(cpu);
  await Promise.all(recordings.map((recording) => recording.finish('Stopped', new Date().toISOString())));
  for (const recording of recordings) shipper.grown(recording);
  while ([...spool.recordings].length > 0) await sleep(50);
  await shipper.stop(10_000);
  await spool.close();
  return { events, milliseconds, cpu: (user + system) / 1_000, slowest };
}

/** As large as those of a small GET. */
function append(recording: SpooledRecording): Promise<void> | undefined {
  const now = new Date().toISOString();
  const event: EventLine = {
    kind: 'Event',
    level: 'RequestResponse',
    auditID: randomUUID(),
    stage: 'ResponseComplete',
    requestReceivedTimestamp: now,
    stageTimestamp: now,
    requestURI: '/api/v1/namespaces/shop/configmaps/small',
    verb: 'get',
    user: { username: 'alice@shop.example', uid: 'u-1', groups: ['developers', 'ai-agents'] },
    impersonatedUser: {
      username: 'sallyport:alice@shop.example',
      groups: ['sallyport:developers', 'sallyport:ai-agents'],
    },
    caller: SAMPLE_IDENTITY.caller,
    sourceIPs: ['192.0.2.7'],
    userAgent: 'kubectl/v1.36.3 (linux/amd64) kubernetes/abcdef0',
    objectRef: { resource: 'configmaps', namespace: 'shop', name: 'small', apiVersion: 'v1' },
    decision: {
      action: 'Allow',
      policy: 'cursor-in-production',
      policyUID: 'p-1',
      policyGeneration: 3,
      rule: 'look-around',
    },
    responseStatus: { code: 200 },
    responseBody: {
      contentType: 'application/json',
      bytes: 260,
      data: `{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"small","uid":"${randomUUID()}"},"data":{"greeting":"hello"}}`,
    },
    bytes: { request: 0, response: 260 },
    durations: { total: 1.52, decision: 0.06, upstream: 1.1 },
    outcome: 'Complete',
  };
  return recording.append([event], 1_500);
}

/** As a user does it, in a process of its own; its start counts too. The middle one of three. */
async function verify(folder: string, key: ReturnType<typeof readSigningKey>) {
  const pem = join(folder, 'auditor.pem');
  await writeFile(pem, key.publicKey.export({ type: 'spki', format: 'pem' }));
  const runs: number[] = [];
  let bytes = 0;
  let lines = 0;
  for (let run = 0; run < 3; run += 1) {
    const began = performance.now();
    const { stdout } = await verifying(PROGRAM, [
      ...['recording', 'verify', join(folder, 'store'), '--key', pem, '-o', 'json'],
    ]);
    runs.push(performance.now() - began);
    const { sound, recordings } = JSON.parse(stdout) as { sound: boolean; recordings: VerifyReport[] };
    if (!sound || recordings.some(({ state }) => state !== 'Complete')) throw new Error('not all is sound');
    bytes = recordings.reduce((sum, report) => sum + report.bytes, 0);
    lines = recordings.reduce((sum, report) => sum + report.lines, 0);
  }
  return { bytes, lines, milliseconds: median(runs) };
}
