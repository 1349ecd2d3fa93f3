import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { StreamProtocolError } from '../protocol-error.ts';
import { SpdyFrameWriter } from '../spdy/frame-writer.ts';
import { WebSocketFrameReader } from '../websocket/frame-reader.ts';
import { WebSocketFrameWriter } from '../websocket/frame-writer.ts';
import type { Channel, SessionShape } from './channel.ts';
import type { RemoteCommandHandler, RemoteCommandSession, SessionOutput } from './session.ts';
import { SpdyRemoteCommand } from './spdy-session.ts';
import { WebSocketRemoteCommand } from './websocket-session.ts';

type Role = 'server' | 'client';
type Make = (
  role: Role,
  shape: SessionShape,
  handler: RemoteCommandHandler,
  output: SessionOutput,
) => RemoteCommandSession;

const WIRES: Record<string, Make> = {
  'WebSocket v5': (...given) => new WebSocketRemoteCommand(given[0], 'v5.channel.k8s.io', given[1], given[2], given[3]),
  'WebSocket v4': (...given) => new WebSocketRemoteCommand(given[0], 'v4.channel.k8s.io', given[1], given[2], given[3]),
  SPDY: (...given) => new SpdyRemoteCommand(...given),
};

const ALL: SessionShape = { stdin: true, stdout: true, stderr: true, tty: false };

/** One end over a wire that holds what was written until it is carried. */
function end(make: Make, role: Role, shape: SessionShape) {
  const seen = {
    data: new Map<Channel, string>(),
    chunks: [] as [Channel, string][],
    ends: [] as Channel[],
    ready: false,
    closed: [] as boolean[],
  };
  const wire: Buffer[] = [];
  const state = { congested: false };
  const session = make(
    role,
    shape,
    {
      ready: () => {
        seen.ready = true;
      },
      data: (channel, chunk) => {
        assert.equal(seen.ends.includes(channel), false, 'no data after the end');
        seen.data.set(channel, (seen.data.get(channel) ?? '') + chunk.toString('hex'));
        seen.chunks.push([channel, chunk.toString('hex')]);
      },
      end: (channel) => seen.ends.push(channel),
      closed: (clean) => seen.closed.push(clean),
    },
    { write: (bytes) => wire.push(Buffer.from(bytes)), congested: () => state.congested },
  );
  return { session, seen, wire, state };
}

type End = ReturnType<typeof end>;

function carry(from: End, to: End, cut = 1 << 20): void {
  const bytes = Buffer.concat(from.wire.splice(0));
  for (let at = 0; at < bytes.length; at += cut) to.session.receive(Buffer.from(bytes.subarray(at, at + cut)));
}

function pair(wire: string, shape: SessionShape = ALL): { client: End; server: End } {
  const client = end(WIRES[wire]!, 'client', shape);
  const server = end(WIRES[wire]!, 'server', shape);
  client.session.start();
  server.session.start();
  carry(client, server);
  carry(server, client);
  assert.deepEqual([client.seen.ready, server.seen.ready], [true, true]);
  return { client, server };
}

const writes = fc.array(
  fc.tuple(
    fc.constantFrom<Channel>('stdin', 'stdout', 'stderr', 'resize'),
    fc.uint8Array({ minLength: 1, maxLength: 4000 }),
  ),
  { maxLength: 10 },
);

for (const wire of Object.keys(WIRES)) {
  test(`${wire}: bytes of every channel arrive in order, whatever the chunking`, () => {
    fc.assert(
      fc.property(writes, fc.integer({ min: 1, max: 3000 }), fc.boolean(), (list, cut, tty) => {
        const { client, server } = pair(wire, { ...ALL, tty });
        const expected = new Map<Channel, string>();
        for (const [channel, bytes] of list) {
          const there = channel === 'stdin' || channel === 'resize' ? client : server;
          there.session.write(channel, Buffer.from(bytes));
          if ((channel === 'stderr' && tty) || (channel === 'resize' && !tty)) continue;
          expected.set(channel, (expected.get(channel) ?? '') + Buffer.from(bytes).toString('hex'));
        }
        server.session.write('error', Buffer.from('{"status":"Success"}'));
        server.session.close();
        carry(client, server, cut);
        carry(server, client, cut);
        const got = new Map([...server.seen.data, ...client.seen.data]);
        assert.equal(Buffer.from(got.get('error')!, 'hex').toString(), '{"status":"Success"}');
        got.delete('error');
        assert.deepEqual(Object.fromEntries(got), Object.fromEntries(expected));
        assert.deepEqual(client.seen.closed, [true]);
      }),
      { numRuns: 60 },
    );
  });

  test(`${wire}: the error channel comes as one chunk`, () => {
    const { client, server } = pair(wire);
    server.session.write('error', Buffer.from('{"status":"Failure","message":"command terminated"}'));
    server.session.end('error');
    server.session.close();
    carry(server, client, 7);
    assert.equal(client.seen.chunks.filter(([channel]) => channel === 'error').length, 1);
  });

  test(`${wire}: what the session was not asked for is neither written nor read`, () => {
    const narrow = { stdin: false, stdout: true, stderr: false, tty: false };
    const client = end(WIRES[wire]!, 'client', wire === 'SPDY' ? narrow : ALL);
    const server = end(WIRES[wire]!, 'server', narrow);
    client.session.start();
    server.session.start();
    carry(client, server);
    carry(server, client);
    client.session.write('stdin', Buffer.from('not asked'));
    client.session.write('stdout', Buffer.from('the wrong way'));
    server.session.write('stderr', Buffer.from('not asked'));
    server.session.write('stdout', Buffer.from('asked'));
    carry(client, server);
    carry(server, client);
    assert.equal(server.seen.data.size, 0);
    assert.deepEqual([...client.seen.data.keys()], ['stdout']);
  });

  test(`${wire}: pings are answered, unless the peer takes nothing`, () => {
    const { client, server } = pair(wire);
    client.session.ping();
    carry(client, server);
    assert.equal(server.wire.length > 0, true);
    carry(server, client);
    assert.equal(client.wire.length, 0, 'an answer is not answered');
    server.state.congested = true;
    for (let count = 0; count < 1000; count++) client.session.ping();
    carry(client, server);
    assert.equal(server.wire.length, 0);
  });
}

