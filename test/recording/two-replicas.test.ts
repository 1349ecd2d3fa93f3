import assert from 'node:assert/strict';
import { chmodSync, existsSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CommandIO } from '../../src/cli/command-io.ts';
import { runRecording } from '../../src/cli/recording-command.ts';
import type { SessionRecordingStatus } from '../../src/recording/session-recording.generated.ts';
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

  async function session(): Promise<{ token: string; session: string }> {
    const answer = await scene.ask('/sallyport/v1/token', {
      method: 'POST',
      headers: ['Content-Type', 'application/x-www-form-urlencoded'],
      body: 'grant_type=urn:ietf:params:oauth:grant-type:token-exchange&agent=cursor',
    });
    assert.equal(answer.status, 200, answer.body);
    const { access_token: token, session: name } = answer.json() as { access_token: string; session: string };
    return { token, session: name };
  }

  /** One write after another, each at the other replica. */
  async function writes(token: string, prefix: string, count: number): Promise<string[]> {
    const path = `/api/v1/namespaces/${scene.namespace}/configmaps`;
    const ids: string[] = [];
    for (let i = 0; i < count; i++) {
      const gateway = i % 2 === 0 ? scene.gateway : second;
      const body = JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: `${prefix}-${i}` } });
      const headers = ['Content-Type', 'application/json'];
      const made = await scene.ask(path, { method: 'POST', headers, body, token, gateway });
      assert.equal(made.status, 201, made.body);
      ids.push(made.headers['x-request-id'] as string);
    }
    return ids;
  }

  interface Listed {
    readonly name: string;
    readonly state: string;
    readonly counts: { readonly requests: number };
    readonly identity: { readonly caller: { readonly agentSession?: string } };
  }

  async function listed(of: string): Promise<Listed[]> {
    const { stdout } = await recording('list', '-o', 'json');
    const all = stdout.split('\n').filter(Boolean);
    return all.map((line) => JSON.parse(line) as Listed).filter(({ identity }) => identity.caller.agentSession === of);
  }

  async function object(name: string): Promise<{ status?: SessionRecordingStatus } | undefined> {
    const path = `/apis/sallyport.dev/v1alpha1/namespaces/${scene.gateway.namespace}/sessionrecordings/${name}`;
    const answer = await cluster.admin('GET', path);
    return answer.status === 200 ? (answer.json() as { status?: SessionRecordingStatus }) : undefined;
  }

  async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
    for (const end = Date.now() + 30_000; !(await holds()); await sleep(200)) assert.ok(Date.now() < end, what);
  }

  it('is one recording, which whoever ends last seals: every event once, in one timeline', async () => {
    const { token, session: name } = await session();
    const ids = await writes(token, 'made', 10);
    await until('both have announced it', async () => {
      const [found] = await listed(name);
      return found?.state === 'Open' && found.counts.requests === 10;
    });
    const [open] = await listed(name);
    await until('the index counts what both have', async () => (await object(open!.name))?.status?.phase === 'Open');
    await second.kill('SIGTERM');
    assert.deepEqual(
      (await listed(name)).map(({ state }) => state),
      ['Open'],
      'the other replica has a part of it open',
    );
    await scene.gateway.kill('SIGTERM');
    const found = await listed(name);
    assert.equal(found.length, 1);
    const [{ name: recorded, state, counts }] = found as [Listed];
    assert.deepEqual([state, counts.requests], ['Complete', 10]);

    const shown = (await recording('show', recorded, '-o', 'json')).stdout.trim().split('\n');
    const events = shown
      .map((line) => JSON.parse(line) as { chain: string; kind: string; stage: string; auditID: string })
      .filter(({ kind, stage }) => kind === 'Event' && stage === 'ResponseComplete');
    assert.deepEqual(
      events.map(({ auditID }) => auditID),
      ids,
      'in the order in which they were made',
    );
    assert.equal(new Set(events.map(({ chain }) => chain)).size, 2);
    assert.match((await recording('show', recorded)).stdout, /has a part in it from here on/);
    assert.equal(
      (await recording('search', recorded, '--resource', 'configmaps')).stdout.split(/^ {4}id /m).length,
      11,
    );
    const exported = (await recording('export', recorded, '--format', 'audit')).stdout;
    for (const id of ids) assert.ok(exported.includes(id));
    assert.equal(
      (await recording('replay', recorded, '--speed', '1000')).stdout.match(/\$ kubectl create/g)?.length,
      10,
    );

    for (const what of [[recorded], [store], [join(store, 'recordings', recorded)]]) {
      const verified = await recording('verify', ...what);
      assert.equal(verified.code, 0, verified.stdout);
      assert.match(verified.stdout, new RegExp(`SOUND +${recorded}: 2 chains, `));
    }
    const status = (await object(recorded))?.status;
    assert.equal(status?.phase, 'Sealed');
    assert.equal(status?.counts?.requests, 10);
    assert.deepEqual(
      Object.values(status?.chains ?? {}).map((chain) => chain.counts?.requests),
      [5, 5],
    );

    // A change in either chain is found, and said with the chain that it is in.
    for (const chain of Object.keys(status!.chains!)) {
      const file = join(store, 'recordings', recorded, chain, '000001.jsonl.zst');
      const bytes = readFileSync(file);
      chmodSync(file, 0o600);
      writeFileSync(file, bytes.with(bytes.length >> 1, bytes[bytes.length >> 1]! ^ 1));
      const verified = await recording('verify', recorded);
      assert.equal(verified.code, 1);
      assert.match(verified.stdout, new RegExp(`ALTERED[^]*${chain}/000001\\.jsonl\\.zst`));
      writeFileSync(file, bytes);
    }
  });

  it('of which one is killed: the other one seals what the store has of it, Incomplete, and the recording', async () => {
    await scene.gateway.launch();
    await second.launch();
    const { token, session: name } = await session();
    await writes(token, 'later', 6);
    await until('the store has both', async () => (await listed(name))[0]?.counts.requests === 6);
    await second.kill('SIGKILL');
    // Two minutes pass for it, by the store's clock.
    const replicas = join(store, 'replicas');
    const said = readFileSync(join(second.directory, 'spool', 'replica'), 'utf8').trim();
    const long = new Date(Date.now() - 300_000);
    utimesSync(join(replicas, `${said}.json`), long, long);
    await until(
      'the chain of the one that was killed is sealed',
      async () => !existsSync(join(replicas, `${said}.json`)),
    );
    await scene.gateway.kill('SIGTERM');
    const [found] = await listed(name);
    assert.deepEqual([found!.state, found!.counts.requests], ['Incomplete', 6]);
    const verified = await recording('verify', found!.name);
    assert.equal(verified.code, 0, verified.stdout);
    assert.match(verified.stdout, /SOUND .*: 2 chains, .*; Incomplete/);
    assert.equal((await object(found!.name))?.status?.phase, 'Incomplete');
  });
});
