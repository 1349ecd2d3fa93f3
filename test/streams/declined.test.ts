import assert from 'node:assert/strict';
import test from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { acceptFor } from '../../src/streams/websocket/handshake.ts';
import { bridge, EXEC, execRequest, KEY, outcome, raw, upstream, webSocketRequest } from './between.ts';

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
