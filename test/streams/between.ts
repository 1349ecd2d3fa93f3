import assert from 'node:assert/strict';
import { after, afterEach, before } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { connect } from 'node:tls';
import { WebSocket, WebSocketServer } from 'ws';
import { SallyportError } from '../../src/errors.ts';
import type { UpgradeOutcome } from '../../src/gateway/upgrade/context.ts';
import { BridgeProxy, type BridgeProxyOptions } from './bridge-proxy.ts';
import { FakeUpstream } from './fake-upstream.ts';

export const EXEC = '/api/v1/namespaces/shop/pods/web/exec?command=sh&stdin=true&stdout=true&stderr=true';
export const FORWARD = '/api/v1/namespaces/shop/pods/web/portforward';
/** The key of every WebSocket request that is written by hand here. */
export const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';

export let upstream: FakeUpstream;
export let peers: WebSocketServer;
const proxies: BridgeProxy[] = [];

before(async () => {
  upstream = await FakeUpstream.start();
  peers = new WebSocketServer({ noServer: true, handleProtocols: (offered) => [...offered][0] ?? false });
});
afterEach(async () => {
  upstream.requests.length = 0;
  for (const proxy of proxies.splice(0)) await proxy.stop();
  for (const socket of upstream.sockets) socket.destroy();
});
after(async () => {
  peers.close();
  await upstream.stop();
});

export async function bridge(options: BridgeProxyOptions = {}): Promise<BridgeProxy> {
  const proxy = await BridgeProxy.start(upstream.target, options);
  proxies.push(proxy);
  return proxy;
}

/** The API server's side as the `ws` package speaks it. */
export function serveWebSocket(session: (socket: WebSocket) => void): void {
  upstream.onUpgrade = (request, socket, head) => peers.handleUpgrade(request, socket, head, session);
}

/** Sends raw bytes and gives all that is answered until the connection ends or is quiet. */
export async function raw(
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

export const webSocketRequest = (path: string, ...more: string[]): string[] => [
  `GET ${path} HTTP/1.1`,
  'Host: gate',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  `Sec-WebSocket-Key: ${KEY}`,
  ...more,
];
export const execRequest = (...more: string[]): string[] =>
  webSocketRequest(EXEC, 'Sec-WebSocket-Protocol: v5.channel.k8s.io', ...more);

export function client(proxy: BridgeProxy, path: string, protocols: string | string[]): WebSocket {
  return new WebSocket(`${proxy.url.replace('https', 'wss')}${path}`, protocols, { ca: upstream.target.caPem });
}

export async function outcome(proxy: BridgeProxy): Promise<UpgradeOutcome> {
  for (let tries = 0; tries < 300 && proxy.outcomes.length === 0; tries++) await delay(10);
  const first = proxy.outcomes[0];
  assert.ok(first !== undefined, 'the upgrade has ended');
  if (first instanceof SallyportError) throw first;
  return first;
}

export const SUCCESS = JSON.stringify({ kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success' });
export const message = (channel: number, text: string | Buffer): Buffer =>
  Buffer.concat([Buffer.from([channel]), Buffer.from(text)]);
