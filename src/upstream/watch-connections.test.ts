import assert from 'node:assert/strict';
import {
  type ClientHttp2Stream,
  constants,
  createSecureServer,
  type Http2SecureServer,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { Readable } from 'node:stream';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createSecureContext, createServer as createTLSServer } from 'node:tls';
import type { Dispatcher } from 'undici';
import { CertificateAuthority, type KeyPair } from '../../test/cluster/certificates.ts';
import { TcpProxy } from '../../test/kubernetes/tcp-proxy.ts';
import { follow, WatchConnections } from './watch-connections.ts';

let authority: CertificateAuthority;
let serving: KeyPair;

before(async () => {
  authority = await CertificateAuthority.create('test');
  serving = await authority.server('api', ['127.0.0.1', 'localhost']);
});

/** An API server as far as a watch sees it: it tells one event, and then says nothing. */
class Server {
  readonly sessions = new Set<ServerHttp2Session>();
  readonly streams: ServerHttp2Stream[] = [];
  readonly heads: string[][] = [];
  readonly #sockets = new Set<Socket>();
  #server: Http2SecureServer | undefined;
  answer: (stream: ServerHttp2Stream) => void = (stream) => {
    stream.respond({ ':status': 200, 'content-type': 'application/json' });
    stream.write('{"type":"ADDED"}\n');
  };

  async listen(settings: { maxConcurrentStreams?: number } = {}): Promise<URL> {
    this.#server = createSecureServer({ cert: serving.certPem, key: serving.keyPem, settings });
    this.#server.on('session', (session) => {
      this.sessions.add(session);
      session.on('error', () => {});
      session.once('close', () => this.sessions.delete(session));
    });
    this.#server.on('secureConnection', (socket) => this.#sockets.add(socket));
    this.#server.on('stream', (stream: ServerHttp2Stream, _headers: unknown, _flags: unknown, raw: string[]) => {
      stream.on('error', () => {});
      this.streams.push(stream);
      this.heads.push(raw);
      this.answer(stream);
    });
    await new Promise<void>((resolve) => this.#server!.listen(0, '127.0.0.1', resolve));
    return new URL(`https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`);
  }

  close(): void {
    for (const session of this.sessions) session.destroy();
    for (const socket of this.#sockets) socket.destroy();
    this.#server?.close();
  }
}

