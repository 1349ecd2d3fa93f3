import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { RawConnection, rawRequest } from './raw-connection.ts';
import { Scene } from './scene.ts';

/** What no HTTP library sends. Each is refused or its connection closed; none reaches the API server in another shape. */
describe('malformed HTTP/1.1', { timeout: 120_000 }, () => {
  let scene: Scene;
  let auth: string;
  let base: string;

  before(async () => {
    scene = await Scene.open('malformed', {
      adjust: (configuration) => {
        configuration.listen.headersTimeout = '1s';
        configuration.listen.bodyTimeout = '1s';
        configuration.listen.handshakeTimeout = '1s';
      },
    });
    auth = `Authorization: Bearer ${scene.token}`;
    base = `/api/v1/namespaces/${scene.namespace}/configmaps`;
  });
  after(async () => {
    await scene?.close();
  });

  /** 4xx with the connection closed, or closed without a word; and the next client is served. */
  async function refused(head: string[], body: string | Buffer = ''): Promise<number | undefined> {
    const connection = await RawConnection.open(scene.gateway);
    connection.write(`${head.join('\r\n')}\r\n\r\n`);
    if (body.length > 0) connection.write(body);
    const answer = await connection.answer();
    if (answer !== undefined) assert.ok(answer.status >= 400 && answer.status < 500, String(answer.status));
    await connection.closed();
    return answer?.status;
  }

  const chunked = 'Transfer-Encoding: chunked';
  const json = 'Content-Type: application/json';
  const object = (name: string) =>
    JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { a: 'b' } });

  describe('requests whose end two readers could see at different places', () => {
    const cases: [what: string, lines: string[], body: string][] = [
      ['Content-Length and Transfer-Encoding', ['Content-Length: 5', chunked], '0\r\n\r\n'],
      ['Transfer-Encoding and Content-Length', [chunked, 'Content-Length: 5'], '0\r\n\r\n'],
      ['two Content-Lengths', ['Content-Length: 2', 'Content-Length: 3'], '{}x'],
      ['a list of Content-Lengths', ['Content-Length: 2, 3'], '{}x'],
      ['a negative Content-Length', ['Content-Length: -1'], '{}'],
      ['a signed Content-Length', ['Content-Length: +2'], '{}'],
      ['a hexadecimal Content-Length', ['Content-Length: 0x2'], '{}'],
      ['a Content-Length beyond numbers', ['Content-Length: 99999999999999999999999'], '{}'],
      ['an unknown transfer coding', ['Transfer-Encoding: xchunked'], '0\r\n\r\n'],
      ['chunked not last', ['Transfer-Encoding: chunked, identity'], '0\r\n\r\n'],
      ['chunked twice', [chunked, chunked], '0\r\n\r\n'],
      ['a transfer coding behind a vertical tab', ['Transfer-Encoding: \x0bchunked'], '0\r\n\r\n'],
      ['a space before the colon', ['Content-Length : 2'], '{}'],
      ['a bad chunk size', [chunked], 'zz\r\n{}\r\n0\r\n\r\n'],
      ['a negative chunk size', [chunked], '-1\r\n{}\r\n0\r\n\r\n'],
      ['a chunk longer than said', [chunked], '1\r\n{}\r\n0\r\n\r\n'],
      ['a chunk size that overflows', [chunked], 'fffffffffffffffff\r\n{}\r\n0\r\n\r\n'],
      ['chunk lines that end with a bare LF', [chunked], '2\n{}\n0\n\n'],
    ];
    for (const [index, [what, lines, body]] of cases.entries()) {
      it(what, async () => {
        const smuggled = `GET ${base}/smuggled-${index} HTTP/1.1\r\nHost: x\r\n${auth}\r\n\r\n`;
        await refused([`POST ${base}?mark=${index} HTTP/1.1`, 'Host: x', auth, json, ...lines], body + smuggled);
        assert.deepEqual(scene.arrived(`${base}/smuggled-${index}`), []);
      });
    }
  });

  describe('request lines', () => {
    it('HTTP/1.0, HTTP/0.9, HTTP/2.0 and no version', async () => {
      for (const version of ['HTTP/0.9', 'HTTP/2.0', 'HTTP/9.9', 'HTCPCP/1.0', '']) {
        await refused([`GET ${base}/v ${version}`.trim(), 'Host: x', auth]);
      }
      const old = await rawRequest(scene.gateway, [`GET ${base}/ten HTTP/1.0`, auth]);
      assert.ok(old?.status === 404 || old?.status === 400, `HTTP/1.0: ${old?.status}`);
    });

    it('absolute-form, authority-form, asterisk-form and no leading slash', async () => {
      for (const target of [`https://other.example${base}/abs`, 'http://127.0.0.1:22/', '*', 'api/v1/pods', '\\api']) {
        const answer = await rawRequest(scene.gateway, [`GET ${target} HTTP/1.1`, 'Host: x', auth]);
        assert.equal(answer?.status, 400, target);
      }
      assert.deepEqual(scene.arrived(`${base}/abs`), []);
    });

    it('CONNECT opens no tunnel', async () => {
      const connection = await RawConnection.open(scene.gateway);
      connection.write(`CONNECT 127.0.0.1:${new URL(scene.cluster.url).port} HTTP/1.1\r\nHost: x\r\n${auth}\r\n\r\n`);
      const answer = await connection.answer();
      assert.ok(answer === undefined || answer.status >= 400);
      await connection.closed();
    });

    it('methods that Kubernetes does not know', async () => {
      for (const method of ['TRACE', 'PROPFIND', 'LINK', 'QUERY', 'M-SEARCH', 'get', 'FOO']) {
        const answer = await rawRequest(scene.gateway, [`${method} ${base}/method HTTP/1.1`, 'Host: x', auth]);
        assert.ok(answer === undefined || [400, 403, 405].includes(answer.status), `${method}: ${answer?.status}`);
        // TRACE must not echo the credential.
        assert.ok(!answer?.body.includes(scene.token));
      }
      assert.deepEqual(scene.arrived(`${base}/method`), []);
    });

    it('without Host', async () => {
      await refused([`GET ${base}/host HTTP/1.1`, auth]);
    });
  });

  describe('headers', () => {
    it('over the limit', async () => {
      for (const pad of [70_000, 1_000_000]) {
        await refused([`GET ${base}/big HTTP/1.1`, 'Host: x', auth, `X-Pad: ${'x'.repeat(pad)}`]);
      }
      await refused([`GET ${base}/${'x'.repeat(80_000)} HTTP/1.1`, 'Host: x', auth]);
      await refused([
        `GET ${base}/many HTTP/1.1`,
        'Host: x',
        auth,
        ...Array.from({ length: 20_000 }, (_, index) => `X-${index}: y`),
      ]);
      assert.deepEqual(scene.arrived(`${base}/many`), []);
    });

    it('that never end', async () => {
      const connection = await RawConnection.open(scene.gateway);
      connection.write(`GET ${base}/endless HTTP/1.1\r\nHost: x\r\n${auth}\r\n`);
      const dripping = setInterval(() => connection.write('X: y\r\n'), 100);
      try {
        await connection.closed(8_000);
      } finally {
        clearInterval(dripping);
      }
    });

    it('with NUL, bare CR and bytes beyond ASCII', async () => {
      await refused([`GET ${base}/nul HTTP/1.1`, 'Host: x', auth, 'Accept: a\0b']);
      await refused([`GET ${base}/cr HTTP/1.1`, 'Host: x', auth, 'Accept: a\rImpersonate-User: b']);
      const latin = await rawRequest(scene.gateway, [`GET ${base}/l HTTP/1.1`, 'Host: x', auth, 'User-Agent: \xe9']);
      assert.equal(latin?.status, 400);
      assert.match(latin.body, /SP_BAD_REQUEST/);
      assert.deepEqual(scene.arrived(`${base}/nul`).concat(scene.arrived(`${base}/cr`)), []);
    });

    it('twice, where there can be one', async () => {
      for (const [name, ...values] of [
        ['Content-Type', 'application/json', 'application/yaml'],
        ['Range', 'bytes=0-1', 'bytes=2-3'],
      ]) {
        const lines = values.map((value) => `${name}: ${value}`);
        const head = [`POST ${base} HTTP/1.1`, 'Host: x', auth, 'Content-Length: 2', ...lines];
        const answer = await rawRequest(scene.gateway, head, '{}');
        assert.equal(answer?.status, 400, name);
      }
    });

    it('Upgrade: h2c and other protocols are no upgrade', async () => {
      for (const protocol of ['h2c', 'TLS/1.0', 'foo']) {
        const head = [`GET ${base}/${protocol.slice(0, 3)} HTTP/1.1`, 'Host: x', auth, `Upgrade: ${protocol}`];
        const answer = await rawRequest(scene.gateway, [...head, 'Connection: Upgrade', 'HTTP2-Settings: AAMAAABk']);
        assert.equal(answer?.status, 400, protocol);
        assert.match(answer.body, /"kind":"Status"/);
      }
    });
  });

  describe('bodies', () => {
    it('Expect: 100-continue is answered, then the body read', async () => {
      const body = object('expected');
      const connection = await RawConnection.open(scene.gateway);
      const length = `Content-Length: ${body.length}`;
      connection.write(
        `POST ${base} HTTP/1.1\r\nHost: x\r\n${auth}\r\n${json}\r\n${length}\r\nExpect: 100-continue\r\n\r\n`,
      );
      await sleep(100);
      assert.match(connection.pending.toString(), /^HTTP\/1\.1 100 Continue\r\n\r\n/);
      connection.write(body);
      assert.equal((await connection.answer())?.status, 201);
      connection.destroy();
    });

    it('what was not read of a refused body is not parsed as the next request', async () => {
      const inside = `GET ${base}/inside HTTP/1.1\r\nHost: x\r\n${auth}\r\n\r\n`;
      const connection = await RawConnection.open(scene.gateway);
      const length = `Content-Length: ${inside.length + 100_000}`;
      connection.write(`POST ${base} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer no\r\n${length}\r\n\r\n${inside}`);
      const answer = await connection.answer();
      assert.equal(answer?.status, 401);
      assert.equal(answer.headers['connection'], 'close');
      connection.write('x'.repeat(100_000) + inside);
      await sleep(200);
      assert.deepEqual(scene.arrived(`${base}/inside`), []);
      assert.equal(connection.pending.length, 0);
      await connection.closed();
    });

    it('a refusal is read even by a client that is still sending', async () => {
      for (const [what, head, status] of [
        ['no credential', ['Authorization: Bearer no'], 401],
        ['too large', [auth, json], 413],
      ] as const) {
        const connection = await RawConnection.open(scene.gateway);
        const size = 4 << 20;
        // It reads only when it has sent everything: a reset meanwhile would have thrown the answer away.
        connection.socket.pause();
        connection.write(
          `POST ${base}?dryRun=All HTTP/1.1\r\nHost: x\r\n${head.join('\r\n')}\r\nContent-Length: ${size}\r\n\r\n`,
        );
        for (let sent = 0; sent < size; sent += 1 << 18) {
          connection.write(Buffer.alloc(1 << 18, 0x20));
          await sleep(20);
        }
        connection.socket.resume();
        const answer = await connection.answer();
        assert.equal(answer?.status, status, what);
        connection.destroy();
      }
    });

    it('pipelined requests are answered in their order, each as its own caller', async () => {
      const connection = await RawConnection.open(scene.gateway);
      connection.write(
        `GET ${base}/p1 HTTP/1.1\r\nHost: x\r\n${auth}\r\n\r\n` +
          `GET ${base}/p2 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer no\r\n\r\n` +
          `GET ${base}/p3 HTTP/1.1\r\nHost: x\r\n${auth}\r\n\r\n`,
      );
      const statuses = [];
      for (let index = 0; index < 3; index++) statuses.push((await connection.answer())?.status);
      assert.deepEqual(statuses, [404, 401, 404]);
      assert.deepEqual(scene.arrived(`${base}/p2`), []);
      connection.destroy();
    });

    it('a client that leaves in the middle of its body has made nothing', async () => {
      const body = object('half');
      const connection = await RawConnection.open(scene.gateway);
      connection.write(
        `POST ${base} HTTP/1.1\r\nHost: x\r\n${auth}\r\n${json}\r\nContent-Length: ${body.length}\r\n\r\n`,
      );
      connection.write(body.slice(0, 20));
      await sleep(100);
      connection.destroy();
      const line = await scene.gateway.logged(
        (entry) => /left/i.test(JSON.stringify(entry['reason'] ?? entry['end'] ?? '')),
        3_000,
      );
      assert.ok(line);
      const found = await scene.cluster.admin('GET', `${base}/half`);
      assert.equal(found.status, 404);
    });

    it('that does not come in time is given up', async () => {
      const connection = await RawConnection.open(scene.gateway, { patience: 8_000 });
      connection.write(`POST ${base} HTTP/1.1\r\nHost: x\r\n${auth}\r\n${json}\r\nContent-Length: 100000\r\n\r\n{`);
      const dripping = setInterval(() => connection.write(' '), 100);
      try {
        const answer = await connection.answer();
        assert.equal(answer?.status, 400);
        assert.match(answer.body, /SP_BAD_REQUEST: the body was not complete/);
      } finally {
        clearInterval(dripping);
        connection.destroy();
      }
    });
  });

  it('and everyone else is served', async () => {
    assert.equal(scene.gateway.stderr, '');
    const { status } = await scene.ask(`/api/v1/namespaces/${scene.namespace}`);
    assert.equal(status, 200);
    const faults = scene.gateway.log.filter(({ code }) => code === 'SP_INTERNAL');
    assert.deepEqual(faults, []);
  });
});
