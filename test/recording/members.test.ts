import assert from 'node:assert/strict';
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { EventLine } from '../../src/recording/line.ts';
import { newSigningKey, readSigningKey } from '../../src/recording/signing-key.ts';
import { People } from '../approval/people.ts';
import { GatewayProcess } from '../gateway/gateway-process.ts';
import { type Answer, POLICY_ALL, Scene } from '../gateway/scene.ts';
import { events, spooledLines, storedLines, storedRecordings, storeOf, verifyStored } from './recorded.ts';

const RULES = `
    - name: secrets-wait
      action: RequireApproval
      match: {verbs: [get], apiGroups: [""], resources: [secrets]}
      approval: {requestTTL: 15m, grantTTL: 5m}
    - name: look
      action: Allow
      match: {verbs: [get, list, watch], apiGroups: ["*"], resources: ["*"]}
    - name: secrets-of-state
      action: RequireApproval
      match: {verbs: [create, update, patch], apiGroups: [""], resources: [configmaps]}
      approval: {requestTTL: 15m, grantTTL: 5m}`;

const writing = (name: string) => ({
  method: 'POST',
  headers: ['Content-Type', 'application/json'],
  body: JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name } }),
});

describe('who approved, and which run of a CI system: recordings and their index', () => {
  let scene: Scene;
  const maps = (): string => `/api/v1/namespaces/${scene.namespace}/configmaps`;

  before(async () => {
    scene = await Scene.open('members', {
      rules: RULES,
      recording: true,
      adjust: (configuration) => {
        configuration.identity.oidc[0].claimMappings.run = { claim: 'run_id' };
        configuration.recording.idleTimeout = '2s';
        configuration.recording.index = { statusInterval: '1s' };
      },
    });
  });
  after(() => scene?.close());

  it('an approved request says by whom, when and why, in all of its events; what was held and refused is kept too', async () => {
    const asked = await scene.ask(maps(), writing('approved'));
    assert.equal(asked.status, 403, asked.body);
    const [held] = events(spooledLines(scene.gateway), String(asked.headers['x-request-id']));
    assert.equal(held!.outcome, 'Refused');
    assert.equal(held!.error!.code, 'SP_APPROVAL_REQUIRED');
    assert.equal(held!.approval, undefined);
    assert.ok(held!.durations!.approval! > 0, 'how long it was held');
    const people = new People(scene.cluster);
    const { metadata } = await people.waiting(scene.namespace);
    await people.approve(scene.namespace, metadata.name, { reason: 'ticket 17' });
    const passed = await scene.ask(maps(), writing('approved'));
    assert.equal(passed.status, 201, passed.body);
    const lines = events(spooledLines(scene.gateway), String(passed.headers['x-request-id']));
    assert.deepEqual(
      lines.map(({ stage }) => stage),
      ['RequestReceived', 'ResponseComplete'],
    );
    for (const { approval, decision } of lines) {
      assert.equal(decision!.action, 'RequireApproval');
      assert.deepEqual([approval!.namespace, approval!.name], [scene.namespace, metadata.name]);
      const [word] = approval!.decisions;
      assert.deepEqual([word!.type, word!.username, word!.reason], ['Approved', 'bob@shop.example', 'ticket 17']);
      assert.ok(Math.abs(Date.parse(word!.time!) - Date.now()) < 600_000);
    }
  });

  it('an approved read has its first event before the forward, as a write has', async () => {
    const secret = `/api/v1/namespaces/${scene.namespace}/secrets/looked-at`;
    const path = secret.slice(0, secret.lastIndexOf('/'));
    await scene.cluster.admin('POST', path, { metadata: { name: 'looked-at' } });
    const asked = await scene.ask(secret);
    assert.equal(asked.status, 403, asked.body);
    const people = new People(scene.cluster);
    const { metadata } = await people.waiting(scene.namespace);
    await people.approve(scene.namespace, metadata.name, { reason: 'ticket 18' });
    const passed = await scene.ask(secret);
    assert.equal(passed.status, 200, passed.body);
    // Reads are not waited for where no policy says Strict: their last event may come behind the answer.
    let lines: EventLine[] = [];
    for (const end = Date.now() + 30_000; lines.length < 2 && Date.now() < end; await sleep(20))
      lines = events(spooledLines(scene.gateway), String(passed.headers['x-request-id']));
    assert.deepEqual(
      lines.map(({ stage, verb, approval }) => [stage, verb, approval?.name]),
      [
        ['RequestReceived', 'get', metadata.name],
        ['ResponseComplete', 'get', metadata.name],
      ],
    );
    // A read that nobody had to approve has one event only.
    const listed = await scene.ask(path);
    for (lines = []; lines.length < 1; await sleep(20))
      lines = events(spooledLines(scene.gateway), String(listed.headers['x-request-id']));
    assert.deepEqual(
      lines.map(({ stage }) => stage),
      ['ResponseComplete'],
    );
  });

  it('which agent it was stands in every event: by its token, and on whose behalf by its session', async () => {
    const secrets = `/api/v1/namespaces/${scene.namespace}/secrets`;
    const callers = async (token: string) => {
      const watched = await scene.ask(`${maps()}?watch=1&timeoutSeconds=1`, { token });
      assert.equal(watched.status, 200);
      const refused = await scene.ask(secrets, { method: 'DELETE', token });
      assert.equal(refused.status, 403);
      let all: EventLine[] = [];
      for (const end = Date.now() + 30_000; all.length < 3 && Date.now() < end; await sleep(20)) {
        const lines = spooledLines(scene.gateway);
        all = [watched, refused].flatMap(({ headers }) => events(lines, String(headers['x-request-id'])));
      }
      assert.deepEqual(
        all.map(({ stage, outcome }) => [stage, outcome]),
        [
          ['RequestReceived', undefined],
          ['ResponseComplete', 'Complete'],
          ['ResponseComplete', 'Refused'],
        ],
      );
      return all.map(({ user, caller }) => ({ ...caller, username: user.username }));
    };
    const { issuer } = scene.gateway;
    const agent = { method: 'OIDC', issuer: issuer.url, agent: 'copilot', username: scene.user };
    assert.deepEqual(await callers(await scene.tokenOf({ agent: 'copilot' })), [agent, agent, agent]);
    const exchanged = await scene.ask('/sallyport/v1/token', {
      method: 'POST',
      headers: ['Content-Type', 'application/x-www-form-urlencoded'],
      body: 'grant_type=urn:ietf:params:oauth:grant-type:token-exchange&agent=cursor',
    });
    assert.equal(exchanged.status, 200, exchanged.body);
    const { access_token: token, session } = exchanged.json() as { access_token: string; session: string };
    for (const { method, agent, onBehalfOf, agentSession } of await callers(token))
      assert.deepEqual([method, agent, onBehalfOf, agentSession], ['AgentSession', 'cursor', scene.user, session]);
  });

  it('each run of a CI system has one recording and one object, sealed when it is idle', async () => {
    const ask = async (run: string): Promise<Answer> => {
      const token = await scene.tokenOf({ sub: 'repo:shop/web', run_id: run, jti: `${run}-${Math.random()}` });
      return await scene.ask(maps(), { token });
    };
    for (const run of ['17', '18', '17', '18', '17']) assert.equal((await ask(run)).status, 200);
    const list = `/apis/sallyport.dev/v1alpha1/namespaces/${scene.gateway.namespace}/sessionrecordings`;
    type Object = { metadata: { name: string }; spec: { caller: { run?: string } }; status?: Record<string, unknown> };
    let objects: Object[] = [];
    for (const end = Date.now() + 60_000; Date.now() < end; await sleep(200)) {
      const all = (await scene.cluster.admin('GET', list)).json().items as Object[];
      objects = all.filter(({ spec }) => spec.caller.run !== undefined);
      if (objects.length > 1 && objects.every(({ status }) => status?.['phase'] === 'Sealed')) break;
    }
    const runs = objects.map(({ spec, status }) => {
      const { requests } = status!['counts'] as { requests: number };
      return `run ${spec.caller.run}: ${requests} requests, ${status!['phase']}, ${status!['reason']}`;
    });
    assert.deepEqual(new Set(runs), new Set(['run 17: 3 requests, Sealed, Idle', 'run 18: 2 requests, Sealed, Idle']));
    assert.equal(runs.length, 2);
    for (const { metadata, spec } of objects) {
      const stored = await storedLines(scene.gateway, metadata.name);
      assert.ok(events(stored).every(({ caller }) => caller.run === spec.caller.run));
    }
    assert.ok(storedRecordings(scene.gateway).length >= 2);
  });

  it('the signing key is rotated with nothing started anew; what either key signed verifies', async () => {
    const { cluster, gateway } = scene;
    const pem = newSigningKey();
    const { id } = readSigningKey(pem);
    const secret = `/api/v1/namespaces/${gateway.namespace}/secrets/sallyport-recording-keys`;
    const entry = { data: { '000002.pem': Buffer.from(pem).toString('base64') } };
    const patched = await cluster.admin('PATCH', secret, entry, 'application/merge-patch+json');
    assert.equal(patched.status, 200, patched.body);
    await gateway.logged(({ keyID, message }) => keyID === id && String(message).includes('another key'), 60_000);
    const { headers } = await scene.ask(maps());
    const signers = new Map<string, string>();
    for (const end = Date.now() + 60_000; Date.now() < end && ![...signers.values()].includes(id); await sleep(200)) {
      for (const name of storedRecordings(gateway).filter((each) => !signers.has(each))) {
        const report = await verifyStored(gateway, name);
        if (report.state !== 'Open') signers.set(name, report.keyID!);
      }
    }
    assert.equal(new Set(signers.values()).size, 2, 'the old key and the new one');
    const [latest] = [...signers].find(([, keyID]) => keyID === id)!;
    const lines = await storedLines(gateway, latest);
    assert.equal(events(lines, String(headers['x-request-id'])).length, 1);
  });

  it('durability Remote with the store away: writes are refused in time and not carried out, reads pass; then all goes on', async () => {
    const { cluster, gateway } = scene;
    await scene.policy(POLICY_ALL);
    const remote = await GatewayProcess.start(cluster, {
      replicaOf: gateway,
      recording: true,
      adjust: (configuration) => Object.assign(configuration.recording, { durability: 'Remote', commitTimeout: '1s' }),
    });
    try {
      let first = await scene.ask(maps(), { gateway: remote, ...writing('there') });
      for (; first.status === 403; first = await scene.ask(maps(), { gateway: remote, ...writing('there') }))
        await sleep(50);
      assert.equal(first.status, 201, first.body);
      const [name] = storedRecordings(remote);
      assert.ok(name !== undefined, 'in the store before the answer');
      const store = storeOf(remote);
      renameSync(store, `${store}.away`);
      writeFileSync(store, '');
      const begun = performance.now();
      const refused = await scene.ask(maps(), { gateway: remote, ...writing('away') });
      assert.equal(refused.status, 503, refused.body);
      assert.match(refused.json().message, /^SP_RECORDING_UNAVAILABLE: .*: .*the store.*\. It was not carried out;/);
      assert.ok(performance.now() - begun < 20_000);
      const ofRefused = () => events(spooledLines(remote), String(refused.headers['x-request-id']));
      let told = ofRefused();
      for (; told.length < 2 && performance.now() - begun < 20_000; await sleep(20)) told = ofRefused();
      assert.deepEqual(
        told.map(({ stage, outcome }) => [stage, outcome]),
        [
          ['RequestReceived', undefined],
          ['ResponseComplete', 'Refused'],
        ],
        'its first line is in the spool by now, and must not say that it was let through',
      );
      assert.equal((await cluster.admin('GET', `${maps()}/away`)).status, 404, 'it was not carried out');
      assert.equal((await scene.ask(maps(), { gateway: remote })).status, 200, 'where no policy says Strict');
      rmSync(store);
      renameSync(`${store}.away`, store);
      let again = await scene.ask(maps(), { gateway: remote, ...writing('back') });
      for (const end = Date.now() + 60_000; again.status === 503 && Date.now() < end; await sleep(200)) {
        again = await scene.ask(maps(), { gateway: remote, ...writing('back') });
      }
      assert.equal(again.status, 201, again.body);
      const kept = spooledLines(remote);
      assert.ok(
        kept.every(({ kind }) => kind !== 'Gap'),
        'what the store had not in time was not lost',
      );
    } finally {
      await remote.stop();
    }
  });
});
