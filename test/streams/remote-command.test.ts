import assert from 'node:assert/strict';
import { once } from 'node:events';
import test from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { connect } from 'node:tls';
import { WebSocket } from 'ws';
import { SallyportError } from '../../src/errors.ts';
import { SpdyFrameReader } from '../../src/streams/spdy/frame-reader.ts';
import { SpdyFrameWriter } from '../../src/streams/spdy/frame-writer.ts';
import { bridge, client, EXEC, message, outcome, peers, SUCCESS, serveWebSocket, upstream } from './between.ts';

test('exec between two independent WebSocket implementations: channels, half-close, Status last', async () => {
  const proxy = await bridge();
  const received: string[] = [];
  serveWebSocket((socket) => {
    socket.send(message(1, ''));
    socket.on('message', (data: Buffer) => {
      received.push(data.toString('hex'));
      if (data[0] !== 255) return;
      socket.send(message(1, 'out'));
      socket.send(message(2, 'err'));
      socket.send(message(3, SUCCESS));
      socket.close(1000);
    });
  });
  const socket = client(proxy, EXEC, ['v5.channel.k8s.io']);
  const got: string[] = [];
  socket.on('message', (data: Buffer) => got.push(data.toString('latin1')));
  socket.once('open', () => {
    // Fragments of one message, and a text frame as the Python client sends it.
    socket.send(Buffer.from([0, 97]), { fin: false, binary: true });
    socket.send(Buffer.from('bc'), { fin: true });
    socket.send('\u0000text', { binary: false });
    socket.send(Buffer.from([1, 120])); // stdout is not the client's to write
    socket.send(Buffer.from([9, 120])); // no such channel
    socket.send(Buffer.from([255, 0]));
    socket.send(Buffer.from([0, 120])); // behind the end
  });
  const code = await new Promise((resolve) => socket.once('close', resolve));
  assert.equal(code, 1000);
  assert.deepEqual(got, ['\x01', '\x01out', '\x02err', `\x03${SUCCESS}`]);
  assert.equal(
    Buffer.concat(
      received.filter((hex) => hex.startsWith('00')).map((hex) => Buffer.from(hex, 'hex').subarray(1)),
    ).toString(),
    'abctext',
  );
  assert.deepEqual(received.at(-1), 'ff00');
  const { exit, endedBy, protocol } = await outcome(proxy);
  assert.deepEqual([exit?.success, endedBy, protocol], [true, 'upstream', 'websocket v5.channel.k8s.io']);
});