/** What was told of one watch. */
class Told implements Dispatcher.DispatchHandler {
  controller: Dispatcher.DispatchController | undefined;
  status = 0;
  text = '';
  bytes = 0;
  /** Pieces that were told before the head was. */
  headless = 0;
  ended = false;
  error: (Error & { code?: string }) | undefined;
  lasts = 0;
  readonly #waiting = new Set<() => void>();

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.controller = controller;
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number): void {
    this.status = status;
    this.#tell();
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.status === 0) this.headless += 1;
    this.bytes += chunk.length;
    if (this.text.length < 1_000) this.text += chunk.toString();
    this.#tell();
  }

  onResponseEnd(): void {
    this.ended = true;
    this.lasts += 1;
    this.#tell();
  }

  onResponseError(_controller: Dispatcher.DispatchController | undefined, error: Error): void {
    this.error = error;
    this.lasts += 1;
    this.#tell();
  }

  async until(holds: () => boolean): Promise<void> {
    const end = Date.now() + 10_000;
    while (!holds()) {
      assert.ok(Date.now() < end, `it did not come to that: ${JSON.stringify(this)}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 100);
        this.#waiting.add(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  #tell(): void {
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }
}

/**
 * A stream whose head is told of after its bytes: node does so where both are read while JavaScript runs, as when another request is
 * being written. A real server shows it in one of ten thousand answers.
 */
class LateHead extends Readable {
  readonly rstCode = constants.NGHTTP2_NO_ERROR;
  readonly aborted = false;

  override _read(): void {}

  close(): void {
    this.destroy();
  }

  async tell(bytes: string): Promise<void> {
    // Until it flows.
    await sleep(5);
    this.push(bytes);
    this.push(null);
    process.nextTick(() => this.emit('response', { ':status': 429 }, 0, [':status', '429']));
  }
}

test('an answer whose bytes come with its head is told with the head first', async () => {
  const stream = new LateHead();
  const told = new Told();
  follow(stream as unknown as ClientHttp2Stream, told, 5_000);
  await stream.tell('Too many requests');
  await told.until(() => told.lasts > 0);
  assert.deepEqual([told.headless, told.status, told.text, told.ended], [0, 429, 'Too many requests', true]);
});

describe('watches over shared connections', () => {
  let server: Server;
  let connections: WatchConnections;
  const opened: WatchConnections[] = [];

  beforeEach(() => {
    server = new Server();
  });

  afterEach(() => {
    for (const one of opened.splice(0)) one.destroy();
    server.close();
  });

  function open(
    url: URL,
    more: { requestTimeout?: number; pingInterval?: number; ca?: string } = {},
  ): WatchConnections {
    const secureContext = createSecureContext({ ca: more.ca ?? authority.certPem });
    const times = { connectTimeout: 5_000, requestTimeout: more.requestTimeout ?? 5_000 };
    const { pingInterval } = more;
    connections = new WatchConnections({
      server: url,
      serverName: undefined,
      secureContext,
      ...times,
      ...(pingInterval === undefined ? {} : { pingInterval }),
    });
    opened.push(connections);
    return connections;
  }

  async function watch(headers: readonly string[] = []): Promise<Told> {
    const told = new Told();
    assert.equal(await connections.dispatch('/api/v1/pods?watch=1', headers, told), true);
    return told;
  }

  test('many share one connection, and each hears its own', async () => {
    open(await server.listen());
    const all = await Promise.all(Array.from({ length: 50 }, () => watch()));
    for (const told of all) await told.until(() => told.text !== '');
    assert.equal(server.sessions.size, 1);
    server.streams[7]!.write('only the eighth');
    await all[7]!.until(() => all[7]!.text.endsWith('only the eighth'));
    assert.equal(all.filter((told) => told.text.includes('eighth')).length, 1);
  });

  test('each group is a line of its own, and the names are what was given', async () => {
    open(await server.listen());
    const told = await watch([
      'Impersonate-User',
      'sallyport:jane',
      'Impersonate-Group',
      'a, b',
      'Impersonate-Group',
      'c',
    ]);
    await told.until(() => told.status === 200);
    const head = server.heads[0]!;
    const lines = head.flatMap((name, i) => (i % 2 === 0 && !name.startsWith(':') ? [[name, head[i + 1]]] : []));
    assert.deepEqual(lines, [
      ['impersonate-user', 'sallyport:jane'],
      ['impersonate-group', 'a, b'],
      ['impersonate-group', 'c'],
    ]);
    assert.equal(head[head.indexOf(':path') + 1], '/api/v1/pods?watch=1');
  });

  test('over what one connection takes there is another one', async () => {
    open(await server.listen({ maxConcurrentStreams: 10 }));
    const all = await Promise.all(Array.from({ length: 25 }, () => watch()));
    for (const told of all) await told.until(() => told.text !== '');
    assert.equal(server.sessions.size, 3);
  });

  test('one that is ended ends upstream, and no other with it', async () => {
    open(await server.listen());
    const [first, second] = [await watch(), await watch()];
    await first.until(() => first.text !== '');
    await second.until(() => second.text !== '');
    const closed = new Promise((resolve) => server.streams[0]!.once('close', resolve));
    first.controller!.abort(new Error('the client left'));
    await closed;
    assert.equal(first.lasts, 1);
    server.streams[1]!.write('still here');
    await second.until(() => second.text.endsWith('still here'));
    assert.equal(server.sessions.size, 1);
  });

  test('a client that does not read holds up nobody else', async () => {
    open(await server.listen());
    const [slow, quick] = [await watch(), await watch()];
    await slow.until(() => slow.text !== '');
    await quick.until(() => quick.text !== '');
    slow.controller!.pause();
    const flood = Buffer.alloc(64 * 1024, 120);
    for (let i = 0; i < 200; i++) server.streams[0]!.write(flood);
    await sleep(200);
    for (let i = 0; i < 50; i++) server.streams[1]!.write(flood);
    await quick.until(() => quick.bytes > 50 * flood.length);
    assert.ok(slow.bytes < 1_000, 'it was told while it was paused');
    slow.controller!.resume();
    await slow.until(() => slow.bytes > 200 * flood.length);
  });

  test('a watch that the server ends has ended; one that breaks off has failed', async () => {
    open(await server.listen());
    const all = await Promise.all([watch(), watch(), watch()]);
    for (const told of all) await told.until(() => told.text !== '');
    server.streams[0]!.end('last');
    await all[0]!.until(() => all[0]!.ended);
    assert.match(all[0]!.text, /last$/);
    server.streams[1]!.destroy(new Error('the server lost its head'));
    await all[1]!.until(() => all[1]!.error !== undefined);
    assert.equal(all[1]!.ended, false);
    for (const session of server.sessions) session.destroy();
    await all[2]!.until(() => all[2]!.error !== undefined);
    assert.equal(all[2]!.ended, false);
    assert.equal(all[2]!.error!.code, 'ECONNRESET');
    for (const told of all) assert.equal(told.lasts, 1);
  });

  test('after GOAWAY what is open goes on, and what comes new gets a new connection', async () => {
    open(await server.listen());
    const before = await watch();
    await before.until(() => before.text !== '');
    const [old] = server.sessions;
    old!.goaway(0);
    await sleep(100);
    const later = await watch();
    await later.until(() => later.text !== '');
    assert.equal(server.streams[1]!.session === old, false);
    server.streams[0]!.write('still here');
    await before.until(() => before.text.endsWith('still here'));
  });

  test('a connection that has fallen silent is given up', async () => {
    const network = await TcpProxy.start((await server.listen()).href);
    after(() => network.close());
    open(new URL(network.url), { pingInterval: 200 });
    const told = await watch();
    await told.until(() => told.text !== '');
    await sleep(600);
    assert.equal(told.error, undefined, 'a quiet watch is healthy');
    network.stall();
    await told.until(() => told.error !== undefined);
    assert.equal(told.error!.code, 'ECONNRESET');
  });

  test('no answer in time is a time-out', async () => {
    server.answer = () => {};
    open(await server.listen(), { requestTimeout: 200 });
    const told = await watch();
    await told.until(() => told.error !== undefined);
    assert.equal(told.error!.code, 'UND_ERR_HEADERS_TIMEOUT');
  });

  test('a server of HTTP/1.1 only is told of, and nothing was sent', async () => {
    let asked = '';
    const plain = createTLSServer(
      { cert: serving.certPem, key: serving.keyPem, ALPNProtocols: ['http/1.1'] },
      (socket) => {
        socket.on('error', () => {});
        socket.on('data', (chunk) => {
          asked += chunk.toString();
        });
      },
    );
    await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve));
    after(() => plain.close());
    open(new URL(`https://127.0.0.1:${(plain.address() as AddressInfo).port}`));
    const told = new Told();
    assert.equal(await connections.dispatch('/api/v1/pods?watch=1', ['Authorization', 'Bearer x'], told), false);
    await sleep(50);
    assert.equal(asked, '');
    assert.equal(told.lasts, 0);
    plain.close();
  });

  test('a server whose certificate is not of the CA is sent nothing', async () => {
    const other = await CertificateAuthority.create('other');
    open(await server.listen(), { ca: other.certPem });
    const told = await watch(['Authorization', 'Bearer x']);
    await told.until(() => told.error !== undefined);
    assert.equal(server.streams.length, 0);
  });

  test('retired, it takes nothing new and keeps what is open', async () => {
    open(await server.listen());
    const told = await watch();
    await told.until(() => told.text !== '');
    connections.retire();
    const late = await watch();
    assert.equal(late.error?.code, 'UND_ERR_CLOSED');
    server.streams[0]!.write('still here');
    await told.until(() => told.text.endsWith('still here'));
    server.streams[0]!.end();
    await told.until(() => told.ended);
    await sleep(100);
    assert.equal(server.sessions.size, 0);
  });
});
