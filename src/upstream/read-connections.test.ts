import assert from 'node:assert/strict';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer as createHttpsServer, type Server as HttpsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { afterEach, before, beforeEach, describe, test } from 'node:test';
import {
  createSecureContext,
  createServer as createTLSServer,
  type Server as TLSServer,
  type TLSSocket,
} from 'node:tls';
import type { Dispatcher } from 'undici';
import { CertificateAuthority, type KeyPair } from '../../test/cluster/certificates.ts';
import { ReadConnections, type ReadConnectionsOptions } from './read-connections.ts';

let authority: CertificateAuthority;
let serving: KeyPair;
let server: HttpsServer | TLSServer;
const sockets = new Set<Socket>();
let opened = 0;
let reads: ReadConnections;

before(async () => {
  authority = await CertificateAuthority.create('test');
  serving = await authority.server('api', ['127.0.0.1', 'localhost']);
});

beforeEach(() => {
  opened = 0;
});

afterEach(() => {
  reads.destroy();
  for (const socket of sockets) socket.destroy();
  server.close();
});

/** What was told of one answer. */
class Told implements Dispatcher.DispatchHandler {
  controller: Dispatcher.DispatchController | undefined;
  status = 0;
  chunks: Buffer[] = [];
  bytes = 0;
  error: (Error & { code?: string }) | undefined;
  lasts = 0;
  onChunk: (() => void) | undefined;
  readonly #last = Promise.withResolvers<void>();

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.controller = controller;
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number): void {
    this.status = status;
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.chunks.push(Buffer.from(chunk));
    this.bytes += chunk.length;
    this.onChunk?.();
  }

  onResponseEnd(): void {
    this.lasts += 1;
    this.#last.resolve();
  }

  onResponseError(_controller: unknown, error: Error): void {
    this.error = error;
    this.lasts += 1;
    this.#last.resolve();
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString('latin1');
  }

  async last(): Promise<this> {
    await this.#last.promise;
    return this;
  }
}

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

async function serve(answer: Answer, options: Partial<ReadConnectionsOptions> = {}): Promise<void> {
  await listen(
    createHttpsServer({ cert: serving.certPem, key: serving.keyPem, keepAliveTimeout: 60_000 }, answer),
    options,
  );
}

/** One that does as it likes. */
async function serveRaw(answer: (socket: TLSSocket, request: string) => void): Promise<void> {
  const raw = createTLSServer({ cert: serving.certPem, key: serving.keyPem }, (socket) => {
    socket.on('data', (bytes) => answer(socket, bytes.toString('latin1')));
    socket.on('error', () => {});
  });
  await listen(raw, {});
}

