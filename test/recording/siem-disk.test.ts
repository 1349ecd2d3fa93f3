import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Outbox } from '../../src/recording/siem/outbox.ts';
import { smallDisk } from './small-disk.ts';

/** The numbers of the events that a receiver gets. */
async function drain(outbox: Outbox): Promise<number[]> {
  const all: number[] = [];
  for (;;) {
    const batch = await outbox.next(100, 1 << 20, AbortSignal.timeout(200));
    if (batch === undefined) return all;
    all.push(...batch.events.map((event) => (JSON.parse(event) as { n: number }).n));
    await batch.done();
  }
}

test('a queue whose disk is full: what is counted as lost is not sent, what is sent is not counted, and it goes on', async (t) => {
  const disk = smallDisk('256k');
  if (typeof disk === 'string') return t.skip(disk);
  let dropped = 0;
  try {
    const outbox = await Outbox.open({
      folder: disk.path,
      maxBytes: 64 << 20,
      onDropped: (count) => void (dropped += count),
    });
    const events = Array.from({ length: 1_000 }, (_, number) => `{"n":${number},"text":"${'x'.repeat(800)}"}`);
    for (const event of events.slice(0, 20)) outbox.offer(event);
    await outbox.flush();
    // A write of which only a part has room.
    for (const event of events.slice(20)) outbox.offer(event);
    await outbox.flush();
    assert.equal(dropped, 980);
    assert.deepEqual(await drain(outbox), [...new Array(20).keys()]);
    assert.equal(outbox.bytes, 0);
    for (const event of events.slice(0, 50)) outbox.offer(event);
    assert.deepEqual(await drain(outbox), [...new Array(50).keys()]);
    assert.equal(outbox.bytes, 0);
    await outbox.close();
  } finally {
    disk.remove();
  }
});
