import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import test from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { ChannelPath } from './channel-path.ts';
import type { ChannelTap } from './context.ts';
import { Peer } from './peer.ts';

function path(tap: ChannelTap | undefined) {
  const from = new Peer(new PassThrough(), Buffer.alloc(0));
  const passed: string[] = [];
  const errors: unknown[] = [];
  const channel = new ChannelPath('stdout', tap, {
    from,
    write: (chunk) => passed.push(chunk.toString()),
    end: () => passed.push('end'),
    fail: (error) => errors.push(error),
  });
  return { channel, passed, errors };
}

test('without a tap bytes pass at once', () => {
  const { channel, passed } = path(undefined);
  channel.push(Buffer.from('a'));
  channel.end();
  channel.push(Buffer.from('behind the end'));
  assert.deepEqual(passed, ['a', 'end']);
});

test('taps that answer now and then keep the order; what is held back comes with the end', async () => {
  let count = 0;
  const { channel, passed } = path({
    write: (chunk) => {
      count += 1;
      if (count % 3 === 0) return undefined;
      return count % 2 === 0 ? chunk : delay(5).then(() => chunk);
    },
    end: async () => Buffer.from('rest'),
  });
  for (let index = 0; index < 9; index++) channel.push(Buffer.from(String(index)));
  channel.end();
  await channel.settled();
  assert.deepEqual(passed, ['0', '1', '3', '4', '6', '7', 'rest', 'end']);
});

for (const [name, write] of [
  [
    'throws',
    () => {
      throw new Error('stop');
    },
  ],
  [
    'rejects',
    async () => {
      throw new Error('stop');
    },
  ],
] as const) {
  test(`a tap that ${name} ends the path: nothing passes after it`, async () => {
    const { channel, passed, errors } = path({ write, end: () => undefined });
    channel.push(Buffer.from('a'));
    channel.push(Buffer.from('b'));
    await channel.settled();
    channel.push(Buffer.from('c'));
    assert.deepEqual([passed, errors.length], [[], 1]);
  });
}

test('a path that was cut passes nothing, though its tap answers later', async () => {
  const { channel, passed } = path({ write: (chunk) => delay(5).then(() => chunk), end: () => undefined });
  channel.push(Buffer.from('a'));
  channel.cut();
  await channel.settled();
  assert.deepEqual(passed, []);
});
