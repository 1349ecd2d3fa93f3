import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CommandIO } from '../../src/cli/command-io.ts';
import { runFreeze, runUnfreeze } from '../../src/cli/freeze-command.ts';
import { runSession } from '../../src/cli/session-command.ts';
import { SessionKeys } from '../../src/identity/session-key.ts';
import { locate } from '../../src/kubernetes/locate.ts';
import { Transport } from '../../src/kubernetes/transport.ts';
import { Own } from '../../src/upstream/own.ts';
import { secretStore } from '../../src/upstream/secret-store.ts';
import { type Cluster, sharedCluster } from '../cluster/cluster.ts';
import { GatewayProcess } from '../gateway/gateway-process.ts';

/** Two replicas of the real gateway before the real API server, and the real command line of an administrator. */
describe('agent sessions on several replicas', { timeout: 180_000 }, () => {
  let cluster: Cluster;
  let first: GatewayProcess;
  let second: GatewayProcess;
  let shop: string;

  before(async () => {
    cluster = await sharedCluster();
    first = await GatewayProcess.start(cluster);
    second = await GatewayProcess.start(cluster, { replicaOf: first });
    shop = await cluster.namespace('shop');
    await cluster.apply(`
apiVersion: sallyport.dev/v1alpha1
kind: AgentPolicy
metadata: {name: ${shop}}
spec:
  subjects: [{kind: Group, name: ai-agents}]
  rules:
    - name: look-around
      action: Allow
      match: {verbs: [get, list, watch], apiGroups: [""], resources: ["*"], namespaces: [${shop}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: agents, namespace: ${shop}}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [get, list, watch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: agents, namespace: ${shop}}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: agents}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "sallyport:ai-agents"}]
`);
    // Policies arrive by a watch.
    await sleep(1_000);
  });
  after(async () => {
    await second?.stop();
    await first?.stop();
    await cluster?.stop();
  });

  const people: Record<string, number> = {};
  async function issue(gateway: GatewayProcess, sub: string, changes: object = {}) {
    people[sub] = (people[sub] ?? 0) + 1;
    const proof = await gateway.token({ sub, groups: ['developers'], ...changes });
    return await ask(gateway, 'POST', '/sallyport/v1/token', proof, {
      body: 'grant_type=urn:ietf:params:oauth:grant-type:token-exchange&agent=cursor',
    });
  }
  async function session(gateway: GatewayProcess, sub: string) {
    const answer = await issue(gateway, sub);
    assert.equal(answer.status, 200, answer.body);
    return JSON.parse(answer.body) as { access_token: string; session: string };
  }
  const configMaps = () => `/api/v1/namespaces/${shop}/configmaps`;

  function io() {
    const said = { stdout: '', stderr: '' };
    const value: CommandIO = {
      stdout: (text) => void (said.stdout += text),
      stderr: (text) => void (said.stderr += text),
      env: {},
    };
    return { io: value, said };
  }
  const admin = () => ['--kubeconfig', cluster.adminKubeconfig, '--namespace', first.namespace];

  test('a session made on one replica works on the other at once, as the person plus the agent', async () => {
    for (let round = 0; round < 5; round++) {
      const { access_token: token } = await session(first, `round-${round}`);
      const answer = await ask(second, 'GET', configMaps(), token);
      assert.equal(answer.status, 200, answer.body);
    }
    const { access_token: token, session: name } = await session(second, 'whoami');
    await ask(first, 'GET', configMaps(), token);
    const events = cluster.auditEvents((event) => event.impersonatedUser?.username === 'sallyport:whoami');
    assert.ok(events.length > 0);
    const { extra, groups } = events[0]!.impersonatedUser!;
    assert.deepEqual(extra?.['sallyport.dev/agent'], ['cursor']);
    assert.deepEqual(extra?.['sallyport.dev/on-behalf-of'], ['whoami']);
    assert.deepEqual(extra?.['sallyport.dev/session'], [name]);
    assert.ok(groups?.includes('sallyport:ai-agents') && groups.includes('sallyport:developers'));
  });

  test('a session token is worth nothing at the API server itself', async () => {
    const { access_token: token } = await session(first, 'around');
    const kubeconfig = await cluster.kubeconfig({ token });
    const direct = await cluster.kubectl(['get', 'pods'], { kubeconfig });
    assert.notEqual(direct.code, 0);
    assert.match(direct.stderr, /Unauthorized|must be logged in/);
  });

  test('an agent session gets no further session', async () => {
    const { access_token: token } = await session(first, 'agent');
    const answer = await ask(first, 'POST', '/sallyport/v1/token', token, {
      body: 'grant_type=urn:ietf:params:oauth:grant-type:token-exchange&agent=cursor',
    });
    assert.equal(answer.status, 400);
    assert.match(answer.body, /access_denied/);
  });

  test('session list and revoke: within a second on both replicas, open watches too', async (context) => {
    const { access_token: token, session: name } = await session(first, 'revoked');
    const watches = await Promise.all(
      [first, second].map((gateway) => watch(gateway, `${configMaps()}?watch=1`, token)),
    );
    const listing = io();
    assert.equal(await runSession(['list', ...admin()], listing.io), 0, listing.said.stderr);
    assert.match(listing.said.stdout, new RegExp(`\\n${name} +cursor +revoked +\\S+ +live`));

    const started = performance.now();
    const command = io();
    assert.equal(
      await runSession(['revoke', name, '--reason', 'lost laptop', ...admin()], command.io),
      0,
      command.said.stderr,
    );
    const revokedAt = performance.now();
    assert.equal(command.said.stdout, `${name} revoked\n`);
    const ends = await Promise.all(watches.map((one) => one.ended));
    for (const gateway of [first, second]) {
      await until(
        async () => (await ask(gateway, 'GET', configMaps(), token)).status === 401,
        1_000,
        'refused everywhere',
      );
      const refused = await ask(gateway, 'GET', configMaps(), token);
      assert.match(refused.body, /SP_NOT_AUTHENTICATED: the credential was not accepted \(request/);
    }
    context.diagnostic(
      `watches ended ${ends.map((end) => Math.round(end - revokedAt)).join(' and ')} ms after the command`,
    );
    for (const end of ends) assert.ok(end - revokedAt < 1_000, `a watch ended ${Math.round(end - revokedAt)} ms later`);
    assert.ok(performance.now() - started < 10_000);

    const object = (await cluster.admin('GET', sessionPath(name))).json() as { status: Record<string, string> };
    assert.equal(object.status['reason'], 'lost laptop');
    assert.ok(object.status['revokedBy'] !== '');
    const again = await issue(second, 'revoked', { auth_time: Math.floor(Date.now() / 1_000) - 600 });
    assert.equal(again.status, 403, again.body);
    assert.match(again.body, /insufficient_user_authentication/);
    await sleep(1_000);
    const anew = await issue(second, 'revoked', { auth_time: Math.floor(Date.now() / 1_000) });
    assert.equal(anew.status, 200, anew.body);
    const twice = io();
    assert.equal(await runSession(['revoke', name, ...admin()], twice.io), 0);
    assert.match(twice.said.stderr, /was revoked already/);
    const none = io();
    assert.equal(await runSession(['revoke', 'cursor-none', ...admin()], none.io), 1);
    assert.match(none.said.stderr, /there is no session cursor-none/);
  });

  test('deleting the object ends the session as well', async () => {
    const { access_token: token, session: name } = await session(first, 'deleted');
    assert.equal((await ask(second, 'GET', configMaps(), token)).status, 200);
    await cluster.admin('DELETE', sessionPath(name));
    for (const gateway of [first, second]) {
      await until(
        async () => (await ask(gateway, 'GET', configMaps(), token)).status === 401,
        1_000,
        'refused everywhere',
      );
    }
  });

  test('freeze and unfreeze: one agent, then everyone, within a second on both replicas', async () => {
    const { access_token: token } = await session(first, 'frozen');
    const plain = await first.token({ sub: 'ci', groups: ['ai-agents'] });
    const open = await Promise.all([first, second].map((gateway) => watch(gateway, `${configMaps()}?watch=1`, token)));
    const frozen = io();
    assert.equal(
      await runFreeze(['cursor', '--reason', 'deletes things', ...admin()], frozen.io),
      0,
      frozen.said.stderr,
    );
    const at = performance.now();
    for (const end of await Promise.all(open.map((one) => one.ended))) assert.ok(end - at < 1_000);
    for (const gateway of [first, second]) {
      const answer = await ask(gateway, 'GET', configMaps(), token);
      assert.equal(answer.status, 403);
      assert.match(answer.body, /SP_SESSION_REFUSED: an administrator has frozen agent cursor: deletes things/);
      assert.equal((await ask(gateway, 'GET', configMaps(), plain)).status, 200, 'who is no such agent goes on');
    }
    assert.equal((await issue(first, 'frozen')).status, 403);
    const again = io();
    assert.equal(await runFreeze(['cursor', ...admin()], again.io), 0);
    assert.match(again.said.stderr, /was frozen already/);

    assert.equal(await runFreeze(['--all', ...admin()], io().io), 0);
    for (const gateway of [first, second]) {
      await until(
        async () => (await ask(gateway, 'GET', configMaps(), plain)).status === 403,
        1_000,
        'everyone is stopped',
      );
    }
    const lifted = io();
    assert.equal(await runUnfreeze(['--all', ...admin()], lifted.io), 0);
    assert.match(lifted.said.stderr, /Still frozen:\nAGENT +BY +REASON\ncursor/);
    assert.equal(await runUnfreeze(['cursor', ...admin()], io().io), 0);
    for (const gateway of [first, second]) {
      await until(
        async () => (await ask(gateway, 'GET', configMaps(), token)).status === 200,
        1_000,
        'its sessions go on',
      );
    }
  });

  test('the cap holds over replicas that make sessions at the same time', async () => {
    const results = await Promise.all(
      Array.from({ length: 30 }, (_, index) => issue(index % 2 === 0 ? first : second, 'greedy')),
    );
    const made = results.filter((answer) => answer.status === 200).length;
    assert.ok(made >= 1 && made <= 20, `${made} sessions`);
    for (const answer of results.filter((one) => one.status !== 200)) {
      assert.match(answer.body, /live sessions of at most 20|SP_TOO_MANY_REQUESTS/, answer.body);
    }
    const listing = io();
    await runSession(['list', '--person', 'greedy', '-o', 'json', ...admin()], listing.io);
    assert.equal((JSON.parse(listing.said.stdout) as { sessions: [] }).sessions.length, made);
  });

  test('a person lists and ends their own sessions at the gateway, and sees no others', async () => {
    const mine = await session(first, 'dora');
    const theirs = await session(first, 'emil');
    const proof = await first.token({ sub: 'dora' });
    const file = join(first.directory, 'dora.token');
    writeFileSync(file, proof, { mode: 0o600 });
    const ca = join(first.directory, 'ca.crt');
    writeFileSync(ca, first.caPem);
    const own = ['--gateway', first.url, '--ca', ca, '--token-file', file];
    const listing = io();
    assert.equal(await runSession(['list', ...own], listing.io), 0, listing.said.stderr);
    assert.ok(listing.said.stdout.includes(mine.session) && !listing.said.stdout.includes(theirs.session));
    const foreign = io();
    assert.equal(await runSession(['revoke', theirs.session, ...own], foreign.io), 1);
    assert.equal(await runSession(['revoke', mine.session, ...own], io().io), 0);
    await until(async () => (await ask(second, 'GET', configMaps(), mine.access_token)).status === 401, 1_000, 'ended');
    assert.equal((await ask(second, 'GET', configMaps(), theirs.access_token)).status, 200);
  });

  test('three replicas race for the key Secret of the real API server, and again at its rotation', async () => {
    const clock = { now: Date.now() };
    const transport = new Transport(locate({ kubeconfig: cluster.adminKubeconfig }));
    const store = secretStore(new Own(transport, first.namespace));
    const secret = `sallyport-race-${Math.random().toString(36).slice(2)}`;
    const make = () =>
      new SessionKeys({ store, secret, rotateAfter: 86_400_000, longestToken: 43_200_000, now: () => clock.now });
    const list = [make(), make(), make()];
    const kids = await Promise.all(list.map(async (keys) => (await keys.signingKey()).kid));
    assert.equal(new Set(kids).size, 1);
    clock.now += 86_400_000;
    await Promise.all(list.map((keys) => keys.refresh()));
    const { data } = (await store.get(secret))!;
    const { keys } = JSON.parse(data['keys.json']!) as { keys: { kid: string }[] };
    assert.equal(keys.length, 2);
    clock.now += 180_000;
    const later = await Promise.all(list.map(async (one) => (await one.signingKey()).kid));
    assert.deepEqual(new Set(later), new Set([keys[1]!.kid]));
    await transport.close();
  });

  test('the command line says what is wrong: no such context, no right', async () => {
    const wrong = io();
    assert.equal(await runSession(['list', '--context', 'nowhere', ...admin()], wrong.io), 1);
    assert.match(wrong.said.stderr, /there is no context "nowhere"/);
    const nobody = await cluster.kubeconfig({ token: await cluster.serviceAccountToken(shop, 'nobody') });
    const forbidden = io();
    const args = ['--all', '--kubeconfig', nobody, '--namespace', first.namespace];
    assert.equal(await runFreeze(args, forbidden.io), 1);
    assert.match(forbidden.said.stderr, /cannot create resource "agentfreezes"/);
  });

  const sessionPath = (name: string) =>
    `/apis/sallyport.dev/v1alpha1/namespaces/${first.namespace}/agentsessions/${name}`;
});

function ask(gateway: GatewayProcess, method: string, path: string, token: string, options: { body?: string } = {}) {
  return new Promise<{ status: number; body: string }>((resolve, reject) => {
    const asked = request(
      `${gateway.url}${path}`,
      {
        method,
        ca: gateway.caPem,
        agent: false,
        headers: {
          authorization: `Bearer ${token}`,
          ...(options.body === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
        },
      },
      (answer) => {
        let body = '';
        answer.setEncoding('utf8').on('data', (text: string) => (body += text));
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body }));
      },
    );
    asked.once('error', reject);
    asked.end(options.body);
  });
}

/** Opens a watch; `ended` gives the time at which it was over. */
async function watch(gateway: GatewayProcess, path: string, token: string): Promise<{ ended: Promise<number> }> {
  return await new Promise((resolve, reject) => {
    const asked = request(
      `${gateway.url}${path}`,
      { ca: gateway.caPem, agent: false, headers: { authorization: `Bearer ${token}` } },
      (answer) => {
        if (answer.statusCode !== 200) reject(new Error(`the watch was refused with ${answer.statusCode}`));
        answer.resume();
        answer.on('error', () => {});
        resolve({ ended: new Promise((over) => answer.once('close', () => over(performance.now()))) });
      },
    );
    asked.once('error', reject);
    asked.end();
  });
}

async function until(holds: () => Promise<boolean>, limit: number, what: string): Promise<void> {
  const end = performance.now() + limit;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`not within ${limit} ms: ${what}`);
    await sleep(20);
  }
}
