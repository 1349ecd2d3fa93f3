import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Cluster, sharedCluster } from '../cluster/cluster.ts';
import { GatewayProcess } from '../gateway/gateway-process.ts';
import { type Answer, type Asked, Scene } from '../gateway/scene.ts';
import { WireTap } from '../gateway/wire-tap.ts';
import { People } from './people.ts';

const rules = (approval: string): string => `
    - name: look
      action: Allow
      match: {verbs: [get, list, watch], apiGroups: ["*"], resources: ["*"]}
    - name: writes
      action: RequireApproval
      match: {verbs: [create, update, patch, delete], apiGroups: ["*"], resources: ["*"]}
      approval: {${approval}}`;
const HELD = rules('waitTimeout: 20s');
const AT_ONCE = rules('requestTTL: 15m');

describe('several gateways', { timeout: 280_000 }, () => {
  let cluster: Cluster;
  let scene: Scene;
  let people: People;
  let tap: WireTap;
  let meddle: (text: string) => Promise<'Pass' | 'Drop'> | undefined = () => undefined;
  const replicas: GatewayProcess[] = [];
  let counter = 0;

  before(async () => {
    cluster = await sharedCluster();
    tap = await WireTap.start(cluster, (text) => meddle(text));
    scene = await Scene.open('replicas', {
      rules: AT_ONCE,
      cluster,
      adjust: (configuration) => {
        configuration.approvals = { staleAfter: '5s' };
        tap.divert(configuration.upstream.kubeconfig, cluster);
      },
    });
    people = new People(cluster);
    for (let i = 0; i < 2; i++) replicas.push(await GatewayProcess.start(cluster, { replicaOf: scene.gateway }));
  });
  after(async () => {
    for (const replica of replicas) await replica.stop();
    await scene?.close();
    await tap?.close();
  });

  const maps = () => `/api/v1/namespaces/${scene.namespace}/configmaps`;
  const creation = (name = `map-${++counter}`, data: object = {}): Asked & { name: string } => ({
    name,
    method: 'POST',
    headers: ['Content-Type', 'application/json'],
    body: JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data }),
  });
  const through = (gateway: GatewayProcess, asked: Asked): Promise<Answer> => scene.ask(maps(), { ...asked, gateway });
  const created = (name: string): number =>
    scene.heard(({ verb, objectRef, requestURI, responseStatus }) => {
      const isCreation = verb === 'create' && objectRef?.resource === 'configmaps' && !requestURI.includes('dryRun');
      return isCreation && responseStatus?.code !== undefined && objectRef.name === name;
    }).length;
  const nameOf = (answer: Answer): string => {
    assert.equal(answer.status, 403, answer.body);
    return answer.json().details.name;
  };

  it('of 50 parallel retries of one approval over three gateways exactly one is forwarded', async () => {
    for (let round = 0; round < 3; round++) {
      // AlreadyExists would hide a second forward; a generated name hides nothing.
      const generate = {
        method: 'POST',
        headers: ['Content-Type', 'application/json'],
        body: JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { generateName: `race-${round}-` } }),
      };
      const first = await Promise.all([scene.gateway, ...replicas].map((gateway) => through(gateway, generate)));
      const names = new Set(first.map(nameOf));
      assert.equal(names.size, 1, 'three gateways ask the same once');
      await people.approve(scene.namespace, [...names][0]!);
      const all = [scene.gateway, ...replicas];
      const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => through(all[i % 3]!, generate)));
      const passed = answers.filter(({ status }) => status === 201);
      assert.equal(passed.length, 1, answers.map(({ status }) => status).join(' '));
      for (const other of answers) if (other !== passed[0]) assert.match(other.body, /SP_APPROVAL_/);
      const listed = (await cluster.admin('GET', maps())).json().items;
      const made = listed.filter(
        (one: { metadata: { generateName?: string } }) => one.metadata.generateName === `race-${round}-`,
      );
      assert.equal(made.length, 1);
    }
  });

  it('an approval with three uses lets exactly three through', async () => {
    await scene.policy(rules('maxUses: 3'));
    const generate = {
      method: 'POST',
      headers: ['Content-Type', 'application/json'],
      body: JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { generateName: 'three-' } }),
    };
    await sleep(1_000);
    const name = nameOf(await through(scene.gateway, generate));
    assert.equal((await people.get(scene.namespace, name)).spec.maxUses, 3);
    await people.approve(scene.namespace, name);
    const all = [scene.gateway, ...replicas];
    const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => through(all[i % 3]!, generate)));
    assert.equal(answers.filter(({ status }) => status === 201).length, 3);
    assert.equal((await people.get(scene.namespace, name)).status?.uses?.length, 3);
    await scene.policy(AT_ONCE);
  });

  describe('held', () => {
    before(async () => {
      await scene.policy(HELD);
      await sleep(500);
    });

    it('on one, decided through another: it goes through, and the client notices nothing but the wait', async () => {
      const asked = creation();
      const waiting = through(replicas[0]!, asked);
      const request = await people.waitingFor(scene.namespace, asked.name);
      await sleep(300);
      await people.approve(scene.namespace, request.metadata.name);
      const answer = await waiting;
      assert.equal(answer.status, 201, answer.body);
      assert.equal(answer.json().metadata.name, asked.name);
    });

    it('denied while it waits: told the reason at once', async () => {
      const asked = creation();
      const waiting = through(replicas[0]!, asked);
      const request = await people.waitingFor(scene.namespace, asked.name);
      const started = performance.now();
      await people.deny(scene.namespace, request.metadata.name, 'no');
      const answer = await waiting;
      assert.equal(answer.status, 403);
      assert.match(answer.json().message, /^SP_APPROVAL_DENIED: .* was denied by bob@shop\.example: no; /);
      assert.ok(performance.now() - started < 5_000);
    });

    it('at most ten of one caller; the next is told at once, and all join one', async () => {
      const asked = creation();
      const waiting = Array.from({ length: 10 }, () => through(replicas[0]!, asked));
      const request = await people.waitingFor(scene.namespace, asked.name);
      for (let i = 0; i < 200; i++) {
        if (/^sallyport_approval_holds 10$/m.test((await replicas[0]!.probe('/metrics')).body)) break;
        await sleep(25);
      }
      const started = performance.now();
      const eleventh = await through(replicas[0]!, asked);
      assert.ok(performance.now() - started < 5_000, 'not held');
      assert.equal(nameOf(eleventh), request.metadata.name);
      await people.approve(scene.namespace, request.metadata.name);
      // The nine others ask anew and are held again.
      const second = await people.waitingFor(scene.namespace, asked.name);
      assert.notEqual(second.metadata.name, request.metadata.name);
      await people.deny(scene.namespace, second.metadata.name, 'enough');
      const statuses = (await Promise.all(waiting)).map(({ status }) => status).sort((a, b) => a - b);
      assert.deepEqual(statuses, [201, ...Array.from({ length: 9 }, () => 403)]);
    });

    it('a policy that denies meanwhile wins over the approval', async () => {
      const asked = creation();
      const waiting = through(replicas[0]!, asked);
      const request = await people.waitingFor(scene.namespace, asked.name);
      await scene.policy(`${HELD}
    - name: frozen
      action: Deny
      match: {verbs: [create], apiGroups: [""], resources: [configmaps]}`);
      await sleep(1_000);
      await people.approve(scene.namespace, request.metadata.name);
      const answer = await waiting;
      assert.equal(answer.status, 403);
      assert.match(answer.json().message, /^SP_POLICY_DENIED: .*frozen/);
      assert.equal(created(asked.name), 0);
      await scene.policy(HELD);
      await sleep(500);
    });

    it('its gateway killed: what was asked stays, and another gateway lets it through', async () => {
      const asked = creation();
      const victim = await GatewayProcess.start(cluster, { replicaOf: scene.gateway });
      const waiting = through(victim, asked).then(
        () => 'answered',
        () => 'broken off',
      );
      const request = await people.waitingFor(scene.namespace, asked.name);
      await victim.stop();
      assert.equal(await waiting, 'broken off');
      await people.approve(scene.namespace, request.metadata.name);
      const answer = await through(replicas[1]!, asked);
      assert.equal(answer.status, 201, answer.body);
      assert.equal(created(asked.name), 1);
    });

    it('the client leaves: what was asked stays', async () => {
      const asked = creation();
      const leaving = scene.leave(maps(), asked, 1_500);
      const request = await people.waitingFor(scene.namespace, asked.name);
      await leaving;
      await people.approve(scene.namespace, request.metadata.name);
      await sleep(300);
      assert.equal(created(asked.name), 0, 'nobody waits for it');
      assert.equal((await through(replicas[1]!, asked)).status, 201);
    });
  });

  it('killed after taking a use: nothing runs twice, it is asked anew, and the approver is told', async () => {
    await scene.policy(AT_ONCE);
    await sleep(500);
    const asked = creation();
    const { gateway } = scene;
    const name = nameOf(await through(gateway, asked));
    await people.approve(scene.namespace, name);
    meddle = (text) => {
      // The use is taken, and the first byte of the forward is just leaving.
      if (!text.startsWith(`POST ${maps()} `)) return undefined;
      meddle = () => undefined;
      return gateway.kill().then(() => 'Drop');
    };
    await assert.rejects(through(gateway, asked));
    const used = await people.get(scene.namespace, name);
    assert.equal(used.status?.uses?.length, 1);
    assert.equal(used.status?.uses?.[0]?.outcome, undefined);
    assert.equal(created(asked.name), 0);
    const again = nameOf(await through(replicas[0]!, asked));
    assert.notEqual(again, name, 'it is asked anew');
    const lost = await people.giveUp(scene.namespace, name);
    assert.equal(lost.status?.phase, 'OutcomeUnknown');
    const third = nameOf(await through(replicas[0]!, asked));
    assert.equal(third, again);
    await people.deny(scene.namespace, again, 'looked first');
    await gateway.launch();
  });

  it('the API server out of reach between approval and use: nothing is used, nothing passes, and then it does', async () => {
    const asked = creation();
    const { gateway } = scene;
    const name = nameOf(await through(gateway, asked));
    await people.approve(scene.namespace, name);
    // The dry run passes, the use cannot be written.
    meddle = (text) => (text.startsWith('PATCH /apis/sallyport.dev') ? Promise.reject(new Error('cut')) : undefined);
    const cut = await through(gateway, asked);
    meddle = () => undefined;
    assert.equal(cut.status, 503, cut.body);
    assert.match(
      cut.json().message,
      /^SP_APPROVAL_UNAVAILABLE: the use of the approval could not be written down; nothing was done: try again/,
    );
    assert.equal(created(asked.name), 0);
    assert.equal((await people.get(scene.namespace, name)).status?.uses, undefined);
    const passed = await through(gateway, asked);
    assert.equal(passed.status, 201, passed.body);
    assert.equal(created(asked.name), 1);
  });

  it('a forward that breaks off before an answer: nobody knows, and nobody runs it again by itself', async () => {
    const asked = creation();
    const { gateway } = scene;
    const name = nameOf(await through(gateway, asked));
    await people.approve(scene.namespace, name);
    meddle = (text) => (text.startsWith(`POST ${maps()} `) ? Promise.reject(new Error('cut')) : undefined);
    const broken = await through(gateway, asked);
    meddle = () => undefined;
    assert.equal(broken.status, 502, broken.body);
    assert.match(broken.json().message, /^SP_UPSTREAM_UNREACHABLE/);
    assert.equal((await people.outcome(scene.namespace, name)).outcome, 'Unknown');
    const anew = await people.get(scene.namespace, nameOf(await through(gateway, asked)));
    assert.match(
      anew.spec.summary,
      new RegExp(`^asked before: ${name}, approved, and NOBODY KNOWS WHETHER IT RAN`, 'm'),
    );
  });

  it('a clock a minute off on either side: nothing passes unapproved, nothing runs twice', async () => {
    for (const seconds of [60, -60]) {
      const shift = `const now=Date.now.bind(Date);Date.now=()=>now()+${seconds * 1_000}`;
      const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(shift)}` };
      // Of more than its clockSkew a gateway takes no token at all.
      const adjust = (configuration: { identity: { oidc: { clockSkew?: string }[] } }) => {
        configuration.identity.oidc[0]!.clockSkew = '2m';
      };
      const off = await GatewayProcess.start(cluster, { replicaOf: scene.gateway, env, adjust });
      try {
        const asked = creation();
        const name = nameOf(await through(off, asked));
        const { spec } = await people.get(scene.namespace, name);
        assert.ok(
          Math.abs(Date.parse(spec.expirationTime) - Date.now() - 900_000 - seconds * 1_000) < 30_000,
          'its clock is off',
        );
        assert.equal(nameOf(await through(replicas[0]!, asked)), name, 'the others join');
        await people.approve(scene.namespace, name);
        const answers = await Promise.all([off, ...replicas, off, ...replicas].map((one) => through(one, asked)));
        assert.equal(answers.filter(({ status }) => status === 201).length, 1);
        assert.equal(created(asked.name), 1);
      } finally {
        await off.stop();
      }
    }
  });

  it('what is known of approvals may be outdated: nothing that needs one passes, all else does, and well again by itself', async () => {
    const { gateway } = scene;
    const asked = creation();
    const name = nameOf(await through(gateway, asked));
    await people.approve(scene.namespace, name);
    const watching = 'GET /apis/sallyport.dev/v1alpha1/approvalrequests';
    meddle = (text) => (text.startsWith(watching) ? Promise.reject(new Error('cut')) : undefined);
    try {
      const other = creation();
      let refused = await through(gateway, other);
      for (let i = 0; i < 60 && refused.status !== 503; i++) {
        await sleep(250);
        refused = await through(gateway, other);
      }
      assert.equal(refused.status, 503, refused.body);
      assert.match(
        refused.json().message,
        /^SP_APPROVAL_UNAVAILABLE: approvals cannot be known \(ApprovalRequest: the watch is stale\)/,
      );
      assert.equal((await through(gateway, asked)).status, 503, 'an approved one neither');
      assert.equal((await gateway.probe('/readyz')).status, 503);
      assert.equal((await scene.ask(maps())).status, 200, 'what needs no approval passes');
    } finally {
      meddle = () => undefined;
    }
    let passed = await through(gateway, asked);
    for (let i = 0; i < 60 && passed.status === 503; i++) {
      await sleep(500);
      passed = await through(gateway, asked);
    }
    assert.equal(passed.status, 201, passed.body);
    assert.equal(created(asked.name), 1);
  });
});
