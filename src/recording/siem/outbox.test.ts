import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { BackOff } from '../../kubernetes/back-off.ts';
import { Delivery } from './delivery.ts';
import { Outbox } from './outbox.ts';
import { SinkError, type SinkFault } from './sink.ts';

let folder: string;
let dropped = 0;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'outbox-'));
  dropped = 0;
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const open = (maxBytes = 64 << 20) => Outbox.open({ folder, maxBytes, onDropped: (count) => void (dropped += count) });

async function drain(outbox: Outbox, most = 1_000): Promise<string[]> {
  const all: string[] = [];
  for (;;) {
    const batch = await outbox.next(most, 1 << 20, AbortSignal.timeout(150));
    if (batch === undefined) return all;
    all.push(...batch.events);
    await batch.done();
  }
}

test('events come out as they went in, in batches, once', async () => {
  const outbox = await open();
  const events = Array.from({ length: 2_500 }, (_, index) => `{"n":${index},"text":"ä🙂"}`);
  for (const event of events) outbox.offer(event);
  assert.deepEqual(await drain(outbox, 100), events);
  assert.equal(outbox.bytes, 0);
  assert.equal(outbox.behind, 0);
  await outbox.close();
});

test('what is not delivered is there after a restart; what is, is not; files that are done with go', async () => {
  let outbox = await open();
  const events = Array.from({ length: 30_000 }, (_, index) => `${index} ${'x'.repeat(400)}`);
  for (const [index, event] of events.entries()) {
    outbox.offer(event);
    if (index % 5_000 === 4_999) await outbox.flush();
  }
  assert.ok(readdirSync(folder).length >= 2);
  const first = await outbox.next(10_000, 8 << 20, AbortSignal.timeout(5_000));
  await first!.done();
  // Given, and never said to be delivered: it comes again.
  await outbox.next(5_000, 8 << 20, AbortSignal.timeout(5_000));
  await outbox.close();
  outbox = await open();
  assert.deepEqual([...first!.events, ...(await drain(outbox, 7_000))], events);
  await delay(10);
  assert.ok(readdirSync(folder).length <= 2, `${readdirSync(folder)}`);
  await outbox.close();
});

test('a last line that was cut off is no event; a cursor that cannot be read sends again, and loses nothing', async () => {
  let outbox = await open();
  outbox.offer('one');
  outbox.offer('two');
  await outbox.close();
  appendFileSync(join(folder, readdirSync(folder).find((name) => name.endsWith('.jsonl'))!), '{"half');
  writeFileSync(join(folder, 'cursor.json'), '{"fi');
  outbox = await open();
  outbox.offer('three');
  assert.deepEqual(await drain(outbox), ['one', 'two', 'three']);
  await outbox.close();
});

test('the bound holds: what is over it is dropped and counted, and nothing else', async () => {
  const outbox = await open(100_000);
  for (let index = 0; index < 2_000; index += 1) outbox.offer(`${index} ${'x'.repeat(95)}`);
  assert.ok(outbox.bytes <= 100_000);
  assert.ok(dropped > 900);
  const got = await drain(outbox);
  assert.equal(got.length + dropped, 2_000);
  assert.deepEqual(
    got.map((event) => Number(event.split(' ')[0])),
    got.map((_, index) => index),
  );
  outbox.offer('room again');
  assert.deepEqual(await drain(outbox), ['room again']);
  await outbox.close();
});

test('a disk that takes nothing: counted, and it goes on when it does again', async () => {
  const outbox = await open();
  outbox.offer('before');
  await outbox.flush();
  rmSync(folder, { recursive: true, force: true });
  writeFileSync(folder, 'no folder any more');
  for (let index = 0; index < 50_000; index += 1) outbox.offer('x'.repeat(100));
  await outbox.flush();
  outbox.offer('lost');
  await outbox.flush();
  assert.ok(dropped >= 1);
  await outbox.close();
});

test('delivery: tried again until it is taken; one event that is refused holds up no other', async () => {
  const outbox = await open();
  let fault: SinkFault | undefined = 'Later';
  const taken: string[] = [];
  let refused = 0;
  let failed = 0;
  const delivery = new Delivery({
    outbox,
    sink: {
      send: async (events) => {
        if (fault !== undefined) throw new SinkError(fault, 'a fault of the test');
        if (events.some((event) => event === 'poison')) throw new SinkError('Unacceptable', 'poison');
        taken.push(...events);
        return 0;
      },
      close: async () => {},
    },
    batch: 100,
    timeout: 1_000,
    backOff: new BackOff(5, 20),
    onDelivered: () => {},
    onRefused: (count) => void (refused += count),
    onFailed: () => void (failed += 1),
  });
  delivery.start();
  for (let index = 0; index < 40; index += 1) outbox.offer(index === 17 ? 'poison' : String(index));
  await delay(150);
  fault = 'Refused';
  await delay(50);
  assert.equal(taken.length, 0);
  assert.ok(failed > 2);
  fault = undefined;
  for (let tries = 0; taken.length < 39 && tries < 200; tries += 1) await delay(10);
  assert.deepEqual(
    taken,
    Array.from({ length: 40 }, (_, index) => String(index)).filter((each) => each !== '17'),
  );
  assert.equal(refused, 1);
  await delivery.stop(1_000);
  assert.equal(outbox.bytes, 0);
});
