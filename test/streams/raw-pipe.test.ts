import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import test from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { SallyportError } from '../../src/errors.ts';
import { bridge, client, outcome, raw, serveWebSocket, upstream, webSocketRequest } from './between.ts';

const PROXY = '/api/v1/namespaces/shop/pods/web/proxy/socket?room=a%20b';
const FORWARD = '/api/v1/namespaces/shop/pods/web/portforward';

test('a proxy upgrade pipes a protocol of the program’s own, both ways, behind a validated 101', async () => {
  const proxy = await bridge();
  serveWebSocket((socket) => socket.on('message', (data, binary) => socket.send(data, { binary })));
  const socket = client(proxy, PROXY, ['chat.example', 'other.example']);
  await once(socket, 'open');
  assert.equal(socket.protocol, 'chat.example');
  assert.match(upstream.requests[0]!.url!, /\/proxy\/socket\?room=a/);
  const bytes = randomBytes(5_000_000);
  const echoed = once(socket, 'message');
  socket.send(bytes);
  assert.ok(bytes.equals((await echoed)[0] as Buffer));
  socket.close();
  const { protocol, bytesFromClient, status } = await outcome(proxy);
  assert.deepEqual([protocol, status], ['websocket chat.example', 101]);
  assert.ok(bytesFromClient > bytes.length);
});

test('a proxy upgrade without sub-protocol, and one that the program declines', async () => {
  const proxy = await bridge();
  serveWebSocket((socket) => socket.send('hello'));
  const socket = client(proxy, PROXY, []);
  assert.equal(String((await once(socket, 'message'))[0]), 'hello');
  socket.terminate();
  upstream.answerWith('HTTP/1.1 426 Upgrade Required', 'Content-Length: 3', '', 'no!');
  assert.match(await raw(proxy, webSocketRequest(PROXY)), /^HTTP\/1\.1 426 /);
});

test('a pipe holds the side that sends while the other does not take, and ends with a revoked session', async () => {
  const proxy = await bridge();
  let sent = 0;
  serveWebSocket((socket) => {
    const chunk = Buffer.alloc(65_536);
    const more = (): void => {
      if (socket.readyState !== socket.OPEN) return;
      socket.send(chunk, () => {
        sent += chunk.length;
        setImmediate(more);
      });
    };
    more();
  });
  const socket = client(proxy, PROXY, []);
  await once(socket, 'open');
  socket.pause();
  await delay(500);
  const before = sent;
  await delay(300);
  assert.equal(sent, before);
  for (const controller of proxy.live) controller.abort(new SallyportError('SP_SESSION_REFUSED', 'revoked'));
  const { endedBy, error } = await outcome(proxy);
  assert.deepEqual([endedBy, error?.code], ['gateway', 'SP_SESSION_REFUSED']);
  socket.terminate();
});

test('the old port-forward over WebSocket: each port of its query is judged before anything is dialled', async () => {
  const judged: number[] = [];
  const proxy = await bridge({
    judgePort: async (port) => {
      judged.push(port);
      if (port === 22) throw new SallyportError('SP_POLICY_DENIED', 'port 22 is not for agents');
    },
  });
  const old = 'Sec-WebSocket-Protocol: v4.channel.k8s.io';
  const answer = await raw(proxy, webSocketRequest(`${FORWARD}?ports=80&ports=22`, old));
  assert.match(answer, /^HTTP\/1\.1 403 [\s\S]*port 22 is not for agents/);
  assert.deepEqual([judged, upstream.requests.length], [[80, 22], 0]);
  assert.match(await raw(proxy, webSocketRequest(FORWARD, old)), /^HTTP\/1\.1 400 [\s\S]*no ports are named/);

  serveWebSocket((socket) => socket.send(Buffer.from([0, 80, 0])));
  const socket = client(proxy, `${FORWARD}?ports=80`, ['v4.channel.k8s.io']);
  assert.deepEqual((await once(socket, 'message'))[0], Buffer.from([0, 80, 0]));
  socket.terminate();
});
