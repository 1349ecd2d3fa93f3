import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { type TestContext, test } from 'node:test';
import { Metrics } from './metrics.ts';
import { Checks, type Probes, probeServer } from './probes.ts';

async function serve(t: TestContext): Promise<{ probes: Probes; url: string; server: Server }> {
  const probes: Probes = { liveness: new Checks(), readiness: new Checks(), metrics: new Metrics('0') };
  const server = probeServer(probes).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { probes, server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

test('readiness fails with the reason as long as one check fails', async (t) => {
  const { probes, url } = await serve(t);
  let policies: true | string = 'not loaded yet';
  probes.readiness.register('policies', () => policies);
  probes.readiness.register('credential', () => true);
  const failed = await fetch(`${url}/readyz`);
  assert.equal(failed.status, 503);
  assert.equal(await failed.text(), '[-]policies failed: not loaded yet\ncheck failed\n');
  assert.equal((await fetch(`${url}/livez`)).status, 200);
  policies = true;
  const passed = await fetch(`${url}/readyz?verbose`);
  assert.equal(passed.status, 200);
  assert.equal(await passed.text(), '[+]policies ok\n[+]credential ok\ncheck passed\n');
});

test('a check that holds may say something, to those who want to know', async (t) => {
  const { probes, url } = await serve(t);
  probes.readiness.register('lease', () => ({ note: 'another replica leads' }));
  assert.equal(await (await fetch(`${url}/readyz`)).text(), 'ok\n');
  assert.equal(
    await (await fetch(`${url}/readyz?verbose`)).text(),
    '[+]lease ok: another replica leads\ncheck passed\n',
  );
});

test('a check that throws counts as failed, and tells nothing of why', async (t) => {
  const { probes, url } = await serve(t);
  probes.readiness.register('odd', () => {
    throw new Error('inner workings');
  });
  const answer = await fetch(`${url}/readyz`);
  assert.equal(answer.status, 503);
  assert.ok(!(await answer.text()).includes('inner workings'));
});

test('a check can be taken away, and its name cannot be taken twice', () => {
  const checks = new Checks();
  const remove = checks.register('one', () => 'no');
  assert.throws(() => checks.register('one', () => true), /already/);
  remove();
  assert.equal(checks.failing().size, 0);
});

test('metrics are served in the text format', async (t) => {
  const { url } = await serve(t);
  const answer = await fetch(`${url}/metrics`);
  assert.equal(answer.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8');
  assert.match(await answer.text(), /^# TYPE sallyport_requests_total counter$/m);
});

test('other paths, methods and upgrades are refused', async (t) => {
  const { url } = await serve(t);
  assert.equal((await fetch(`${url}/debug/pprof`)).status, 404);
  assert.equal((await fetch(`${url}/readyz`, { method: 'POST', body: 'x' })).status, 405);
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  socket.write('GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
  const [gone] = await Promise.race([
    once(socket, 'close').then(() => [true]),
    once(socket, 'data').then(([data]) => [!String(data).startsWith('HTTP/1.1 101')]),
  ]);
  assert.ok(gone);
  socket.destroy();
});

test('connections that say nothing are closed, and do not keep others from an answer', async (t) => {
  const { url, server } = await serve(t);
  const port = Number(new URL(url).port);
  const silent = Array.from({ length: 100 }, () => connect(port, '127.0.0.1').on('error', () => {}));
  const closed = Promise.all(silent.map((socket) => once(socket, 'close')));
  assert.equal((await fetch(`${url}/livez`)).status, 200);
  for (const socket of silent) socket.resume();
  await closed;
  const count = await new Promise<number>((resolve) => {
    server.getConnections((_error, connections) => resolve(connections));
  });
  assert.ok(count <= 1);
});

test('more connections than the bound are closed at once', async (t) => {
  const { url } = await serve(t);
  const port = Number(new URL(url).port);
  const sockets = Array.from({ length: 200 }, () => connect(port, '127.0.0.1').on('error', () => {}));
  let closed = 0;
  for (const socket of sockets) socket.resume().once('close', () => closed++);
  const before = performance.now();
  while (closed < 72 && performance.now() - before < 3_000) await new Promise((resolve) => setTimeout(resolve, 20));
  assert.ok(closed >= 72, `${closed} closed`);
  for (const socket of sockets) socket.destroy();
});