test('a SPDY client reaches an API server that speaks only WebSocket', async () => {
  const proxy = await bridge();
  upstream.onUpgrade = (request, socket, head) => {
    if (request.headers.upgrade !== 'websocket') {
      socket.end('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
      return;
    }
    peers.handleUpgrade(request, socket, head, (session) => {
      session.send(message(1, 'early'));
      session.on('message', (data: Buffer) => {
        if (data[0] === 0) session.send(message(1, data.subarray(1)));
        if (data[0] !== 255) return;
        session.send(message(3, SUCCESS));
        session.close(1000);
      });
    });
  };
  const { port } = new URL(proxy.url);
  const socket = connect({ port: Number(port), host: '127.0.0.1', ca: upstream.target.caPem });
  const closed = once(socket, 'close');
  const writer = new SpdyFrameWriter((bytes) => socket.write(bytes));
  const streams = ['error', 'stdin', 'stdout', 'stderr'];
  const got: Record<string, string> = {};
  const ended: string[] = [];
  const replies: number[] = [];
  const ignore = (): void => {};
  const reader = new SpdyFrameReader({
    synStream: ignore,
    headers: ignore,
    rstStream: ignore,
    ping: ignore,
    goAway: ignore,
    synReply: (id) => {
      replies.push(id);
      if (replies.length < 4) return;
      writer.data(3, Buffer.from('+stdin'));
      writer.data(3, Buffer.alloc(0), true);
    },
    data: (id, piece, fin) => {
      const name = streams[(id - 1) / 2]!;
      got[name] = (got[name] ?? '') + piece.toString();
      if (fin) ended.push(name);
      if (ended.length === 4) socket.end();
    },
  });
  socket.write(
    `POST ${EXEC} HTTP/1.1\r\nHost: gate\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\nContent-Length: 0\r\n\r\n`,
  );
  let head = '';
  socket.on('data', (chunk: Buffer) => {
    if (head.endsWith('\r\n\r\n')) return reader.receive(chunk);
    const text = chunk.toString('latin1');
    const end = (head + text).indexOf('\r\n\r\n');
    assert.notEqual(end, -1);
    const before = head.length;
    head = (head + text).slice(0, end + 4);
    assert.match(head, /^HTTP\/1\.1 101 [\s\S]*X-Stream-Protocol-Version: v4\.channel\.k8s\.io/);
    for (const [index, name] of streams.entries()) writer.synStream(2 * index + 1, [['streamtype', name]]);
    if (chunk.length > end + 4 - before) reader.receive(chunk.subarray(end + 4 - before));
  });
  const result = await outcome(proxy);
  await closed;
  assert.deepEqual(got, { stdin: '', stdout: 'early+stdin', stderr: '', error: SUCCESS });
  assert.deepEqual([result.upstreamProtocol, result.exit?.success], ['websocket v5.channel.k8s.io', true]);
});

test('an API server that breaks off without a Status is a failure, never a silent success', async () => {
  const proxy = await bridge();
  for (const end of ['close', 'terminate'] as const) {
    serveWebSocket((socket) => socket.send(message(1, 'half'), () => socket[end]()));
    const socket = client(proxy, EXEC, ['v5.channel.k8s.io']);
    const got: Buffer[] = [];
    socket.on('message', (data: Buffer) => got.push(data));
    await new Promise((resolve) => socket.once('close', resolve));
    const status = JSON.parse(got.at(-1)!.subarray(1).toString()) as { status: string; message: string };
    assert.equal(status.status, 'Failure', end);
    assert.match(status.message, /SP_UPSTREAM_UNREACHABLE/);
  }
});

test('a revoked session ends the stream with its reason on the error channel', async () => {
  const proxy = await bridge();
  let closed = false;
  serveWebSocket((socket) => {
    socket.on('close', () => {
      closed = true;
    });
    socket.send(message(1, 'working'));
  });
  const socket = client(proxy, EXEC, ['v5.channel.k8s.io']);
  const got: Buffer[] = [];
  socket.on('message', (data: Buffer) => {
    got.push(data);
    for (const controller of proxy.live)
      controller.abort(new SallyportError('SP_SESSION_REFUSED', 'the session was revoked'));
  });
  const code = await new Promise((resolve) => socket.once('close', resolve));
  assert.equal(code, 1000);
  assert.equal(got.at(-1)![0], 3);
  assert.match(got.at(-1)!.toString(), /SP_SESSION_REFUSED: the session was revoked/);
  const { endedBy, error } = await outcome(proxy);
  assert.deepEqual([endedBy, error?.code], ['gateway', 'SP_SESSION_REFUSED']);
  for (let tries = 0; tries < 100 && !closed; tries++) await delay(10);
  assert.equal(closed, true, 'upstream hears of it');
});

test('a client that leaves ends the stream upstream', async () => {
  const proxy = await bridge();
  const ended = new Promise((resolve) => {
    serveWebSocket((socket) => socket.once('close', resolve));
  });
  const socket = client(proxy, EXEC, ['v5.channel.k8s.io']);
  await new Promise((resolve) => socket.once('open', resolve));
  socket.terminate();
  await ended;
  await assert.equal((await outcome(proxy)).endedBy, 'client');
});

test('a client that leaves while the API server is dialled', async () => {
  const proxy = await bridge();
  const asked = new Promise((resolve) => {
    upstream.onUpgrade = resolve;
  });
  const socket = client(proxy, EXEC, ['v5.channel.k8s.io']);
  socket.on('error', () => {});
  await asked;
  socket.terminate();
  await assert.rejects(outcome(proxy), /the client left/);
  for (let tries = 0; tries < 100 && upstream.sockets.size > 0; tries++) await delay(10);
  assert.equal(upstream.sockets.size, 0);
});

test('quiet streams are pinged on both sides', async () => {
  const proxy = await bridge({ limits: { pingInterval: 100 } });
  let upstreamPings = 0;
  serveWebSocket((socket) => socket.on('ping', () => (upstreamPings += 1)));
  const socket = client(proxy, EXEC, ['v5.channel.k8s.io']);
  let pings = 0;
  socket.on('ping', () => (pings += 1));
  await delay(600);
  socket.close();
  assert.ok(pings >= 3 && upstreamPings >= 3, `${pings} ${upstreamPings}`);
  await outcome(proxy);
});

test('a stream ends at the longest life of one', async () => {
  const proxy = await bridge({ limits: { maxDuration: 200 } });
  serveWebSocket(() => {});
  const socket = client(proxy, EXEC, ['v5.channel.k8s.io']);
  const got: Buffer[] = [];
  socket.on('message', (data: Buffer) => got.push(data));
  await new Promise((resolve) => socket.once('close', resolve));
  assert.match(got.at(-1)!.toString(), /SP_STREAM_ENDED/);
});

test('a malformed frame closes with its code; the gateway serves on', async () => {
  const proxy = await bridge();
  serveWebSocket(() => {});
  for (const [wire, code] of [
    ['c180000000006b', 1002],
    ['82ff7fffffffffffffff00000000', 1009],
    ['82820000000000ff', 1002],
  ] as const) {
    const socket = client(proxy, EXEC, ['v5.channel.k8s.io']);
    await new Promise((resolve) => socket.once('open', resolve));
    const closed = new Promise((resolve) => socket.once('close', resolve));
    if (code === 1002 && wire.startsWith('8282')) socket.send(Buffer.from([255]));
    else (socket as unknown as { _socket: { write(bytes: Buffer): void } })._socket.write(Buffer.from(wire, 'hex'));
    assert.equal(await closed, code, wire);
  }
});

test('taps change a channel in order, asynchronously, and their error ends the session before a byte passes', async () => {
  let held = Buffer.alloc(0);
  const proxy = await bridge({
    tap: (channel) =>
      channel !== 'stdout'
        ? undefined
        : {
            write: async (chunk) => {
              await delay(Math.random() * 5);
              if (chunk.includes('forbidden')) throw new SallyportError('SP_POLICY_DENIED', 'the tap stopped this');
              const out = held;
              held = Buffer.from(chunk.toString().toUpperCase());
              return out;
            },
            end: () => held,
          },
  });
  serveWebSocket((socket) => {
    for (let index = 0; index < 20; index++) socket.send(message(1, `line ${index}\n`));
    socket.send(message(3, SUCCESS), () => socket.close(1000));
  });
  const socket = client(proxy, EXEC, ['v5.channel.k8s.io']);
  const got: Buffer[] = [];
  socket.on('message', (data: Buffer) => got.push(data));
  await new Promise((resolve) => socket.once('close', resolve));
  const expected = Array.from({ length: 20 }, (_, index) => `LINE ${index}\n`).join('');
  assert.equal(Buffer.concat(got.filter((data) => data[0] === 1).map((data) => data.subarray(1))).toString(), expected);
  assert.equal(got.at(-1)![0], 3, 'the Status comes last');

  serveWebSocket((session) => session.send(message(1, 'forbidden fruit')));
  const second = client(proxy, EXEC, ['v5.channel.k8s.io']);
  const told: Buffer[] = [];
  second.on('message', (data: Buffer) => told.push(data));
  await new Promise((resolve) => second.once('close', resolve));
  assert.doesNotMatch(Buffer.concat(told).toString(), /fruit/);
  assert.match(Buffer.concat(told).toString(), /the tap stopped this/);
});

test('a client that does not read holds the API server; memory stays bounded', async () => {
  const proxy = await bridge();
  let sent = 0;
  serveWebSocket((socket) => {
    const chunk = message(1, Buffer.alloc(65_536));
    const more = (): void => {
      if (socket.readyState !== WebSocket.OPEN) return;
      socket.send(chunk, () => {
        sent += chunk.length;
        setImmediate(more);
      });
    };
    more();
  });
  const socket = client(proxy, EXEC, ['v5.channel.k8s.io']);
  await new Promise((resolve) => socket.once('open', resolve));
  socket.pause();
  await delay(500);
  const before = sent;
  await delay(500);
  assert.equal(sent, before, 'nothing moves while the client does not read');
  assert.ok(sent < 32 * 1024 * 1024, `${sent} bytes are under way`);
  socket.resume();
  await delay(200);
  assert.ok(sent > before, 'and it goes on when it does');
  socket.terminate();
  await outcome(proxy);
});

test('no socket, timer or listener is left after many sessions', async () => {
  const proxy = await bridge();
  serveWebSocket((socket) => {
    socket.send(message(1, 'x'));
    socket.send(message(3, SUCCESS), () => socket.close(1000));
  });
  const before = process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
  for (let round = 0; round < 20; round++) {
    await Promise.all(
      Array.from({ length: 10 }, async () => {
        const socket = client(proxy, EXEC, ['v5.channel.k8s.io']);
        await new Promise((resolve) => socket.once('close', resolve));
      }),
    );
  }
  for (let tries = 0; tries < 200 && proxy.sockets.size + upstream.sockets.size > 0; tries++) await delay(20);
  assert.deepEqual([proxy.sockets.size, upstream.sockets.size, proxy.live.size], [0, 0, 0]);
  assert.equal(proxy.outcomes.length, 200);
  assert.equal(process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length <= before + 1, true);
});
