import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { startCluster } from '../cluster/cluster.ts';
import { type Answer, type Asked, Scene } from '../gateway/scene.ts';
import { People } from './people.ts';

const approval = (terms: string, rule = 'writes'): string => `
    - name: look
      action: Allow
      match: {verbs: [get, list, watch], apiGroups: ["*"], resources: ["*"]}
    - name: ${rule}
      action: RequireApproval
      match: {verbs: [create, update, patch, delete, deletecollection], apiGroups: ["*"], resources: ["*"]}
      approval: {${terms}}`;

describe('what an approval lends and bounds', { timeout: 240_000 }, () => {
  let scene: Scene;
  let people: People;
  let directory: string;
  let counter = 0;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'sallyport-diffs-'));
    // Of its own: the controllers of other tests' gateways know nothing of these sessions, and would end their grants.
    const cluster = await startCluster();
    scene = await Scene.open('grants', {
      cluster,
      rules: approval('maxGrantDuration: 30m'),
      configuration: {
        approvals: { pendingPerCaller: 20, diffDirectory: directory },
        limits: { requestsPerSecond: 100_000, burst: 100_000 },
      },
    });
    people = new People(scene.cluster);
  });
  after(async () => {
    await scene?.close();
    await rm(directory, { recursive: true, force: true });
  });

  const maps = (namespace = scene.namespace): string => `/api/v1/namespaces/${namespace}/configmaps`;
  const creation = (more: Asked = {}, name = `map-${++counter}`): Asked => ({
    method: 'POST',
    headers: ['Content-Type', 'application/json'],
    body: JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name } }),
    ...more,
  });
  /** Waits until the rules are in force: a request is then asked about on their terms. */
  const rules = async (terms: string, rule?: string): Promise<void> => {
    await scene.policy(approval(terms, rule));
    await sleep(1_000);
  };
  const session = async (person: string): Promise<string> => {
    const subject = await scene.tokenOf({ sub: person });
    const body = 'grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&agent=cursor';
    const headers = ['Content-Type', 'application/x-www-form-urlencoded'];
    const answer = await scene.ask('/sallyport/v1/token', { method: 'POST', headers, body, token: subject });
    assert.equal(answer.status, 200, answer.body);
    return answer.json().access_token;
  };
  const nameOf = (answer: Answer, code = 'SP_APPROVAL_REQUIRED'): string => {
    assert.equal(answer.status, 403, answer.body);
    assert.match(answer.json().message, new RegExp(`^${code}: `));
    return answer.json().details.name;
  };

  describe('a session grant', () => {
    it('opens the rule for that agent session, in that namespace, until it is taken back', async () => {
      const [token, other] = [await session('alice@shop.example'), await session('alice@shop.example')];
      const name = nameOf(await scene.ask(maps(), creation({ token })));
      await people.approve(scene.namespace, name, { grantDuration: '10m' });
      for (let i = 0; i < 3; i++) {
        const passed = await until(() => scene.ask(maps(), creation({ token })), 201);
        assert.equal(passed.status, 201, passed.body);
      }
      nameOf(await scene.ask(maps(), creation({ token: other })));
      nameOf(await scene.ask(maps(), creation()));
      const elsewhere = await scene.cluster.namespace('elsewhere');
      nameOf(await scene.ask(maps(elsewhere), creation({ token })));

      // One person's word is enough; the controller need not have come by.
      await people.say(scene.namespace, name, { type: 'Denied', username: 'carol@shop.example' });
      const started = performance.now();
      nameOf(await scene.ask(maps(), creation({ token })));
      assert.ok(performance.now() - started < 1_000, 'within a second');
    });

    it('wakes what is held of that session', async () => {
      await rules('maxGrantDuration: 30m, waitTimeout: 20s');
      const token = await session('alice@shop.example');
      const waiting = [creation({ token }), creation({ token })].map((one) => scene.ask(maps(), one));
      await people.waitingFor(scene.namespace, `map-${counter}`);
      const one = await people.waitingFor(scene.namespace, `map-${counter - 1}`);
      await people.approve(scene.namespace, one.metadata.name, { grantDuration: '1m' });
      for (const answer of await Promise.all(waiting)) assert.equal(answer.status, 201, answer.body);
    });

    it('is void after any change of the policy', async () => {
      await rules('maxGrantDuration: 30m');
      const token = await session('alice@shop.example');
      const name = nameOf(await scene.ask(maps(), creation({ token })));
      await people.approve(scene.namespace, name, { grantDuration: '10m' });
      assert.equal((await until(() => scene.ask(maps(), creation({ token })), 201)).status, 201);
      await rules('maxGrantDuration: 29m');
      nameOf(await scene.ask(maps(), creation({ token })));
    });

    it('ends with its time', async () => {
      await rules('maxGrantDuration: 30m');
      const token = await session('alice@shop.example');
      const name = nameOf(await scene.ask(maps(), creation({ token })));
      await people.approve(scene.namespace, name, { grantDuration: '3s' });
      assert.equal((await until(() => scene.ask(maps(), creation({ token })), 201)).status, 201);
      await sleep(3_100);
      nameOf(await scene.ask(maps(), creation({ token })));
    });
  });

  it('lends groups to the approved request alone', async () => {
    await rules(`impersonateGroups: [lent-${scene.namespace}]`);
    // Of its own the agent may only patch; what it is lent may make ConfigMaps.
    const group = `weak-${scene.namespace}`;
    const subjects = (name: string) => [
      { kind: 'Group', apiGroup: 'rbac.authorization.k8s.io', name: `sallyport:${name}` },
    ];
    const rbac = (name: string, verbs: string[], who: string) => [
      {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'Role',
        metadata: { name, namespace: scene.namespace },
        rules: [{ apiGroups: [''], resources: ['configmaps'], verbs }],
      },
      {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'RoleBinding',
        metadata: { name, namespace: scene.namespace },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name },
        subjects: subjects(who),
      },
    ];
    const objects = [...rbac('weak', ['get'], group), ...rbac('lent', ['create', 'patch'], `lent-${scene.namespace}`)];
    await scene.cluster.apply(objects.map((object) => JSON.stringify(object)).join('\n---\n'));
    await scene.cluster.apply(`
apiVersion: sallyport.dev/v1alpha1
kind: AgentPolicy
metadata: {name: ${scene.namespace}-weak}
spec:
  subjects: [{kind: Group, name: ${group}}]
  rules:
    - {name: look, action: Allow, match: {verbs: [get, list, watch], apiGroups: ["*"], resources: ["*"]}}
    - name: small
      action: RequireApproval
      match: {verbs: [create, update, patch], apiGroups: [""], resources: [configmaps]}
      matchConditions: [{name: small, expression: "!has(object.data) || object.data.size() < 3"}]
      approval: {impersonateGroups: [lent-${scene.namespace}]}
`);
    await sleep(1_000);
    const token = await scene.gateway.token({ sub: 'weak', groups: [group] });
    const asked = creation({ token });
    const request = await people.get(scene.namespace, nameOf(await scene.ask(maps(), asked)));
    assert.match(request.spec.summary, new RegExp(`^would run with the groups: lent-${scene.namespace}$`, 'm'));
    assert.match(request.spec.diff ?? '', /^\+kind: ConfigMap$/m, 'the dry run had them, too');
    await people.approve(scene.namespace, request.metadata.name);
    const passed = await scene.ask(maps(), asked);
    assert.equal(passed.status, 201, passed.body);
    const { name } = passed.json().metadata;
    // A patch's object can only be known by a dry run, for which the agent's own rights are too small.
    const patch = {
      method: 'PATCH',
      headers: ['Content-Type', 'application/merge-patch+json'],
      body: '{"data":{"a":"b"}}',
      token,
    };
    const patched = nameOf(await scene.ask(`${maps()}/${name}`, patch));
    await people.approve(scene.namespace, patched);
    assert.equal((await scene.ask(`${maps()}/${name}`, patch)).status, 200);
    // A refusal that needs nobody's approval is the API server's own, and made without what could be lent.
    const big = { ...patch, body: '{"data":{"b":"1","c":"2","d":"3"}}' };
    const refused = await scene.ask(`${maps()}/${name}`, big);
    assert.equal(refused.status, 403, refused.body);
    assert.match(refused.json().message, /configmaps "\S+" is forbidden: User "sallyport:weak" cannot patch/);
    await scene.cluster.kubectl(['delete', 'agentpolicy', `${scene.namespace}-weak`]);
    const lent = scene.cluster.auditEvents(
      ({ impersonatedUser, verb, requestURI }) =>
        impersonatedUser?.groups?.includes(`sallyport:lent-${scene.namespace}`) === true &&
        verb !== 'get' &&
        !requestURI.includes('dryRun'),
    );
    assert.deepEqual(
      lent.map(({ verb }) => verb).sort((a, b) => (a < b ? -1 : 1)),
      ['create', 'patch'],
    );
  });

  it('a flood of distinct requests: refused clearly at the cap, and etcd is not filled', async () => {
    await rules('requestTTL: 15m');
    const token = await scene.tokenOf({ sub: 'flooder' });
    const before = (await people.all(scene.namespace)).length;
    let asked = 0;
    const codes = new Map<string, number>();
    const one = async (): Promise<void> => {
      while (asked < 5_000) {
        asked += 1;
        const answer = await scene.ask(maps(), creation({ token }, `flood-${asked}`));
        const code = /^SP_[A-Z_]+/.exec(answer.json().message)?.[0] ?? answer.body;
        codes.set(code, (codes.get(code) ?? 0) + 1);
        if (code === 'SP_APPROVAL_LIMIT') {
          assert.match(
            answer.json().message,
            /nobody was asked: 20 requests of this caller wait for a person already; have those decided first/,
          );
        }
      }
    };
    await Promise.all(Array.from({ length: 32 }, one));
    assert.equal(codes.get('SP_APPROVAL_REQUIRED'), 20, JSON.stringify([...codes]));
    for (const code of codes.keys()) assert.match(code, /^SP_APPROVAL_(?:REQUIRED|LIMIT)$/);
    assert.equal((await people.all(scene.namespace)).length - before, 20);
    // Others are asked about as before.
    nameOf(await scene.ask(maps(), creation()));
  });

  it('a diff over 64 KiB goes to the store; the object keeps digest, summary and locator', async () => {
    const lines = Array.from({ length: 2_000 }, () => `${randomBytes(20).toString('hex')}\n`).join('');
    const body = JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'long' }, data: { lines } });
    const { spec } = await people.get(scene.namespace, nameOf(await scene.ask(maps(), creation({ body }))));
    assert.equal(spec.diff, undefined);
    assert.equal(spec.diffRef?.truncated, false);
    const kept = await readFile(fileURLToPath(spec.diffRef!.locator!), 'utf8');
    assert.equal(Buffer.byteLength(kept), spec.diffRef!.sizeBytes);
    assert.ok(kept.includes(lines.slice(0, 40)));
    assert.ok(spec.summary.length < 4_000);
  });

  it('shows an approver no more than the masking rules let the caller see, and no Secret’s values', async () => {
    const [secret, masked] = [randomBytes(12).toString('hex'), randomBytes(12).toString('hex')];
    await scene.cluster.apply(`
apiVersion: sallyport.dev/v1alpha1
kind: MaskingRule
metadata: {name: ${scene.namespace}}
spec:
  subjects: [{kind: Group, name: ${scene.group}}]
  match: {apiGroups: [""], resources: [configmaps]}
  fields: [{path: data.pin, action: Redact}]
`);
    await sleep(1_000);
    const headers = ['Content-Type', 'application/json'];
    const object = (kind: string, data: object) => ({
      apiVersion: 'v1',
      kind,
      metadata: { name: `shown-${kind.toLowerCase()}` },
      ...data,
    });
    const asked: [string, object][] = [
      [maps(), object('ConfigMap', { data: { pin: masked, plain: 'seen' } })],
      [maps().replace('configmaps', 'secrets'), object('Secret', { stringData: { password: secret } })],
    ];
    for (const [path, body] of asked) {
      const answer = await scene.ask(path, { method: 'POST', headers, body: JSON.stringify(body) });
      const request = await people.get(scene.namespace, nameOf(answer));
      const all = JSON.stringify(request);
      for (const value of [secret, masked, Buffer.from(secret).toString('base64')])
        assert.ok(!all.includes(value), all);
      assert.match(request.spec.diff ?? '', /kind: (?:ConfigMap|Secret)/);
    }
    await scene.cluster.kubectl(['delete', 'maskingrule', scene.namespace]);
  });

  it('asks about what cannot repeat with a hint that says so', async () => {
    const headers = ['Content-Type', 'application/json', 'User-Agent', 'Helm/4.3.1'];
    const answer = await scene.ask(maps(), creation({ headers }));
    nameOf(answer);
    assert.match(answer.json().message, /Helm never sends the same request twice/);
    await rules('waitTimeout: 1s, maxGrantDuration: 30m');
    const token = await session('alice@shop.example');
    const held = await scene.ask(maps(), creation({ headers, token }));
    assert.match(held.json().message, /with "--for 1800s" added, since Helm never sends the same request twice/);
  });
});

async function until(ask: () => Promise<Answer>, status: number): Promise<Answer> {
  for (let i = 0; i < 80; i++) {
    const answer = await ask();
    if (answer.status === status) return answer;
    await sleep(25);
  }
  return await ask();
}
