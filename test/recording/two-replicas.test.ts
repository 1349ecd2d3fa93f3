import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { CommandIO } from '../../src/cli/command-io.ts';
import { runRecording } from '../../src/cli/recording-command.ts';
import { type Cluster, sharedCluster } from '../cluster/cluster.ts';
import { GatewayProcess } from '../gateway/gateway-process.ts';
import { Scene } from '../gateway/scene.ts';

/** No sticky sessions: the requests of one session come to any replica, and all of them are kept in one store. */
describe('a session that two replicas serve', { timeout: 180_000 }, () => {
  let cluster: Cluster;
  let scene: Scene;
  let second: GatewayProcess;
  let store: string;

  before(async () => {
    cluster = await sharedCluster();
    scene = await Scene.open('two-replicas', { cluster, recording: true });
    store = join(scene.gateway.directory, 'recordings');
    second = await GatewayProcess.start(cluster, {
      replicaOf: scene.gateway,
      recording: true,
      adjust: (configuration) => {
        configuration.recording.storage.filesystem.path = store;
      },
    });
  });
  after(async () => {
    await second?.stop();
    await scene?.close();
  });

  async function recording(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
    const said = { stdout: '', stderr: '' };
    const io: CommandIO = {
      stdout: (text) => void (said.stdout += text),
      stderr: (text) => void (said.stderr += text),
      env: { SALLYPORT_STORE: store },
    };
    return { code: await runRecording(args, io), ...said };
  }

  it('has every event in one store, which is verified as one, each joined by the session’s name', async () => {
    const path = `/api/v1/namespaces/${scene.namespace}/configmaps`;
    const answer = await scene.ask('/sallyport/v1/token', {
      method: 'POST',
      headers: ['Content-Type', 'application/x-www-form-urlencoded'],
      body: 'grant_type=urn:ietf:params:oauth:grant-type:token-exchange&agent=cursor',
    });
    assert.equal(answer.status, 200, answer.body);
    const { access_token: token, session } = answer.json() as { access_token: string; session: string };
    const ids = new Set<string>();
    for (let i = 0; i < 10; i++) {
      const gateway = i % 2 === 0 ? scene.gateway : second;
      const body = JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: `made-${i}` } });
      const headers = ['Content-Type', 'application/json'];
      const made = await scene.ask(path, { method: 'POST', headers, body, token, gateway });
      assert.equal(made.status, 201, made.body);
      ids.add(made.headers['x-request-id'] as string);
    }
    for (const gateway of [scene.gateway, second]) await gateway.kill('SIGTERM');
    const listed = await recording('list', '--agent', 'cursor', '-o', 'json');
    const entries = listed.stdout
      .trim()
      .split('\n')
      .map(
        (line) => JSON.parse(line) as { name: string; state: string; identity: { caller: { agentSession?: string } } },
      );
    const own = entries.filter(({ identity }) => identity.caller.agentSession === session);
    assert.equal(own.length, 2, listed.stdout);
    assert.ok(
      own.every(({ state }) => state === 'Complete'),
      listed.stdout,
    );
    const kept: string[] = [];
    for (const { name } of own) kept.push((await recording('show', name, '-o', 'json')).stdout);
    for (const id of ids) assert.equal(kept.filter((text) => text.includes(id)).length, 1, `${id} is kept once`);
    const verified = await recording('verify', store);
    assert.equal(verified.code, 0, verified.stdout);
    for (const { name } of own) assert.match(verified.stdout, new RegExp(name));
  });
});
