import assert from 'node:assert/strict';
import { connect } from 'node:http2';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { inForce } from '../bench/policies.ts';
import { type Cluster, startCluster } from '../cluster/cluster.ts';
import { GatewayProcess } from '../gateway/gateway-process.ts';

const MERGE = 'application/merge-patch+json';
const CRD = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/agentsessions.sallyport.dev';

/** A schema that was loosened under a running gateway lets in what the gateway cannot read: that alone is refused. */
describe('an AgentSession that does not fit its schema', { timeout: 180_000 }, () => {
  // Of its own: everybody else's kinds keep their schema.
  let cluster: Cluster;
  let gateway: GatewayProcess;

  before(async () => {
    cluster = await startCluster({ audit: 'None' });
    // Short, so that a watch which was given up would be noticed within this test.
    const sessions = { agents: [{ name: 'cursor', groups: ['ai-agents'] }], staleAfter: '5s' };
    gateway = await GatewayProcess.start(cluster, {
      adjust: (configuration) => Object.assign(configuration.identity, { sessions }),
    });
    await cluster.apply(`
apiVersion: sallyport.dev/v1alpha1
kind: AgentPolicy
metadata: {name: look}
spec:
  subjects: [{kind: Group, name: ai-agents}]
  rules:
    - name: look
      action: Allow
      match: {verbs: [get, list, watch], apiGroups: [""], resources: [configmaps], namespaces: [default]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: agents, namespace: default}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [get, list, watch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: agents, namespace: default}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: agents}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "sallyport:ai-agents"}]
`);
    await inForce(gateway, 1);
    const crd = (await cluster.admin('GET', CRD)).json() as { spec: { versions: Record<string, unknown>[] } };
    for (const version of crd.spec.versions) {
      delete version['selectableFields'];
      version['schema'] = { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } };
    }
    const loosened = await cluster.admin('PUT', CRD, crd);
    assert.equal(loosened.status, 200, loosened.body);
  });
  after(async () => {
    await gateway?.stop();
    await cluster?.stop();
  });

  const collection = () => `/apis/sallyport.dev/v1alpha1/namespaces/${gateway.namespace}/agentsessions`;

  const ask = (path: string, token: string, form?: string) => fetchOver(gateway, path, token, form);

  async function sessionOf(sub: string): Promise<{ access_token: string; session: string }> {
    const proof = await gateway.token({ sub });
    const form = 'grant_type=urn:ietf:params:oauth:grant-type:token-exchange&agent=cursor';
    const answer = await ask('/sallyport/v1/token', proof, form);
    assert.equal(answer.status, 200, answer.body);
    return JSON.parse(answer.body) as { access_token: string; session: string };
  }

  /** The schema that the API server has stored is in force a moment later. */
  async function patchUntilTaken(name: string, body: object): Promise<void> {
    for (let attempt = 0; attempt < 100; attempt++) {
      const answer = await cluster.admin('PATCH', `${collection()}/${name}`, JSON.stringify(body), MERGE);
      if (answer.status === 200) return;
      await sleep(100);
    }
    assert.fail('the schema is not loosened');
  }

  test('is refused and its streams end; everyone else is served, and the watch goes on', async () => {
    const [alice, bob] = [await sessionOf('alice'), await sessionOf('bob')];
    const path = '/api/v1/namespaces/default/configmaps';
    assert.equal((await ask(path, bob.access_token)).status, 200);
    const [hers, his] = [openWatch(gateway, alice.access_token), openWatch(gateway, bob.access_token)];
    assert.equal(await hers.status, 200);
    assert.equal(await his.status, 200);

    await patchUntilTaken(bob.session, { spec: { expirationTime: 7 } });
    const brokenAt = performance.now();
    await his.ended;
    assert.ok(performance.now() - brokenAt < 1_000, 'his watch ends within a second');
    const refused = await ask(path, bob.access_token);
    assert.equal(refused.status, 401, refused.body);

    const odd = { metadata: { name: 'cursor-odd' }, spec: 'none of all that' };
    const made = await cluster.admin('POST', collection(), {
      apiVersion: 'sallyport.dev/v1alpha1',
      kind: 'AgentSession',
      ...odd,
    });
    assert.equal(made.status, 201, made.body);
    await gateway.logged((entry) => entry['session'] === 'cursor-odd' && entry['level'] === 'error');

    // Longer than a watch may be silent: had it been given up, everyone would be refused by now.
    for (let second = 0; second < 7; second++) {
      assert.equal((await ask(path, alice.access_token)).status, 200);
      await sleep(1_000);
    }
    assert.equal(hers.over, false);
    assert.equal((await gateway.probe('/readyz')).status, 200);
    // News still arrives: a new session, and its end.
    const carol = await sessionOf('carol');
    assert.equal((await ask(path, carol.access_token)).status, 200);
    await cluster.admin('DELETE', `${collection()}/${carol.session}`);
    for (let attempt = 0; attempt < 10 && (await ask(path, carol.access_token)).status !== 401; attempt++) {
      await sleep(100);
    }
    assert.equal((await ask(path, carol.access_token)).status, 401);
    hers.close();
  });

  test('stops no gateway from starting; its person is told which object stands in the way', async () => {
    const dora = await sessionOf('dora');
    await patchUntilTaken(dora.session, { status: { revoked: 'yes, surely' }, spec: { groups: 'all' } });
    await gateway.kill();
    await gateway.launch();
    assert.equal((await gateway.probe('/readyz')).status, 200);
    const path = '/api/v1/namespaces/default/configmaps';
    assert.equal((await ask(path, dora.access_token)).status, 401);
    assert.equal((await ask(path, (await sessionOf('erik')).access_token)).status, 200);
    const form = 'grant_type=urn:ietf:params:oauth:grant-type:token-exchange&agent=cursor';
    const again = await ask('/sallyport/v1/token', await gateway.token({ sub: 'dora' }), form);
    assert.equal(again.status, 503, again.body);
    assert.match(again.body, new RegExp(`AgentSession ${dora.session} does not fit its schema`));
    await cluster.admin('DELETE', `${collection()}/${dora.session}`);
    await sessionOf('dora');
  });
});

function fetchOver(gateway: GatewayProcess, path: string, token: string, form?: string) {
  const session = connect(gateway.url, { ca: gateway.caPem });
  return new Promise<{ status: number; body: string }>((resolve, reject) => {
    session.once('error', reject);
    const stream = session.request({
      ':path': path,
      authorization: `Bearer ${token}`,
      ...(form === undefined ? {} : { ':method': 'POST', 'content-type': 'application/x-www-form-urlencoded' }),
    });
    let status = 0;
    let body = '';
    stream.once('response', (headers) => (status = headers[':status'] ?? 0));
    stream.setEncoding('utf8').on('data', (text: string) => (body += text));
    stream.once('error', reject).once('end', () => resolve({ status, body }));
    stream.end(form);
  }).finally(() => session.close());
}

function openWatch(gateway: GatewayProcess, token: string) {
  const session = connect(gateway.url, { ca: gateway.caPem });
  session.on('error', () => {});
  const stream = session.request({
    ':path': '/api/v1/namespaces/default/configmaps?watch=1',
    authorization: `Bearer ${token}`,
  });
  const watch = {
    over: false,
    status: new Promise<number>((resolve) => stream.once('response', (headers) => resolve(headers[':status'] ?? 0))),
    ended: new Promise<void>((resolve) => stream.once('close', resolve)),
    close: () => session.destroy(),
  };
  stream.resume().on('error', () => {});
  stream.once('close', () => (watch.over = true));
  return watch;
}
