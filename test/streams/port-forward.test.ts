import assert from 'node:assert/strict';
import { once } from 'node:events';
import test from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { connect } from 'node:tls';
import { SallyportError } from '../../src/errors.ts';
import { SpdyFrameReader } from '../../src/streams/spdy/frame-reader.ts';
import { SpdyFrameWriter } from '../../src/streams/spdy/frame-writer.ts';
import { WebSocketFrameReader } from '../../src/streams/websocket/frame-reader.ts';
import { WebSocketFrameWriter } from '../../src/streams/websocket/frame-writer.ts';
import { bridge, EXEC, FORWARD, outcome, upstream, webSocketRequest } from './between.ts';

test('a port-forward judges each stream’s own port; a refused one does not touch the others', async () => {
  const judged: number[] = [];
  const proxy = await bridge({
    judgePort: async (port) => {
      judged.push(port);
      // The first is slow: the second must not wait for it, and numbers upstream must rise all the same.
      if (port === 8080) await delay(80);
      if (port === 22) throw new SallyportError('SP_POLICY_DENIED', 'port 22 is not for agents');
    },
  });
  const opened: [number, string[]][] = [];
  upstream.onUpgrade = (request, socket) => {
    assert.deepEqual([request.method, request.headers['x-stream-protocol-version']], ['POST', 'portforward.k8s.io']);
    socket.write(
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: portforward.k8s.io\r\n\r\n',
    );
    const writer = new SpdyFrameWriter((bytes) => socket.write(bytes));
    const ignore = (): void => {};
    const reader = new SpdyFrameReader({
      synReply: ignore,
      headers: ignore,
      rstStream: ignore,
      ping: ignore,
      goAway: ignore,
      synStream: (id, headers) => {
        opened.push([id, [...headers].map(([name, values]) => `${name}=${values.join()}`)]);
        writer.synReply(id);
      },
      data: (id, piece, fin) => writer.data(id, piece, fin),
    });
    socket.on('data', (chunk: Buffer) => reader.receive(chunk));
  };
  // `ws` takes no slash in a sub-protocol, Kubernetes does: the tunnel is spoken by hand.
  const socket = connect({ port: Number(new URL(proxy.url).port), host: '127.0.0.1', ca: upstream.target.caPem });
  socket.write(
    `${webSocketRequest(FORWARD, 'Sec-WebSocket-Protocol: SPDY/3.1+portforward.k8s.io').join('\r\n')}\r\n\r\n`,
  );
  const [head] = (await once(socket, 'data')) as [Buffer];
  assert.match(
    head.toString('latin1'),
    /^HTTP\/1\.1 101 [\s\S]*Protocol: SPDY\/3\.1\+portforward\.k8s\.io[\s\S]*\r\n\r\n$/,
  );
  const messages = new WebSocketFrameWriter('client', (bytes) => socket.write(bytes));
  const writer = new SpdyFrameWriter((bytes) => {
    // Message borders mean nothing in the tunnel.
    for (let at = 0; at < bytes.length; at += 5) messages.message(bytes.subarray(at, at + 5));
  });
  const events: string[] = [];
  const reader = new SpdyFrameReader({
    synStream: (id) => events.push(`syn ${id}`),
    headers: () => {},
    ping: () => {},
    goAway: () => {},
    synReply: (id) => events.push(`reply ${id}`),
    rstStream: (id, status) => events.push(`rst ${id} ${status}`),
    data: (id, piece, fin) => events.push(`data ${id} ${piece.toString()}${fin ? ' fin' : ''}`),
  });
  const ignore = (): void => {};
  const frames = new WebSocketFrameReader('client', {
    message: (piece) => reader.receive(piece),
    ping: ignore,
    pong: ignore,
    close: ignore,
  });
  socket.on('data', (chunk: Buffer) => frames.receive(chunk));
  const open = (id: number, kind: string, port: string | string[], requestID = '0'): void =>
    writer.synStream(id, [
      ['streamtype', kind],
      ['port', port],
      ['requestid', requestID],
      ['x-more', 'dropped'],
    ]);
  open(1, 'error', '8080');
  open(3, 'data', '8080');
  open(5, 'error', '22', '1');
  open(7, 'data', '22', '0'); // under the number of an allowed request: its own port counts
  open(9, 'data', ['8080', '22']);
  open(11, 'data', '+22');
  open(13, 'data', '022');
  open(15, 'data', '65536');
  open(17, 'shell', '8080');
  open(12, 'data', '8080');
  open(19, 'data', '9090', '2');
  writer.data(19, Buffer.from('too early'));
  open(21, 'data', '9091', '3');
  await delay(300);
  writer.data(3, Buffer.from('ping'));
  writer.data(3, Buffer.alloc(0), true);
  await delay(100);
  assert.deepEqual(judged, [8080, 8080, 22, 22, 9090, 9091]);
  assert.deepEqual(opened, [
    [1, ['streamtype=data', 'port=9091', 'requestid=3']],
    [3, ['streamtype=error', 'port=8080', 'requestid=0']],
    [5, ['streamtype=data', 'port=8080', 'requestid=0']],
  ]);
  for (const expected of [
    'rst 9 1',
    'rst 11 1',
    'rst 13 1',
    'rst 15 1',
    'rst 17 1',
    'rst 12 1',
    'rst 19 1',
    'rst 7 3',
  ]) {
    assert.ok(events.includes(expected), expected);
  }
  assert.ok(events.indexOf('reply 7') < events.indexOf('rst 7 3'));
  assert.match(
    events.filter((event) => event.startsWith('data 5')).join(''),
    /SP_POLICY_DENIED: port 22 is not for agents.*fin/,
  );
  assert.equal(
    events
      .filter((event) => event.startsWith('data 3'))
      .map((event) => event.slice(7))
      .join(''),
    'ping fin',
  );
  messages.close(1000);
  const { ports, endedBy } = await outcome(proxy);
  assert.deepEqual([ports, endedBy], [[9091, 8080], 'client']);
});

