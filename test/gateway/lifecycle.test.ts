import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'node:tls';
import { CertificateAuthority } from '../cluster/certificates.ts';
import { RawConnection } from './raw-connection.ts';
import { Scene } from './scene.ts';
import { Watcher } from './watcher.ts';

/** From start to end of a process, and what its clients see of it. */
describe('the life of a gateway', { timeout: 150_000 }, () => {
  let scene: Scene;
  let base: string;

  before(async () => {
    scene = await Scene.open('life', {
      adjust: (configuration) => {
        configuration.shutdown = { readyDelay: '700ms', drainTimeout: '5s', streamDeadline: '2s' };
        configuration.identity.tokenReview = { audience: 'sallyport' };
      },
    });
    base = `/api/v1/namespaces/${scene.namespace}/configmaps`;
  });
  after(async () => {
    await scene?.close();
  });

  function ready(): Promise<number> {
    return scene.gateway.probe('/readyz').then(({ status }) => status);
  }

  async function halfSent(name: string): Promise<{ connection: RawConnection; rest: string }> {
    const body = JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name } });
    const connection = await RawConnection.open(scene.gateway);
    connection.write(
      `POST ${base} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${scene.token}\r\nContent-Type: application/json\r\n` +
        `Content-Length: ${body.length}\r\n\r\n${body.slice(0, 10)}`,
    );
    await sleep(150);
    return { connection, rest: body.slice(10) };
  }

  it('a rotated certificate is served without a restart; open connections go on; a half-written pair is waited out', async () => {
    const { gateway } = scene;
    const kept = connectHttp2(gateway.url, { ca: gateway.caPem });
    await once(kept, 'connect');
    const serial = async () => {
      const socket = connect({ host: '127.0.0.1', port: gateway.port, rejectUnauthorized: false });
      await once(socket, 'secureConnect');
      const { serialNumber } = socket.getPeerCertificate();
      socket.destroy();
      return serialNumber;
    };
    const first = await serial();
    const authority = await CertificateAuthority.create('rotated');
    const next = await authority.server('gateway', ['127.0.0.1', 'localhost']);
    writeFileSync(join(gateway.directory, 'tls.crt'), next.certPem);
    await sleep(5_500);
    assert.equal(await serial(), first, 'a certificate without its key was taken');
    writeFileSync(join(gateway.directory, 'tls.key'), next.keyPem);
    const deadline = Date.now() + 7_000;
    while ((await serial()) === first) {
      assert.ok(Date.now() < deadline, 'the new certificate is not served');
      await sleep(100);
    }
    const stream = kept.request({ ':path': '/version', authorization: `Bearer ${scene.token}` });
    const [headers] = (await once(stream, 'response')) as [Record<string, unknown>];
    assert.equal(headers[':status'], 200);
    kept.destroy();
    Object.assign(gateway, { caPem: authority.certPem });
  });

  it('SIGKILL, then a start on the same configuration: sessions that were given are good still', async () => {
    const { gateway } = scene;
    const issued = await scene.ask('/sallyport/v1/token', {
      method: 'POST',
      body: 'grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&agent=cursor',
      headers: ['Content-Type', 'application/x-www-form-urlencoded'],
    });
    const session = issued.json().access_token as string;
    await gateway.kill('SIGKILL');
    await assert.rejects(scene.ask2(base), /ECONNREFUSED/);
    await gateway.launch();
    assert.equal((await scene.ask(base, { token: session })).status, 200);
    assert.equal(await ready(), 200);
  });

  it('SIGTERM: not ready, GOAWAY, what is under way is finished, watches end cleanly, exit code 0', async () => {
    const { gateway } = scene;
    const { connection, rest } = await halfSent('in-flight');
    const watcher = new Watcher(scene, `${base}?watch=true`);
    await watcher.until('its head', ({ status }) => status === 200);
    const idle = connectHttp2(gateway.url, { ca: gateway.caPem });
    idle.on('error', () => {});
    await once(idle, 'connect');
    let goaway: number | undefined;
    idle.on('goaway', (code: number) => {
      goaway = code;
    });
    const goneAway = once(idle, 'close');

    const began = Date.now();
    const exit = gateway.kill('SIGTERM');
    await sleep(150);
    assert.equal(await ready(), 503);
    assert.match((await gateway.probe('/readyz')).body, /\[-\]stopping failed: this replica is stopping/);
    // Until load balancers have heard of it, it goes on serving.
    assert.equal((await scene.ask2(base)).status, 200);
    await goneAway;
    assert.equal(goaway, 0);
    await assert.rejects(RawConnection.open(gateway), /ECONNREFUSED/);
    assert.ok(!watcher.ended, 'the watch was cut before its deadline');

    connection.write(rest);
    const answer = await connection.answer();
    assert.equal(answer?.status, 201, answer?.body);
    assert.equal(answer.headers['connection'], 'close');
    await watcher.until('its end', ({ ended }) => ended, 5_000);
    assert.equal(watcher.broken, false, 'the watch was broken off');
    assert.equal(await exit, 0);
    const took = Date.now() - began;
    assert.ok(took > 2_000 && took < 5_000, `${took} ms`);
    assert.equal(gateway.stderr, '');
    await gateway.launch();
  });

  it('a second signal ends it at once', async () => {
    const watcher = new Watcher(scene, `${base}?watch=true`);
    await watcher.until('its head', ({ status }) => status === 200);
    const began = Date.now();
    const exit = scene.gateway.kill('SIGTERM');
    await sleep(200);
    process.kill(scene.gateway.pid, 'SIGTERM');
    assert.equal(await exit, 143);
    assert.ok(Date.now() - began < 1_500);
    watcher.close();
    await scene.gateway.launch();
  });

  it('a request that does not end is told so when the time to drain is over', async () => {
    const { connection } = await halfSent('never');
    const exit = scene.gateway.kill('SIGTERM');
    const answer = await connection.answer().catch(() => undefined);
    assert.ok(answer === undefined || answer.status === 503, String(answer?.status));
    assert.equal(await exit, 0);
    connection.destroy();
    await scene.gateway.launch();
  });

  it('the gateway’s own credential is revoked: 502 to callers, never 401, and its operator reads why', async () => {
    const { cluster, gateway } = scene;
    const accounts = `/api/v1/namespaces/${gateway.namespace}/serviceaccounts`;
    assert.equal((await cluster.admin('DELETE', `${accounts}/sallyport-gateway`)).status, 200);
    // The API server remembers a good token for ten seconds.
    const deadline = Date.now() + 20_000;
    let answer = await scene.ask(base);
    while (answer.status === 200) {
      assert.ok(Date.now() < deadline, 'the API server still takes the revoked token');
      await sleep(250);
      answer = await scene.ask(base);
    }
    assert.equal(answer.status, 502, answer.body);
    assert.match(
      answer.json().message,
      /^SP_UPSTREAM_UNREACHABLE: the API server did not accept the gateway's own credential/,
    );
    assert.equal(answer.headers['www-authenticate'], undefined);
    const upgrade = await RawConnection.open(gateway);
    upgrade.write(
      `GET /api/v1/namespaces/${scene.namespace}/pods/x/exec?command=ls&stdout=1 HTTP/1.1\r\nHost: x\r\n` +
        `Authorization: Bearer ${scene.token}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n` +
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: v5.channel.k8s.io\r\n\r\n',
    );
    const refused = await upgrade.answer();
    assert.equal(refused?.status, 502, refused?.body);
    upgrade.destroy();
    const account = await cluster.serviceAccountToken(scene.namespace, 'someone', { audiences: ['sallyport'] });
    const review = await scene.ask(base, { token: account });
    assert.equal(review.status, 503, review.body);
    assert.match(review.json().message, /^SP_IDENTITY_UNAVAILABLE/);
  });
});
