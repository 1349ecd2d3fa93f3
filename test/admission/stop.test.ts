import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../cluster/free-port.ts';
import { Scene } from '../gateway/scene.ts';

/** A replica that goes away refuses no write: an API server waits for its answers, and turns to another one. */
describe('SIGTERM, while reviews are under way', { timeout: 60_000 }, () => {
  let scene: Scene;
  let port: number;
  let agent: Agent;

  before(async () => {
    port = await freePort();
    scene = await Scene.open('webhook-stop', {
      rules: `
    - name: read
      action: Allow
      match: {verbs: [get, list], apiGroups: [""], resources: [configmaps, namespaces]}`,
      adjust: (configuration) => {
        configuration.admission = { address: '127.0.0.1', port, tls: configuration.listen.tls };
        configuration.controller = { enabled: false };
        configuration.shutdown = { readyDelay: '700ms', drainTimeout: '5s', streamDeadline: '1s' };
      },
    });
    agent = new Agent({ keepAlive: true, ca: scene.gateway.caPem });
  });
  after(async () => {
    agent?.destroy();
    await scene?.close();
  });

  /** @param username the scene's user is governed, and may read alone */
  function review(username: string): string {
    const resource = { group: '', version: 'v1', resource: 'configmaps' };
    const { namespace } = scene;
    const userInfo = { username, groups: username === scene.user ? [scene.group] : [] };
    const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'one', namespace } };
    const asked = { uid: username, resource, name: 'one', namespace, operation: 'CREATE', userInfo, object };
    return JSON.stringify({ kind: 'AdmissionReview', apiVersion: 'admission.k8s.io/v1', request: asked });
  }
  function begin(body: string): ClientRequest {
    const headers = { 'content-length': Buffer.byteLength(body) };
    return request({ host: '127.0.0.1', port, path: '/admit', method: 'POST', agent, headers });
  }
  async function answerTo(sent: ClientRequest): Promise<{ connection: string | undefined; allowed: boolean }> {
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    let text = '';
    for await (const chunk of response) text += String(chunk);
    const { allowed } = (JSON.parse(text) as { response: { allowed: boolean } }).response;
    return { connection: response.headers.connection, allowed };
  }

  it('they are answered, new ones too until the port is closed, each with the end of its connection; then it is gone', async () => {
    const [free, governed] = [review('somebody-else'), review(scene.user)];
    const halves = [free, governed].map((body) => {
      const sent = begin(body);
      sent.write(body.slice(0, 40));
      return { sent, rest: body.slice(40), answer: answerTo(sent) };
    });
    await sleep(200);
    const began = Date.now();
    const exit = scene.gateway.kill('SIGTERM');
    await sleep(200);
    // Endpoints are not everywhere at once: until then it serves.
    const late = begin(free);
    late.end(free);
    assert.deepEqual(await answerTo(late), { connection: 'close', allowed: true });
    await sleep(900);
    const refused = begin(free);
    refused.end(free);
    const [error] = (await once(refused, 'error')) as [NodeJS.ErrnoException];
    assert.equal(error.code, 'ECONNREFUSED');
    for (const { sent, rest } of halves) sent.end(rest);
    const answers = await Promise.all(halves.map(({ answer }) => answer));
    assert.deepEqual(answers, [
      { connection: 'close', allowed: true },
      { connection: 'close', allowed: false },
    ]);
    assert.equal(await exit, 0);
    assert.ok(Date.now() - began < 4_000, 'it waits for nobody who has nothing under way');
    assert.equal(scene.gateway.stderr, '');
  });
});