async function listen(one: HttpsServer | TLSServer, options: Partial<ReadConnectionsOptions>): Promise<void> {
  server = one;
  server.on('secureConnection', (socket) => {
    opened += 1;
    sockets.add(socket);
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  reads = new ReadConnections({
    server: new URL(`https://127.0.0.1:${port}`),
    serverName: undefined,
    secureContext: createSecureContext({ ca: authority.certPem }),
    connectTimeout: 5_000,
    requestTimeout: 5_000,
    maxConnections: 10,
    ...options,
  });
}

function get(target: string, headers: string[] = [], method = 'GET'): Told {
  const told = new Told();
  reads.dispatch({ method, target, headers }, told);
  return told;
}

const whole = async (target: string, headers?: string[], method?: string) => await get(target, headers, method).last();

async function until(holds: () => boolean): Promise<void> {
  const end = Date.now() + 10_000;
  while (!holds()) {
    assert.ok(Date.now() < end, 'it did not come to that');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe('reads over pooled connections', () => {
  test('one after the other over one connection, each line of a head as it was given', async () => {
    const heads: string[][] = [];
    await serve((request, response) => {
      heads.push([`${request.method} ${request.url}`, ...request.rawHeaders]);
      response.setHeader('Warning', ['one', 'two']);
      response.end(`you asked for ${request.url}`);
    });
    const one = await whole('/api/v1/pods?limit=5', ['Impersonate-Group', 'a, b', 'Impersonate-Group', 'c']);
    assert.equal(one.text, 'you asked for /api/v1/pods?limit=5');
    const raw = one.controller!.rawHeaders as string[];
    assert.deepEqual(raw.slice(0, 4), ['Warning', 'one', 'Warning', 'two']);
    assert.equal((await whole('/two')).text, 'you asked for /two');
    assert.equal((await whole('/head', [], 'HEAD')).text, '');
    assert.equal((await whole('/three')).text, 'you asked for /three');
    const { host } = new URL(`https://127.0.0.1:${(server.address() as AddressInfo).port}`);
    const head = ['GET /api/v1/pods?limit=5', 'Host', host, 'Impersonate-Group', 'a, b', 'Impersonate-Group', 'c'];
    assert.deepEqual(heads[0], head);
    assert.equal(opened, 1);
  });

  test('at once over several, each answer whole and its own, however one of them is held up', async () => {
    const size = 3 << 20;
    await serve((request, response) => {
      const letter = request.url!.slice(1);
      response.write(Buffer.alloc(size / 2, letter));
      response.end(Buffer.alloc(size / 2, letter));
    });
    const slow = get('/s');
    slow.onChunk = () => {
      slow.controller!.pause();
      slow.onChunk = undefined;
    };
    const others = ['/a', '/b', '/c'].map((target) => get(target));
    for (const other of others) await other.last();
    assert.ok(slow.bytes > 0 && slow.bytes < size / 2, `${slow.bytes} came while it was held`);
    slow.controller!.resume();
    await slow.last();
    for (const [letter, told] of [
      ['s', slow],
      ...others.map((other, index) => ['abc'[index]!, other] as const),
    ] as const) {
      assert.equal(told.error, undefined);
      assert.ok(told.text === letter.repeat(size), `what was asked for as ${letter} is another's, or not whole`);
    }
    assert.equal(opened, 4);
    assert.equal((await whole('/z')).text.length, size);
    assert.equal(opened, 4);
  });

  test('over what connections there may be, they wait their turn', async () => {
    const held: ServerResponse[] = [];
    await serve((_request, response) => held.push(response), { maxConnections: 2 });
    const all = [1, 2, 3, 4, 5].map((one) => get(`/${one}`));
    await until(() => held.length === 2);
    for (let answered = 0; answered < 5; answered++) {
      await until(() => held.length > answered);
      held[answered]!.end('done');
    }
    for (const one of all) assert.equal((await one.last()).text, 'done');
    assert.equal(opened, 2);
  });

  test('one that is ended ends upstream; ended before it is sent, it costs no connection', async () => {
    const closed: string[] = [];
    await serve((request, response) => {
      response.on('close', () => {
        if (!response.writableFinished) closed.push(request.url!);
      });
      if (request.url === '/long') response.write('begin');
      else response.end('whole');
    });
    const long = get('/long');
    await until(() => long.text === 'begin');
    long.controller!.abort(new Error('the client left'));
    await until(() => closed.includes('/long'));
    assert.match(String(long.error), /the client left/);
    assert.equal(long.lasts, 1);
    await whole('/first');
    const never = new Told();
    never.onRequestStart = (controller) => controller.abort(new Error('gone already'));
    reads.dispatch({ method: 'GET', target: '/never', headers: [] }, never);
    await never.last();
    assert.equal((await whole('/again')).text, 'whole');
    assert.equal(opened, 2);
  });

  test('a connection that the server has closed meanwhile is not used again', async () => {
    await serve((_request, response) => response.end('answer'));
    await whole('/1');
    for (const socket of sockets) socket.end();
    await until(() => [...sockets].every((socket) => socket.destroyed));
    assert.equal((await whole('/2')).text, 'answer');
    assert.equal(opened, 2);
  });

  test('one that nobody uses is closed', async () => {
    await serve((_request, response) => response.end('answer'), { idleFor: 50 });
    await whole('/1');
    await until(() => [...sockets].every((socket) => socket.destroyed));
    assert.equal((await whole('/2')).text, 'answer');
  });

  test('an answer that breaks off has failed', async () => {
    await serve((_request, response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('some', () => response.socket!.destroy());
    });
    const told = await whole('/');
    assert.deepEqual([told.text, told.error?.code, told.lasts], ['some', 'ECONNRESET', 1]);
  });

  test('no answer in time is a time-out', async () => {
    await serve(() => {}, { requestTimeout: 50 });
    const told = await whole('/');
    assert.deepEqual([told.error?.code, told.lasts], ['UND_ERR_HEADERS_TIMEOUT', 1]);
  });

  test('after its head an answer may take as long as it takes', async () => {
    await serve(
      (_request, response) => {
        response.write('first');
        setTimeout(() => response.end('second'), 200);
      },
      { requestTimeout: 100 },
    );
    assert.equal((await whole('/')).text, 'firstsecond');
  });

  test('what the server says behind an answer, or unasked, reaches nobody', async () => {
    await serveRaw((socket, request) => {
      const answer = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n';
      if (request.startsWith('GET /behind'))
        socket.write(`${answer}okHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen`);
      else if (request.startsWith('GET /late')) {
        socket.write(`${answer}ok`);
        setTimeout(() => socket.write(`${answer}no`), 30);
      } else socket.write(`${answer}me`);
    });
    assert.equal((await whole('/behind')).text, 'ok');
    assert.equal((await whole('/1')).text, 'me');
    assert.equal((await whole('/late')).text, 'ok');
    await until(() => [...sockets].filter((socket) => !socket.destroyed).length === 0);
    assert.equal((await whole('/2')).text, 'me');
  });

  test('what is no answer has failed, and its connection is gone', async () => {
    await serveRaw((socket) => void socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx'));
    const told = await whole('/');
    assert.match(told.error!.message, /cannot be read: its length is not one number/);
    await until(() => [...sockets].every((socket) => socket.destroyed));
  });

  test('an answer that ends with its connection is whole', async () => {
    await serveRaw((socket) => void socket.end('HTTP/1.1 200 OK\r\n\r\nall of it'));
    const told = await whole('/');
    assert.deepEqual([told.text, told.error], ['all of it', undefined]);
  });

  test('nothing is sent that would begin another line or another request', async () => {
    let asked = 0;
    await serve((_request, response) => {
      asked += 1;
      response.end();
    });
    const bad = [
      { target: '/a b' },
      { target: '/a\r\nX: y' },
      { target: 'a' },
      { headers: ['A', 'b\r\nImpersonate-User: x'] },
      { headers: ['A', 'b\nc'] },
      { headers: ['A', 'b\0'] },
      { headers: ['A: x\r\nB', 'c'] },
      { headers: ['', 'c'] },
      { headers: ['A', 'über\u{1f600}'] },
      { method: 'POST' },
    ];
    for (const one of bad) {
      const reading = { method: 'GET', target: '/', headers: [], ...one };
      assert.throws(() => reads.dispatch(reading, new Told()), /cannot be sent as it is|may have a body/);
    }
    assert.deepEqual([asked, opened], [0, 0]);
  });

  test('a server whose certificate is not of the CA is sent nothing', async () => {
    await serve((_request, response) => response.end());
    const other = await CertificateAuthority.create('other');
    const trusting = reads;
    const { port } = server.address() as AddressInfo;
    reads = new ReadConnections({
      server: new URL(`https://127.0.0.1:${port}`),
      serverName: undefined,
      secureContext: createSecureContext({ ca: other.certPem }),
      connectTimeout: 5_000,
      requestTimeout: 5_000,
      maxConnections: 1,
    });
    trusting.destroy();
    const waiting = [get('/1'), get('/2'), get('/3')];
    for (const one of waiting) assert.match((await one.last()).error!.message, /certificate|signature/);
  });

  test('retired, it takes nothing new and ends what is under way', async () => {
    const held: ServerResponse[] = [];
    await serve((_request, response) => held.push(response));
    const old = get('/old');
    await until(() => held.length === 1);
    reads.retire();
    assert.equal((await whole('/new')).error?.code, 'UND_ERR_CLOSED');
    held[0]!.end('whole');
    assert.equal((await old.last()).text, 'whole');
    await until(() => [...sockets].every((socket) => socket.destroyed));
  });
});
