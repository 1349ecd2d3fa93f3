import { readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { SAMPLE_IDENTITY } from '../../src/recording/cases/sample-recording.ts';
import { startOf } from '../../src/recording/chain.ts';
import type { EventLine } from '../../src/recording/line.ts';
import { Shipper } from '../../src/recording/shipping/shipper.ts';
import { readSigningKey } from '../../src/recording/signing-key.ts';
import { Spool } from '../../src/recording/spool/spool.ts';
import type { Durability } from '../../src/recording/spool/spooled-recording.ts';
import { FilesystemStorage } from '../../src/recording/storage/filesystem.ts';

/**
 * A process that records writes as the gateway does, until it is killed: RequestReceived kept, then the write (`W id` on
 * standard output), then ResponseComplete kept, then the answer (`A id`). Several at once, in several recordings, which are shipped
 * meanwhile. Each of them is ended and another one begun by every fourth run.
 */
const [folder, durability, run] = process.argv.slice(2);
// Only compiled, for the runs to come: what is killed leaves nothing in Node.js' cache of it.
if (folder === undefined) process.exit();
let shipper: Shipper | undefined;
const spool = await Spool.open({
  folder: join(folder, 'spool'),
  durability: durability as Durability,
  maxBytes: 1 << 30,
  minFreeBytes: 0,
  // Small, so that it is killed while it rotates too.
  segmentBytes: 8_000,
  segmentAge: 3_600_000,
  events: {
    corrupt: (name, _, reason) => say(`C ${name} ${reason}`),
    torn: (name, bytes) => say(`T ${name} ${bytes}`),
    grown: (recording) => shipper?.grown(recording),
  },
});
const storage = new FilesystemStorage(join(folder, 'store'));
const key = readSigningKey(readFileSync(join(folder, 'key.pem'), 'utf8'));
shipper = new Shipper({
  spool,
  storage,
  key,
  replica: SAMPLE_IDENTITY.replica,
  partInterval: 5,
  events: { failed: (error) => say(`F ${error.message}`) },
});
await shipper.start();

function say(line: string): void {
  writeSync(1, `${line}\n`);
}

const age = Number(run) % 4;
for (const recording of spool.recordings) if (age === 0) void recording.finish('Idle', new Date().toISOString());
const recordings = Array.from({ length: 3 }, (_, index) => {
  const name = `writer-${index}-${Number(run) - age}`;
  return spool.recording(name) ?? spool.create({ ...SAMPLE_IDENTITY, name });
});
say(`R ${startOf('ready').slice(0, 8)}`);

let number = 0;
async function write(recording: (typeof recordings)[number]): Promise<void> {
  for (;;) {
    number += 1;
    const id = `${run}-${number}`;
    const event = (stage: EventLine['stage']): EventLine => ({
      kind: 'Event',
      level: 'Metadata',
      auditID: id,
      stage,
      requestReceivedTimestamp: new Date().toISOString(),
      stageTimestamp: new Date().toISOString(),
      requestURI: `/api/v1/namespaces/shop/configmaps/${'x'.repeat(number % 400)}`,
      verb: 'create',
      user: { username: 'alice', groups: [] },
      caller: SAMPLE_IDENTITY.caller,
      sourceIPs: ['192.0.2.7'],
    });
    await recording.append([event('RequestReceived')], 500);
    say(`W ${id}`);
    await recording.append([event('ResponseComplete')], 500);
    say(`A ${id}`);
  }
}
await Promise.all(recordings.flatMap((recording) => [write(recording), write(recording), write(recording)]));
