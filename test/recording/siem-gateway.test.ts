import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Scene } from '../gateway/scene.ts';

/** One event of the webhook's batches. */
interface Sent {
  readonly auditID: string;
  readonly stage: string;
  readonly verb: string;
  readonly outcome?: string;
}

describe('every event of the gateway goes to a receiver as it happens', () => {
  let scene: Scene;
  let server: Server;
  const got: Sent[] = [];
  let answers = true;

  before(async () => {
    server = createServer((request, response) => {
      let body = '';
      request.setEncoding('utf8').on('data', (text: string) => void (body += text));
      request.on('end', () => {
        if (!answers) {
          response.writeHead(503).end();
          return;
        }
        got.push(...(JSON.parse(body) as { data: { events: Sent[] } }).data.events);
        response.end();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    scene = await Scene.open('siem', {
      recording: true,
      adjust: (configuration) => {
        const secretFile = join(configuration.listen.tls.certFile, '..', 'siem-secret');
        writeFileSync(secretFile, 'a secret of the test, long enough');
        configuration.recording.siem = [{ name: 'soc', webhook: { url: `http://127.0.0.1:${port}/`, secretFile } }];
      },
    });
  });
  after(async () => {
    await scene?.close();
    server?.close();
  });

  async function arrived(id: string): Promise<Sent[]> {
    for (let tries = 0; tries < 200; tries += 1) {
      const found = got.filter(({ auditID }) => auditID === id);
      if (found.some(({ stage }) => stage === 'ResponseComplete')) return found;
      await sleep(25);
    }
    return got.filter(({ auditID }) => auditID === id);
  }

  it('a read, a write with its stages; while the receiver is away nobody waits, and nothing is lost', async () => {
    const maps = `/api/v1/namespaces/${scene.namespace}/configmaps`;
    const post = async (name: string) =>
      await scene.ask(maps, {
        method: 'POST',
        headers: ['Content-Type', 'application/json'],
        body: JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name } }),
      });
    const read = await scene.ask(maps);
    assert.equal(read.status, 200);
    assert.deepEqual(
      (await arrived(String(read.headers['x-request-id']))).map(({ verb }) => verb),
      ['list'],
    );
    const made = await post('one');
    assert.equal(made.status, 201);
    const stages = await arrived(String(made.headers['x-request-id']));
    assert.deepEqual(
      stages.map(({ stage }) => stage),
      ['RequestReceived', 'ResponseComplete'],
    );

    answers = false;
    const begun = performance.now();
    const meanwhile = [];
    for (let index = 0; index < 20; index += 1) meanwhile.push(await post(`away-${index}`));
    assert.ok(meanwhile.every(({ status }) => status === 201));
    assert.ok(performance.now() - begun < 10_000);
    answers = true;
    for (const { headers } of meanwhile) assert.equal((await arrived(String(headers['x-request-id']))).length, 2);
  });
});
