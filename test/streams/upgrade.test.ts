import assert from 'node:assert/strict';
import { once } from 'node:events';
import test, { after, afterEach, before } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { connect } from 'node:tls';
import { WebSocket, WebSocketServer } from 'ws';
import { SallyportError } from '../../src/errors.ts';
import type { UpgradeOutcome } from '../../src/gateway/upgrade/context.ts';
import { SpdyFrameReader } from '../../src/streams/spdy/frame-reader.ts';
import { SpdyFrameWriter } from '../../src/streams/spdy/frame-writer.ts';
import { WebSocketFrameReader } from '../../src/streams/websocket/frame-reader.ts';
import { WebSocketFrameWriter } from '../../src/streams/websocket/frame-writer.ts';
import { acceptFor } from '../../src/streams/websocket/handshake.ts';
import { BridgeProxy, type BridgeProxyOptions } from './bridge-proxy.ts';
import { FakeUpstream } from './fake-upstream.ts';

const EXEC = '/api/v1/namespaces/shop/pods/web/exec?command=sh&stdin=true&stdout=true&stderr=true';
const FORWARD = '/api/v1/namespaces/shop/pods/web/portforward';
const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';

let upstream: FakeUpstream;
let servers: WebSocketServer;
const proxies: BridgeProxy[] = [];

before(async () => {
  upstream = await FakeUpstream.start();
  servers = new WebSocketServer({ noServer: true, handleProtocols: (offered) => [...offered][0] ?? false });
});
afterEach(async () => {
  upstream.requests.length = 0;
  for (const proxy of proxies.splice(0)) await proxy.stop();
  for (const socket of upstream.sockets) socket.destroy();
});
after(async () => {
  servers.close();
  await upstream.stop();
});

async function bridge(options: BridgeProxyOptions = {}): Promise<BridgeProxy> {
  const proxy = await BridgeProxy.start(upstream.target, options);
  proxies.push(proxy);
  return proxy;
}

/** The API server's side as the `ws` package speaks it. */
function serveWebSocket(session: (socket: WebSocket) => void): void {
  upstream.onUpgrade = (request, socket, head) => servers.handleUpgrade(request, socket, head, session);
}

/** Sends raw bytes and gives all that is answered until the connection ends or is quiet. */
async function raw(
  proxy: BridgeProxy,
  lines: string[],
  more: { after?: Buffer; quiet?: number } = {},
): Promise<string> {
  const socket = connect({ port: Number(new URL(proxy.url).port), host: '127.0.0.1', ca: upstream.target.caPem });
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.on('error', () => {});
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  if (more.after !== undefined) socket.write(more.after);
  await Promise.race([closed, delay(more.quiet ?? 3_000)]);
  socket.destroy();
  return Buffer.concat(chunks).toString('latin1');
}

const webSocketRequest = (path: string, ...more: string[]): string[] => [
  `GET ${path} HTTP/1.1`,
  'Host: gate',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  `Sec-WebSocket-Key: ${KEY}`,
  ...more,
];
const execRequest = (...more: string[]): string[] =>
  webSocketRequest(EXEC, 'Sec-WebSocket-Protocol: v5.channel.k8s.io', ...more);

function client(proxy: BridgeProxy, path: string, protocols: string | string[]): WebSocket {
  return new WebSocket(`${proxy.url.replace('https', 'wss')}${path}`, protocols, { ca: upstream.target.caPem });
}

async function outcome(proxy: BridgeProxy): Promise<UpgradeOutcome> {
  for (let tries = 0; tries < 300 && proxy.outcomes.length === 0; tries++) await delay(10);
  const first = proxy.outcomes[0];
  assert.ok(first !== undefined, 'the upgrade has ended');
  if (first instanceof SallyportError) throw first;
  return first;
}