test('a flood of streams that make no sense ends the connection', async () => {
  for (const [path, protocol, type] of [
    [EXEC, 'v4.channel.k8s.io', 'shell'],
    [FORWARD, 'portforward.k8s.io', 'shell'],
  ] as const) {
    const proxy = await bridge();
    upstream.onUpgrade = (_request, socket) => {
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: ${protocol}\r\n\r\n`,
      );
      const writer = new SpdyFrameWriter((bytes) => socket.write(bytes));
      const ignore = (): void => {};
      const handler = {
        synReply: ignore,
        headers: ignore,
        rstStream: ignore,
        ping: ignore,
        goAway: ignore,
        data: ignore,
      };
      const reader = new SpdyFrameReader({ ...handler, synStream: (id) => writer.synReply(id) });
      socket.on('data', (chunk: Buffer) => reader.receive(chunk));
    };
    const socket = connect({ port: Number(new URL(proxy.url).port), host: '127.0.0.1', ca: upstream.target.caPem });
    socket.on('error', () => {});
    socket.write(
      `POST ${path} HTTP/1.1\r\nHost: gate\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: ${protocol}\r\nContent-Length: 0\r\n\r\n`,
    );
    await once(socket, 'data');
    socket.pause();
    const writer = new SpdyFrameWriter((bytes) => socket.write(bytes));
    for (let id = 1; id < 300; id += 2) writer.synStream(id, [['streamtype', type]]);
    const { endedBy, error } = await outcome(proxy);
    assert.deepEqual([endedBy, error?.code], ['gateway', 'SP_BAD_REQUEST']);
    assert.match(error!.message, /a flood of frames/);
    socket.destroy();
  }
});

test('streams that are reset at once do not multiply judgements', async () => {
  let judging = 0;
  let most = 0;
  const proxy = await bridge({
    limits: { maxPortStreams: 10 },
    judgePort: async () => {
      judging += 1;
      most = Math.max(most, judging);
      await delay(200);
      judging -= 1;
    },
  });
  upstream.onUpgrade = (_request, socket) => {
    socket.write(
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: portforward.k8s.io\r\n\r\n',
    );
  };
  const socket = connect({ port: Number(new URL(proxy.url).port), host: '127.0.0.1', ca: upstream.target.caPem });
  socket.write(
    `POST ${FORWARD} HTTP/1.1\r\nHost: gate\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: portforward.k8s.io\r\nContent-Length: 0\r\n\r\n`,
  );
  await once(socket, 'data');
  socket.resume();
  const writer = new SpdyFrameWriter((bytes) => socket.write(bytes));
  for (let id = 1; id < 2_000; id += 2) {
    writer.synStream(id, [
      ['streamtype', 'data'],
      ['port', '80'],
      ['requestid', '0'],
    ]);
    writer.rstStream(id, 5);
  }
  await delay(300);
  assert.equal(most, 10);
  socket.destroy();
  await outcome(proxy);
});
