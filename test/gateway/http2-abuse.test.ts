import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { type ClientHttp2Session, connect } from 'node:http2';
import { after, afterEach, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { block, END_HEADERS, END_STREAM, frame, PREFACE, requestBlock, reset, settings } from './http2-frames.ts';
import { RawConnection } from './raw-connection.ts';
import { Scene } from './scene.ts';

/** A client of HTTP/2 that means harm: its connection ends, memory stays bounded, and everyone else is served. */
describe('HTTP/2 abuse', { timeout: 120_000 }, () => {
  let scene: Scene;
  let base: string;
  let callers = 0;
  let startMemory = 0;
  /** Of someone else, whose limits the abuse does not touch. */
  let bystander: string;
  const open: (RawConnection | ClientHttp2Session)[] = [];

  before(async () => {
    scene = await Scene.open('http2', {
      adjust: (configuration) => {
        configuration.listen.headersTimeout = '1s';
        configuration.listen.stallTimeout = '5s';
        // A write's body is read before anything is decided: one that never ends is under way so long.
        configuration.listen.bodyTimeout = '4s';
        configuration.listen.idleTimeout = '5s';
      },
    });
    base = `/api/v1/namespaces/${scene.namespace}/configmaps`;
    bystander = await scene.tokenOf({ sub: 'bystander' });
    for (let round = 0; round < 50; round++) await scene.ask2(`/api/v1/namespaces/${scene.namespace}`);
    startMemory = memory();
  });
  afterEach(async () => {
    for (const one of open.splice(0)) one.destroy();
    // Whatever happened: the process lives, others are served, and quickly enough.
    const began = performance.now();
    const { status } = await scene.ask(`/api/v1/namespaces/${scene.namespace}`, { token: bystander });
    assert.equal(status, 200);
    assert.ok(performance.now() - began < 2_000, 'another client had to wait');
    assert.equal(scene.gateway.stderr, '');
    assert.ok(memory() - startMemory < 150, `${memory() - startMemory} MiB more are resident`);
  });
  after(async () => {
    await scene?.close();
  });

  /** Resident MiB of the gateway's process. */
  function memory(): number {
    const pages = readFileSync(`/proc/${scene.gateway.pid}/status`, 'utf8');
    return Math.round(Number(/VmRSS:\s+(\d+)/.exec(pages)![1]) / 1024);
  }

  /** A caller of its own for each test: one test's flood uses up its own allowance only. */
  async function caller(): Promise<string> {
    return await scene.tokenOf({ sub: `abuser-${(callers += 1)}` });
  }

  async function raw(...first: Buffer[]): Promise<RawConnection> {
    const connection = await RawConnection.open(scene.gateway, { alpn: ['h2'], patience: 15_000 });
    open.push(connection);
    connection.write(Buffer.concat([PREFACE, ...(first.length === 0 ? [settings()] : first)]));
    return connection;
  }

  function session(): ClientHttp2Session {
    const made = connect(scene.gateway.url, { ca: scene.gateway.caPem });
    made.on('error', () => {});
    open.push(made);
    return made;
  }

  /** Writes until the gateway ends the connection; whether it did. */
  async function flood(connection: RawConnection, make: (round: number) => Buffer, rounds: number): Promise<boolean> {
    for (let round = 0; round < rounds && !connection.ended; round++) {
      connection.write(make(round));
      if (connection.socket.writableLength > 1 << 20) await sleep(5);
    }
    await connection.closed(3_000).catch(() => {});
    return connection.ended;
  }

  /** What a stream held (its place among the parallel requests, its memory) is given back. */
  async function nothingUnderWay(within: number): Promise<void> {
    const deadline = Date.now() + within;
    while (inFlight(await scene.gateway.probe('/metrics')) > 0) {
      assert.ok(Date.now() < deadline, 'requests are still under way');
      await sleep(200);
    }
  }

  it('rapid reset (CVE-2023-44487) ends the connection, and hardly any of it goes upstream', async () => {
    const token = await caller();
    const path = `${base}?watch=true&labelSelector=rapid`;
    // Watches: what is not ended when its stream is reset would go on for ever.
    const head = requestBlock(path, token);
    const connection = await raw();
    const ended = await flood(
      connection,
      (round) => {
        const stream = 2 * round + 1;
        return Buffer.concat([frame('headers', END_HEADERS | END_STREAM, stream, head), reset(stream)]);
      },
      20_000,
    );
    assert.ok(ended, 'the connection is still open');
    assert.ok(scene.arrived(path).length < 1_000, `${scene.arrived(path).length} requests went upstream`);
    await nothingUnderWay(5_000);
  });

  it('a flood of CONTINUATION frames ends the connection', async () => {
    const token = await caller();
    const connection = await raw();
    connection.write(frame('headers', END_STREAM, 1, requestBlock(`${base}/c`, token)));
    const piece = frame('continuation', 0, 1, block([['x-pad', 'x'.repeat(8_000)]]));
    assert.ok(await flood(connection, () => piece, 20_000), 'the connection is still open');
  });

  it('a header block that unpacks to megabytes ends the stream', async () => {
    const token = await caller();
    // One entry of 4 KB in the dynamic table, named again and again by one byte each (RFC 7541 6.1).
    const bomb = Buffer.concat([
      requestBlock(`${base}/bomb`, token),
      block([['x-bomb', 'x'.repeat(3_900)]], true),
      Buffer.alloc(12_000, 0x80 | 62),
    ]);
    const connection = await raw();
    for (let round = 0; round < 50; round++) {
      connection.write(frame('headers', END_HEADERS | END_STREAM, 2 * round + 1, bomb));
    }
    await sleep(500);
    assert.deepEqual(scene.arrived(`${base}/bomb`), []);
  });

  it('floods of SETTINGS and PING that never read the answers end the connection', async () => {
    for (const piece of [settings([3, 100]), frame('ping', 0, 0, Buffer.alloc(8))]) {
      const connection = await raw();
      connection.socket.pause();
      const many = Buffer.concat(Array.from({ length: 100 }, () => piece));
      await flood(connection, () => many, 5_000);
      connection.socket.resume();
      await connection.closed();
    }
  });

  it('empty DATA frames, priority to itself and frames of no stream do no harm', async () => {
    const token = await caller();
    const connection = await raw();
    connection.write(frame('headers', END_HEADERS, 1, requestBlock(base, token, 'POST')));
    await flood(connection, () => Buffer.concat(Array.from({ length: 100 }, () => frame('data', 0, 1))), 1_000);
    const other = await raw();
    other.write(frame('data', 0, 0, Buffer.alloc(10)));
    await other.closed();
  });

  it('a client that takes nothing of a waiting answer is cut off after stallTimeout', async () => {
    const token = await caller();
    await scene.cluster.admin('POST', base, {
      metadata: { name: 'large' },
      data: Object.fromEntries(Array.from({ length: 10 }, (_, index) => [`k${index}`, 'x'.repeat(90_000)])),
    });
    // SETTINGS_INITIAL_WINDOW_SIZE 0: not a byte of DATA may be sent.
    const connection = await raw(settings([4, 0]));
    for (let index = 0; index < 20; index++) {
      connection.write(frame('headers', END_HEADERS | END_STREAM, 2 * index + 1, requestBlock(`${base}/large`, token)));
    }
    const keepAlive = setInterval(() => connection.write(frame('ping', 0, 0, Buffer.alloc(8))), 500);
    try {
      await nothingUnderWay(12_000);
    } finally {
      clearInterval(keepAlive);
    }
  });

  it('a connection that begins no request is closed, with or without its preface', async () => {
    const silent = await RawConnection.open(scene.gateway, { alpn: ['h2'] });
    open.push(silent);
    const polite = await raw();
    await Promise.all([silent.closed(6_000), polite.closed(6_000)]);
  });

  it('an idle connection is closed, also after a request that lasted longer than idleTimeout', async () => {
    const token = await caller();
    const watcher = session();
    const stream = watcher.request({
      ':path': `${base}?watch=true&timeoutSeconds=7`,
      authorization: `Bearer ${token}`,
    });
    stream.resume();
    const began = Date.now();
    await new Promise((resolve) => stream.once('close', resolve));
    assert.ok(Date.now() - began > 6_000, 'the watch was cut');
    await Promise.race([
      new Promise((resolve) => watcher.once('close', resolve)),
      sleep(9_000).then(() => assert.fail('the idle connection is still open')),
    ]);
  });

  it('bodies that nobody reads do not take the window of the whole connection', async () => {
    const token = await caller();
    const client = session();
    const post = (credential: string, size: number) =>
      new Promise<number>((resolve, reject) => {
        const stream = client.request({
          ':path': `${base}?dryRun=All`,
          ':method': 'POST',
          authorization: `Bearer ${credential}`,
          'content-type': 'application/json',
        });
        stream.once('response', (headers) => resolve(headers[':status'] ?? 0));
        stream.once('error', reject);
        stream.resume();
        stream.end(Buffer.alloc(size, 0x20));
      });
    for (let round = 0; round < 20; round++) {
      assert.equal(await post('no', 200_000).catch(() => 401), 401);
    }
    assert.equal(await post(token, 200_000), 400);
  });

  it('CONNECT, unknown pseudo-headers, hop-by-hop headers and a path without a slash are refused', async () => {
    const token = await caller();
    for (const [index, fields] of [
      [
        [':method', 'CONNECT'],
        [':authority', '127.0.0.1:22'],
      ],
      [
        [':method', 'GET'],
        [':scheme', 'https'],
        [':path', `${base}/pseudo`],
        [':evil', 'x'],
      ],
      [
        [':method', 'GET'],
        [':scheme', 'https'],
        [':path', `${base}/pseudo`],
        ['connection', 'impersonate-user'],
      ],
      [
        [':method', 'GET'],
        [':scheme', 'https'],
        [':path', `${base}/pseudo`],
        ['Impersonate-User', 'x'],
      ],
      [
        [':method', 'GET'],
        [':scheme', 'https'],
        [':path', `${base}/pseudo`],
        [':path', '/api'],
      ],
      [
        [':method', 'GET'],
        [':scheme', 'https'],
        [':path', 'api'],
      ],
      [
        [':method', 'GET'],
        [':scheme', 'https'],
        [':path', `${base}/pseudo\r\nx: y`],
      ],
    ].entries()) {
      const connection = await raw();
      const all = [...(fields as [string, string][]), ['authorization', `Bearer ${token}`] as [string, string]];
      connection.write(frame('headers', END_HEADERS | END_STREAM, 1, block(all)));
      await sleep(150);
      assert.ok(!connection.pending.includes('resourceVersion'), `case ${index}`);
    }
    assert.deepEqual(scene.arrived(`${base}/pseudo`), []);
  });
});

function inFlight({ body }: { body: string }): number {
  return Number(/^sallyport_requests_in_flight (\d+)/m.exec(body)![1]);
}
