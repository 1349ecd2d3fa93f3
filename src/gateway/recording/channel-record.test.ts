import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import test from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { FrameLine } from '../../recording/line.ts';
import { ChannelPath } from '../upgrade/channel-path.ts';
import { composeTaps } from '../upgrade/compose-taps.ts';
import { Peer } from '../upgrade/peer.ts';
import { ChannelRecord, type ChannelRecordOptions } from './channel-record.ts';
import { FRAME_BYTES, FrameGatherer } from './frame-gatherer.ts';

/** A spool whose writes end when the test says so. */
class Writes {
  readonly lines: FrameLine[] = [];
  readonly open: PromiseWithResolvers<void>[] = [];
  readonly frames = new FrameGatherer({
    auditID: 'a',
    startedAt: performance.now(),
    keep: (lines) => {
      this.lines.push(...lines);
      const write = Promise.withResolvers<void>();
      this.open.push(write);
      return write.promise;
    },
  });

  async done(): Promise<void> {
    this.open.shift()!.resolve();
    for (let i = 0; i < 5; i += 1) await turn();
  }
}

function path(writes: Writes, options: Partial<ChannelRecordOptions> = {}) {
  const from = new PassThrough();
  const passed: Buffer[] = [];
  const errors: unknown[] = [];
  let ended = false;
  const tap = new ChannelRecord('stdout', { keep: (name, chunk) => writes.frames.add(name, chunk), ...options });
  const channel = new ChannelPath('stdout', tap, {
    from: new Peer(from, Buffer.alloc(0)),
    write: (chunk) => passed.push(chunk),
    end: () => {
      ended = true;
    },
    fail: (error) => errors.push(error),
  });
  return { channel, from, errors, text: () => Buffer.concat(passed).toString(), ended: () => ended };
}

test('nothing passes before the frame that holds it is kept; what comes meanwhile is the next frame', async () => {
  const writes = new Writes();
  const { channel, from, text } = path(writes);
  channel.push(Buffer.from('a'));
  channel.push(Buffer.from('b'));
  await turn();
  assert.deepEqual(
    writes.lines.map(({ data }) => data),
    ['ab'],
  );
  channel.push(Buffer.from('c'));
  await turn();
  assert.equal(text(), '');
  assert.equal(from.isPaused(), false, 'the sender goes on');
  await writes.done();
  assert.equal(text(), 'ab');
  assert.deepEqual(
    writes.lines.map(({ data }) => data),
    ['ab', 'c'],
  );
  await writes.done();
  assert.equal(text(), 'abc');
});

test('a sender that outruns the record is held, and goes on when half of what waited has passed', async () => {
  const writes = new Writes();
  const { channel, from, text, ended } = path(writes);
  const chunk = Buffer.alloc(100_000, 'x');
  for (let sent = 0; sent < 8; sent += 1) channel.push(chunk);
  channel.end();
  await turn();
  assert.equal(from.isPaused(), true);
  assert.ok(writes.lines.every(({ data }) => data.length <= FRAME_BYTES));
  while (writes.open.length > 0) await writes.done();
  assert.deepEqual([from.isPaused(), text().length, ended()], [false, 800_000, true]);
});

test('the end waits for what is not kept yet', async () => {
  const writes = new Writes();
  const { channel, text, ended } = path(writes);
  channel.push(Buffer.from('last words'));
  channel.end();
  for (let i = 0; i < 5; i += 1) await turn();
  assert.deepEqual([text(), ended()], ['', false]);
  await writes.done();
  assert.deepEqual([text(), ended()], ['last words', true]);
});

for (const waiting of [false, true]) {
  test(`what cannot be kept ends the stream, ${waiting ? 'held' : 'under way'}, and nothing passes any more`, async () => {
    const writes = new Writes();
    const { channel, text, errors } = path(writes);
    const size = waiting ? 600_000 : 6;
    channel.push(Buffer.alloc(size, 'x'));
    await turn();
    writes.open[0]!.reject(new Error('the disk is full'));
    for (let i = 0; i < 5; i += 1) await turn();
    channel.push(Buffer.from('more'));
    assert.deepEqual([text(), errors.length], ['', 1]);
  });
}

test('what is shown later than it passes goes on at once; behind something that waits it keeps its place', async () => {
  const writes = new Writes();
  let line = '';
  const shown = (chunk: Buffer): Buffer => {
    line += chunk.toString();
    const whole = line.slice(0, line.lastIndexOf('\n') + 1);
    line = line.slice(whole.length);
    return Buffer.from(whole.replaceAll(/secret/g, '***'));
  };
  const { channel, text } = path(writes, { shown });
  channel.push(Buffer.from('a sec'));
  assert.equal(text(), 'a sec', 'a line that is not whole passes as it is typed');
  channel.push(Buffer.from('ret\n'));
  channel.push(Buffer.from('b'));
  await turn();
  assert.equal(text(), 'a sec');
  await writes.done();
  assert.equal(text(), 'a secret\nb');
  assert.deepEqual(
    writes.lines.map(({ data }) => data),
    ['a ***\n'],
  );
});

test('pieces of several channels keep their order; a frame holds one channel, and no more than some milliseconds', async () => {
  const writes = new Writes();
  const { frames, lines } = writes;
  const kept = [frames.add('stdout', Buffer.from('1')), frames.add('stdout', Buffer.from('2'))];
  kept.push(frames.add('stderr', Buffer.from('3')), frames.add('stdout', Buffer.from('4')));
  const until = performance.now() + 8;
  while (performance.now() < until);
  kept.push(frames.add('stdout', Buffer.from('5')));
  const settled = frames.settle();
  await writes.done();
  await Promise.all([...kept, settled]);
  assert.deepEqual(
    lines.map(({ channel, data }) => `${channel} ${data}`),
    ['stdout 12', 'stderr 3', 'stdout 4', 'stdout 5'],
  );
  assert.ok(lines[3]!.elapsed - lines[2]!.elapsed >= 5, 'each has the time of its first piece');
});

test('two taps: what the first lets go between two writes passes through the second, in its order', async () => {
  const writes = new Writes();
  let flush: ((bytes: Buffer) => void) | undefined;
  const first = {
    later: (ways: { pass(bytes: Buffer): void }) => {
      flush = (bytes) => ways.pass(bytes);
    },
    write: (chunk: Buffer) => chunk,
    end: () => undefined,
  };
  const second = new ChannelRecord('stdout', { keep: (name, chunk) => writes.frames.add(name, chunk) });
  const tap = composeTaps(
    () => first,
    () => second,
  )('stdout')!;
  const passed: string[] = [];
  tap.later!({ pass: (bytes) => passed.push(bytes.toString()), fail: assert.fail });
  assert.equal(tap.write(Buffer.from('a')), undefined);
  flush!(Buffer.from('b'));
  tap.write(Buffer.from('c'));
  await turn();
  await writes.done();
  assert.equal(passed.join(''), 'abc');
  assert.equal(writes.lines.map(({ data }) => data).join(''), 'abc');
});