for (const wire of ['WebSocket v5', 'SPDY']) {
  test(`${wire}: stdin is closed on its own`, () => {
    const { client, server } = pair(wire);
    client.session.write('stdin', Buffer.from('x'));
    client.session.end('stdin');
    client.session.write('stdin', Buffer.from('after the end'));
    carry(client, server, 1);
    assert.deepEqual(server.seen.ends, ['stdin']);
    assert.equal(server.seen.data.get('stdin'), '78');
    server.session.write('stdout', Buffer.from('still open'));
    carry(server, client);
    assert.equal(client.seen.data.has('stdout'), true);
  });
}

test('WebSocket v4 has no close signal: 255 is an unknown channel and passed over', () => {
  const server = end(WIRES['WebSocket v4']!, 'server', ALL);
  const wire: Buffer[] = [];
  new WebSocketFrameWriter('client', (bytes) => wire.push(bytes)).message(Uint8Array.of(0), 255);
  server.session.receive(Buffer.concat(wire));
  assert.deepEqual([server.seen.ends, server.seen.data.size], [[], 0]);
});

for (const [name, payload] of [
  ['without a channel', []],
  ['with two channels', [0, 1]],
  ['for an unknown channel', [9]],
] as const) {
  test(`WebSocket v5: a close signal ${name} is refused`, () => {
    const server = end(WIRES['WebSocket v5']!, 'server', ALL);
    const wire: Buffer[] = [];
    new WebSocketFrameWriter('client', (bytes) => wire.push(bytes)).message(Uint8Array.from(payload), 255);
    assert.throws(() => carry({ wire } as End, server, 1), StreamProtocolError);
  });
}

test('an endless error channel is refused at its limit', () => {
  for (const wire of Object.keys(WIRES)) {
    const { client, server } = pair(wire);
    for (let sent = 0; sent <= 70; sent++) {
      if (wire === 'SPDY') server.session.write('error', Buffer.alloc(1024));
    }
    if (wire !== 'SPDY') server.session.write('error', Buffer.alloc(70 * 1024));
    assert.throws(() => carry(server, client), /over the limit/, wire);
  }
});

test('the farewell after broken framing carries the close code', () => {
  const { server } = pair('WebSocket v5');
  server.session.fail(new StreamProtocolError('a reserved bit', 1002));
  const closes: unknown[] = [];
  const ignore = (): void => {};
  new WebSocketFrameReader('client', {
    message: ignore,
    ping: ignore,
    pong: ignore,
    close: (...given) => closes.push(given),
  }).receive(Buffer.concat(server.wire));
  assert.deepEqual(closes, [[1002, 'a reserved bit']]);
});

test('SPDY: streams of the wrong kind are refused one by one, the session stands', () => {
  const server = end(WIRES['SPDY']!, 'server', { ...ALL, stderr: false });
  const client = end(WIRES['SPDY']!, 'client', { ...ALL, stderr: false });
  const raw: Buffer[] = [];
  const writer = new SpdyFrameWriter((bytes) => raw.push(bytes));
  writer.synStream(1, [['streamtype', 'error']]);
  writer.synStream(2, [['streamtype', 'stdin']]); // even: the server's numbers
  writer.synStream(3, [['streamtype', 'shell']]);
  writer.synStream(5, [['streamtype', ['stdin', 'error']]]); // two values: two readings
  writer.synStream(7, [['streamtype', 'error']]); // twice
  writer.synStream(9, [['streamtype', 'stderr']]); // not asked
  writer.synStream(7, [['streamtype', 'stdin']]); // falls back
  writer.synStream(11, [['streamtype', 'stdin']]);
  writer.synStream(13, [['streamtype', 'stdout']]);
  server.session.receive(Buffer.concat(raw));
  assert.equal(server.seen.ready, true);
  const types = server.wire.map((frame) => [frame.readUInt16BE(2), frame.readUInt32BE(8)]);
  assert.deepEqual(types, [
    [2, 1],
    [3, 2],
    [3, 3],
    [3, 5],
    [3, 7],
    [3, 9],
    [3, 7],
    [2, 11],
    [2, 13],
  ]);
  assert.equal(client.seen.ready, false);
});

test('SPDY: data before the session stands is refused, not kept', () => {
  const server = end(WIRES['SPDY']!, 'server', ALL);
  const raw: Buffer[] = [];
  const writer = new SpdyFrameWriter((bytes) => raw.push(bytes));
  writer.synStream(1, [['streamtype', 'stdin']]);
  writer.data(1, Buffer.from('early'));
  assert.throws(() => server.session.receive(Buffer.concat(raw)), StreamProtocolError);
});
