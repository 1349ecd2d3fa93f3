import { writeSync } from 'node:fs';
import { SAMPLE_IDENTITY } from '../../src/recording/cases/sample-recording.ts';
import { startOf } from '../../src/recording/chain.ts';
import type { EventLine } from '../../src/recording/line.ts';
import { Spool } from '../../src/recording/spool/spool.ts';
import type { Durability } from '../../src/recording/spool/spooled-recording.ts';

/**
 * A process that records writes as the gateway does, until it is killed: RequestReceived kept, then the write (`W id` on
 * standard output), then ResponseComplete kept, then the answer (`A id`). Several at once, in several recordings.
 */
const [folder, durability, run] = process.argv.slice(2);
const spool = await Spool.open({
  folder: folder!,
  durability: durability as Durability,
  maxBytes: 1 << 30,
  minFreeBytes: 0,
  // Small, so that it is killed while it rotates too.
  segmentBytes: 20_000,
  segmentAge: 3_600_000,
  events: {
    corrupt: (name, _, reason) => say(`C ${name} ${reason}`),
    torn: (name, bytes) => say(`T ${name} ${bytes}`),
  },
});

function say(line: string): void {
  writeSync(1, `${line}\n`);
}

const recordings = Array.from({ length: 3 }, (_, index) => {
  const name = `writer-${index}`;
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
