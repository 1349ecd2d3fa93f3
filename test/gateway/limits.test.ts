import assert from 'node:assert/strict';
import { type ClientHttp2Session, connect } from 'node:http2';
import { after, afterEach, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { RawConnection } from './raw-connection.ts';
import { type Answer, POLICY_ALL, Scene } from './scene.ts';

/** One caller's flood is its own: 429 with a time to wait, and nobody else notices. */
describe('limits of one caller', { timeout: 120_000 }, () => {
  let scene: Scene;
  let base: string;
  let callers = 0;
  const sessions: ClientHttp2Session[] = [];

  before(async () => {
    scene = await Scene.open('limits', {
      rules: `${POLICY_ALL}
    - name: reads-the-body
      action: Deny
      match: {verbs: [create], apiGroups: [""], resources: [configmaps]}
      matchConditions: [{name: never, expression: "object.metadata.name == 'never'"}]`,
      configuration: {
        limits: {
          requestsPerSecond: 0.5,
          burst: 30,
          parallelRequests: 5,
          parallelStreams: 2,
          bytesHeld: 4 << 20,
        },
      },
    });
    base = `/api/v1/namespaces/${scene.namespace}/configmaps`;
  });
  afterEach(() => {
    for (const session of sessions.splice(0)) session.destroy();
  });
  after(async () => {
    await scene?.close();
  });

  /** A caller of its own for each test. */
  async function caller(): Promise<string> {
    return await scene.tokenOf({ sub: `caller-${(callers += 1)}` });
  }

  function tooMany(answer: Pick<Answer, 'status' | 'headers' | 'body'>, words: RegExp): void {
    assert.equal(answer.status, 429, answer.body);
    const status = JSON.parse(answer.body) as {
      reason: string;
      message: string;
      details: { retryAfterSeconds: number };
    };
    assert.equal(status.reason, 'TooManyRequests');
    assert.match(status.message, /^SP_TOO_MANY_REQUESTS: /);
    assert.match(status.message, words);
    assert.ok(Number(answer.headers['retry-after']) >= 1);
    assert.equal(status.details.retryAfterSeconds, Number(answer.headers['retry-after']));
  }

  async function hits(limit: string): Promise<number> {
    const { body } = await scene.gateway.probe('/metrics');
    return Number(new RegExp(`^sallyport_limits_hit_total\\{limit="${limit}"\\} (\\d+)`, 'm').exec(body)?.[1] ?? 0);
  }

  async function othersAreServed(): Promise<void> {
    assert.equal((await scene.ask(base, { token: await caller() })).status, 200);
  }

  /** Opens watches by HTTP/2 on one connection; resolves with the statuses of their answers. */
  async function watches(token: string, count: number): Promise<number[]> {
    const session = connect(scene.gateway.url, { ca: scene.gateway.caPem });
    session.on('error', () => {});
    sessions.push(session);
    return await Promise.all(
      Array.from(
        { length: count },
        () =>
          new Promise<number>((resolve) => {
            const stream = session.request({ ':path': `${base}?watch=1`, authorization: `Bearer ${token}` });
            stream.on('error', () => {});
            stream.once('response', (headers) => resolve(headers[':status'] ?? 0));
            stream.resume();
          }),
      ),
    );
  }

  it('rate: the burst, then 429, then again at the rate', async () => {
    const token = await caller();
    const statuses: number[] = [];
    for (let index = 0; index < 60; index++) statuses.push((await scene.ask('/version', { token })).status);
    const served = statuses.filter((status) => status === 200).length;
    assert.ok(served >= 30 && served < 60, `${served} were served`);
    tooMany(await scene.ask('/version', { token }), /more than 0\.5 requests per second/);
    await othersAreServed();
    await sleep(2_200);
    assert.equal((await scene.ask('/version', { token })).status, 200);
  });

  it('parallel requests: watches count, and give their place back when they end', async () => {
    const token = await caller();
    const statuses = await watches(token, 7);
    assert.deepEqual(
      statuses.sort((a, b) => a - b),
      [200, 200, 200, 200, 200, 429, 429],
    );
    tooMany(await scene.ask(base, { token }), /more than 5 requests at once/);
    await othersAreServed();
    for (const session of sessions.splice(0)) session.destroy();
    for (let attempt = 0; (await scene.ask(base, { token })).status !== 200; attempt++) {
      assert.ok(attempt < 20, 'the places of ended watches were not given back');
      await sleep(100);
    }
  });

  it('bytes held: bodies that are being read for a decision', async () => {
    const token = await caller();
    const held = await Promise.all(
      Array.from({ length: 2 }, async () => {
        const connection = await RawConnection.open(scene.gateway);
        connection.write(
          `POST ${base} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\n` +
            `Content-Length: ${3 << 20}\r\n\r\n`,
        );
        connection.write(Buffer.alloc((3 << 20) - 10, 0x20));
        return connection;
      }),
    );
    try {
      const answer = await Promise.race(held.map((connection) => connection.answer()));
      tooMany(answer!, /bodies under way hold more than 4194304 bytes/);
      await othersAreServed();
    } finally {
      for (const connection of held) connection.destroy();
    }
    const fine = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'fine' } };
    for (let attempt = 0; ; attempt++) {
      const made = await scene.ask(base, {
        token,
        method: 'POST',
        body: JSON.stringify({ ...fine, data: { a: 'x'.repeat(900_000) } }),
        headers: ['Content-Type', 'application/json'],
      });
      if (made.status === 201) break;
      assert.ok(attempt < 20, `bytes were not given back: ${made.body.slice(0, 200)}`);
      await sleep(100);
    }
  });

  it('upgraded streams', async () => {
    const token = await caller();
    const exec = async () => {
      const connection = await RawConnection.open(scene.gateway);
      connection.write(
        `GET /api/v1/namespaces/${scene.namespace}/pods/none/exec?command=ls&stdout=1 HTTP/1.1\r\nHost: x\r\n` +
          `Authorization: Bearer ${token}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n` +
          'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: v5.channel.k8s.io\r\n\r\n',
      );
      const answer = await connection.answer();
      connection.destroy();
      return answer!;
    };
    // There is no such Pod: the streams end at once, and give their place back.
    for (let round = 0; round < 4; round++) assert.equal((await exec()).status, 404);
    const answers = await Promise.all(Array.from({ length: 5 }, exec));
    const refused = answers.filter(({ status }) => status === 429);
    assert.ok(refused.length > 0, answers.map(({ status }) => status).join());
    for (const answer of refused) tooMany(answer, /more than 2 streams at once|more than 5 requests at once/);
    await othersAreServed();
  });

  it('kubectl waits as it is told, and succeeds', async () => {
    const token = await caller();
    const kubeconfig = await scene.kubeconfig(token);
    const first = await scene.cluster.kubectl(['get', 'configmaps'], { kubeconfig });
    assert.equal(first.code, 0, first.stderr);
    for (let index = 0; index < 40; index++) await scene.ask('/version', { token });
    assert.equal((await scene.ask('/version', { token })).status, 429);
    const before = await hits('rate');
    const patient = await scene.cluster.kubectl(['get', 'configmaps'], { kubeconfig });
    assert.equal(patient.code, 0, patient.stderr);
    assert.ok((await hits('rate')) > before, 'it did not have to wait');
  });

  it('shows in the metrics', async () => {
    for (const limit of ['rate', 'parallelRequests', 'bytesHeld']) assert.ok((await hits(limit)) > 0, limit);
    const { body } = await scene.gateway.probe('/metrics');
    assert.match(body, /^sallyport_requests_in_flight 0$/m);
  });
});