const SUCCESS = JSON.stringify({ kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success' });
const message = (channel: number, text: string | Buffer): Buffer =>
  Buffer.concat([Buffer.from([channel]), Buffer.from(text)]);

/** CVE-2018-1002105: whatever is not the 101 that was asked for never becomes a pipe. */
const accepted = ['HTTP/1.1 101 Switching Protocols', 'Connection: Upgrade', 'Upgrade: websocket'];
for (const [name, lines] of [
  ['a 200', ['HTTP/1.1 200 OK', 'Content-Length: 2', '', 'ok']],
  ['a redirect', ['HTTP/1.1 302 Found', 'Location: https://elsewhere.example/', 'Content-Length: 0']],
  ['no accept value', [...accepted, 'Sec-WebSocket-Protocol: v5.channel.k8s.io']],
  [
    'a wrong accept value',
    [...accepted, 'Sec-WebSocket-Protocol: v5.channel.k8s.io', `Sec-WebSocket-Accept: ${acceptFor(KEY)}`],
  ],
  ['another protocol', ['HTTP/1.1 101 Switching Protocols', 'Connection: Upgrade', 'Upgrade: SPDY/3.1']],
  ['no Upgrade', ['HTTP/1.1 101 Switching Protocols', 'Connection: Upgrade']],
  ['nonsense', ['SSH-2.0-OpenSSH']],
] as const) {
  test(`upstream answers ${name}: the client gets a Status and no tunnel`, async () => {
    const proxy = await bridge();
    upstream.answerWith(...lines);
    const smuggled = Buffer.from('GET /api/v1/secrets HTTP/1.1\r\nHost: gate\r\n\r\n');
    const answer = await raw(proxy, execRequest(), { after: smuggled });
    assert.match(answer, /^HTTP\/1\.1 502 /);
    assert.match(answer, /SP_UPSTREAM_UNREACHABLE/);
    assert.equal(answer.match(/HTTP\/1\.1/g)?.length, 1, 'one answer, whatever was sent behind the request');
    assert.doesNotMatch(answer, /elsewhere/);
    await delay(50);
    assert.equal(upstream.sockets.size, 0, 'the socket is not kept');
  });
}

for (const [name, change] of [
  [
    'a sub-protocol that was not offered',
    (key: string) => [`Sec-WebSocket-Accept: ${acceptFor(key)}`, 'Sec-WebSocket-Protocol: v4.channel.k8s.io'],
  ],
  [
    'an extension that was not offered',
    (key: string) => [
      `Sec-WebSocket-Accept: ${acceptFor(key)}`,
      'Sec-WebSocket-Protocol: v5.channel.k8s.io',
      'Sec-WebSocket-Extensions: permessage-deflate',
    ],
  ],
] as const) {
  test(`upstream answers a 101 with ${name}: refused`, async () => {
    const proxy = await bridge();
    upstream.onUpgrade = (request, socket) => {
      socket.write(`${[...accepted, ...change(String(request.headers['sec-websocket-key']))].join('\r\n')}\r\n\r\n`);
    };
    assert.match(await raw(proxy, execRequest()), /^HTTP\/1\.1 502 /);
  });
}

test('upstream declines with a Status: relayed as an ordinary answer, nothing behind it', async () => {
  const proxy = await bridge();
  const status = JSON.stringify({ kind: 'Status', status: 'Failure', message: 'pods "web" not found', code: 404 });
  upstream.onUpgrade = (_request, socket) => {
    socket.write(
      `HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nSet-Cookie: a=b\r\nContent-Length: ${status.length}\r\n\r\n${status}`,
    );
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret');
  };
  const answer = await raw(proxy, execRequest());
  assert.match(answer, /^HTTP\/1\.1 404 /);
  assert.ok(answer.endsWith(status));
  assert.doesNotMatch(answer, /secret|Set-Cookie/i);
  assert.equal(upstream.requests.length, 1, 'a Status is a decision: not asked again over SPDY');
  assert.equal((await outcome(proxy)).status, 404);
});

test('upstream declines without a Status: the other family is tried, and the first answer relayed', async () => {
  const proxy = await bridge();
  upstream.answerWith('HTTP/1.1 403 Forbidden', 'Content-Length: 0');
  assert.match(await raw(proxy, execRequest()), /^HTTP\/1\.1 403 /);
  assert.deepEqual(
    upstream.requests.map((request) => [request.method, request.headers.upgrade]),
    [
      ['GET', 'websocket'],
      ['POST', 'SPDY/3.1'],
    ],
  );
});

test('an answer without end is cut at its limit', async () => {
  const proxy = await bridge();
  upstream.onUpgrade = (_request, socket) => {
    socket.write('HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\n\r\n');
    const timer = setInterval(() => socket.write(Buffer.alloc(65_536, 'x')), 1);
    socket.on('error', () => {});
    socket.once('close', () => clearInterval(timer));
  };
  assert.match(await raw(proxy, execRequest()), /^HTTP\/1\.1 502 /);
});

for (const [name, lines] of [
  ['a POST with a WebSocket', ['POST', ...execRequest().slice(1)]],
  ['a malformed key', execRequest().map((line) => line.replace(KEY, 'short'))],
  ['version 8', execRequest().map((line) => line.replace('13', '8'))],
  ['an unknown protocol', execRequest().map((line) => line.replace('websocket', 'h2c'))],
  ['no sub-protocol', webSocketRequest(EXEC)],
  ['a base64 sub-protocol', webSocketRequest(EXEC, 'Sec-WebSocket-Protocol: v4.base64.channel.k8s.io')],
  ['a path that has no upgrade', webSocketRequest('/api/v1/pods', 'Sec-WebSocket-Protocol: v5.channel.k8s.io')],
] as const) {
  test(`a client that offers ${name} is refused before anything is dialled`, async () => {
    const proxy = await bridge();
    const [first, ...rest] = lines;
    const answer = await raw(proxy, [first === 'POST' ? `POST ${EXEC} HTTP/1.1` : first!, ...rest]);
    assert.match(answer, /^HTTP\/1\.1 400 /, answer);
    assert.match(answer, /SP_UPGRADE_REFUSED/);
    assert.equal(upstream.requests.length, 0);
  });
}

test('a bearer sub-protocol and upgrade headers of the client are not forwarded', async () => {
  const proxy = await bridge();
  upstream.answerWith('HTTP/1.1 403 Forbidden', 'Content-Length: 0');
  const secret = Buffer.from('token-of-a-caller').toString('base64url');
  await raw(
    proxy,
    execRequest(
      `Sec-WebSocket-Protocol: base64url.bearer.authorization.k8s.io.${secret}`,
      'Sec-WebSocket-Extensions: permessage-deflate',
      'Authorization: Bearer x',
      'Cookie: a=b',
    ),
  );
  for (const request of upstream.requests) {
    const sent = request.rawHeaders.join('\n');
    assert.doesNotMatch(sent, /bearer|permessage|cookie|authorization/i);
    assert.notEqual(request.headers['sec-websocket-key'], KEY, 'a key of its own');
  }
});

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
    servers.handleUpgrade(request, socket, head, (session) => {
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
  assert.equal((await outcome(proxy)).endedBy, 'client');
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
  await delay(300);
  writer.data(3, Buffer.from('ping'));
  writer.data(3, Buffer.alloc(0), true);
  await delay(100);
  assert.deepEqual(judged, [8080, 8080, 22, 22, 9090]);
  assert.deepEqual(opened, [
    [1, ['streamtype=error', 'port=8080', 'requestid=0']],
    [3, ['streamtype=data', 'port=8080', 'requestid=0']],
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
  assert.deepEqual([ports, endedBy], [[8080], 'client']);
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
