import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { installationKey } from '../../src/identity/installation-key.ts';
import { ApiError, type Asked, isStatus } from '../../src/kubernetes/api-error.ts';
import { Informer } from '../../src/kubernetes/informer.ts';
import { locate } from '../../src/kubernetes/locate.ts';
import { requireKinds } from '../../src/kubernetes/served-kinds.ts';
import { Transport } from '../../src/kubernetes/transport.ts';
import { Own } from '../../src/upstream/own.ts';
import { secretStore } from '../../src/upstream/secret-store.ts';
import { sessionStore } from '../../src/upstream/session-store.ts';
import { type Cluster, startCluster } from '../cluster/cluster.ts';
import { writeKubeconfig } from '../cluster/kubeconfig.ts';

const ROOT = new URL('../../', import.meta.url);
const NAMESPACE = 'sallyport-system';
const AUDIENCE = 'sallyport-test';

describe('the gateway’s own account, with the RBAC of examples/rbac/gateway.yaml', { timeout: 120_000 }, () => {
  let cluster: Cluster;
  let transport: Transport;
  let own: Own;
  const answers: [Asked, string][] = [];

  before(async () => {
    cluster = await startCluster({ audit: 'None' });
    for (const file of readdirSync(new URL('crds/', ROOT)).filter((name) => name.endsWith('.yaml'))) {
      await cluster.apply(readFileSync(new URL(`crds/${file}`, ROOT), 'utf8'));
    }
    await cluster.apply(readFileSync(new URL('examples/rbac/gateway.yaml', ROOT), 'utf8'));
    const token = await cluster.serviceAccountToken(NAMESPACE, 'sallyport-gateway');
    const path = `${cluster.directory}/gateway.kubeconfig`;
    await writeKubeconfig(path, { url: cluster.url, caPem: cluster.caPem, token });
    transport = new Transport(locate({ kubeconfig: path }), { onAnswer: (...answer) => answers.push(answer) });
    own = new Own(transport, NAMESPACE);
    for (let attempt = 0; attempt < 50; attempt++) {
      if (
        await requireKinds(transport, ['agentpolicies', 'agentsessions']).then(
          () => true,
          () => false,
        )
      )
        break;
      await sleep(100);
    }
  });

  after(async () => {
    await transport?.close();
    await cluster?.stop();
  });

  it('reviews tokens: a ServiceAccount’s with the gateway’s audience is known, everything else is not', async () => {
    const token = await cluster.serviceAccountToken('default', 'robot', { audiences: [AUDIENCE] });
    const status = await own.tokenReview(token, [AUDIENCE]);
    assert.equal(status.authenticated, true);
    assert.deepEqual(status.audiences, [AUDIENCE]);
    assert.equal(status.user?.username, 'system:serviceaccount:default:robot');
    assert.ok(status.user.groups.includes('system:serviceaccounts:default'));
    const elsewhere = await cluster.serviceAccountToken('default', 'robot', { audiences: ['elsewhere'] });
    for (const odd of [elsewhere, `${token}x`, token.split('.').slice(0, 2).join('.'), 'x']) {
      assert.equal((await own.tokenReview(odd, [AUDIENCE])).authenticated, false);
    }
    for (const odd of ['', ' ', 'a b', `${token}\n`])
      await assert.rejects(own.tokenReview(odd, [AUDIENCE]), RangeError);
    await assert.rejects(own.tokenReview(token, []), RangeError);
  });

  it('reads the public keys that ServiceAccount tokens are signed with', async () => {
    const { keys } = (await own.serviceAccountKeys()) as { keys: { kid: string; kty: string; d?: string }[] };
    const token = await cluster.serviceAccountToken('default', 'robot', { audiences: [AUDIENCE] });
    const { kid } = JSON.parse(Buffer.from(token.split('.')[0]!, 'base64url').toString()) as { kid: string };
    assert.ok(keys.some((key) => key.kid === kid && key.kty === 'RSA' && key.d === undefined));
  });

  it('Secrets: made once, updated only from their last revision, and only the gateway’s own', async () => {
    const store = secretStore(own);
    assert.equal(await store.get('sallyport-session-keys'), undefined);
    const value = `{"k":"${randomBytes(8).toString('hex')}"} ä`;
    const made = await store.create('sallyport-session-keys', { 'keys.json': value });
    assert.ok(made !== 'Conflict');
    assert.deepEqual(made.data, { 'keys.json': value });
    assert.equal(await store.create('sallyport-session-keys', { other: 'x' }), 'Conflict');
    const updated = await store.update('sallyport-session-keys', { 'keys.json': 'next' }, made.resourceVersion);
    assert.ok(updated !== 'Conflict');
    assert.equal(await store.update('sallyport-session-keys', { a: 'b' }, made.resourceVersion), 'Conflict');
    assert.deepEqual((await store.get('sallyport-session-keys'))?.data, { 'keys.json': 'next' });
    for (const name of ['admin-password', 'sallyport', '', '../sallyport-x', 'sallyport-/x', 'sallyport-x?a=b']) {
      await assert.rejects(store.get(name), RangeError, name);
      await assert.rejects(store.create(name, {}), RangeError, name);
    }
    await assert.rejects(own.list('Secret'), RangeError);
    await assert.rejects(own.get('Secret', { namespace: 'kube-system', name: 'sallyport-x' }), RangeError);
  });

  it('of replicas that start at once, all get one installation key', async () => {
    const keys = await Promise.all(Array.from({ length: 5 }, () => installationKey(secretStore(own))));
    assert.equal(new Set(keys.map((key) => key.toString('hex'))).size, 1);
  });

  it('agent sessions: made, found by label, patched in their status only, deleted by uid', async () => {
    const store = sessionStore(own);
    const spec = {
      agent: 'cursor',
      onBehalfOf: 'jane@example.com',
      issuer: 'https://login.example',
      subject: 'jane@example.com',
      expirationTime: new Date(Date.now() + 3_600_000).toISOString(),
    };
    const made = await store.create('cursor-1', { 'sallyport.dev/person': 'p1' }, spec);
    assert.equal(made.spec.agent, 'cursor');
    await assert.rejects(store.create('cursor-1', {}, spec), (error) => isStatus(error, 409));
    assert.deepEqual(
      (await store.listByLabel('sallyport.dev/person', 'p1')).map(({ name }) => name),
      ['cursor-1'],
    );
    assert.deepEqual(await store.listByLabel('sallyport.dev/person', 'p2'), []);
    const revoked = await store.patchStatus('cursor-1', { revoked: true, reason: 'lost laptop' });
    assert.equal(revoked.status.revoked, true);
    assert.deepEqual(revoked.spec, made.spec);
    assert.equal(await store.get('nobody'), undefined);
    assert.equal(await own.delete('AgentSession', { name: 'cursor-1' }, 'another-uid'), false);
    assert.ok(await store.get('cursor-1'));
    await store.delete('cursor-1', made.uid);
    assert.equal(await store.get('cursor-1'), undefined);
    await store.delete('cursor-1', made.uid);
  });

  it('what is forbidden is said with verb and object; a missing object is none, and no error', async () => {
    await assert.rejects(own.list('Lease'), (error: ApiError) => {
      assert.ok(error instanceof ApiError);
      assert.match(
        error.message,
        /^list leases\.coordination\.k8s\.io in namespace "sallyport-system": forbidden to the gateway's own account \(403\)/,
      );
      return true;
    });
    await assert.rejects(
      own.create('AgentPolicy', { name: 'mine', content: { spec: {} } }),
      /create agentpolicies\.sallyport\.dev: forbidden/,
    );
    assert.equal(await own.get('AgentPolicy', { name: 'none' }), undefined);
    await assert.rejects(own.create('MaskingRule', { name: 'mine', content: { spec: {} } }), ApiError);
  });

  it('nothing can be overwritten blindly, placed elsewhere or made too large', async () => {
    await assert.rejects(own.update('AgentSession', { name: 'x', content: {} }, ''), RangeError);
    await assert.rejects(own.delete('AgentSession', { name: 'x' }, ''), RangeError);
    await assert.rejects(own.create('AgentSession', { name: 'x', namespace: 'default', content: {} }), RangeError);
    await assert.rejects(own.create('AgentSession', { name: 'x', content: { spec: 'y'.repeat(2 << 20) } }), RangeError);
  });

  it('content cannot change what kind or object is written', async () => {
    const content = {
      kind: 'ClusterRoleBinding',
      apiVersion: 'rbac.authorization.k8s.io/v1',
      metadata: { name: 'other', namespace: 'kube-system' },
      data: {},
    };
    const made = await own.create('Secret', { name: 'sallyport-odd', content });
    assert.equal(made.kind, 'Secret');
    assert.equal(made.metadata.name, 'sallyport-odd');
    assert.equal(made.metadata.namespace, NAMESPACE);
  });

  it('asks what a subject could do by the cluster’s own authorizers', async () => {
    const binding = {
      metadata: { name: 'reviewer' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'system:auth-delegator' },
      subjects: [{ kind: 'ServiceAccount', name: 'sallyport-gateway', namespace: NAMESPACE }],
    };
    const bound = await cluster.admin('POST', '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', binding);
    assert.equal(bound.status, 201);
    const ask = (groups: string[]) =>
      own.subjectAccessReview({ user: 'jane', groups, resourceAttributes: { verb: 'delete', resource: 'nodes' } });
    assert.equal((await ask(['system:masters'])).allowed, true);
    assert.equal((await ask(['developers'])).allowed, false);
    await assert.rejects(own.subjectAccessReview({ user: '' }), RangeError);
  });

  it('tells the server’s version', async () => {
    const { gitVersion, major } = await own.serverVersion();
    assert.match(gitVersion, /^v1\.\d+\.\d+/);
    assert.equal(major, '1');
  });

  it('namespaces are watched by their metadata alone', async () => {
    const seen: unknown[] = [];
    const informer = new Informer<string>(transport, {
      name: 'namespaces',
      path: { group: '', version: 'v1', resource: 'namespaces' },
      metadataOnly: true,
      accept: (object) => {
        seen.push(object);
        return object.metadata.labels?.['team'] ?? '';
      },
      handlers: {},
    });
    informer.start();
    await informer.whenSynced();
    const name = await cluster.namespace('labelled', { team: 'shop' });
    while (informer.get(name) === undefined) await sleep(10);
    assert.equal(informer.get(name), 'shop');
    assert.ok(seen.length > 3);
    for (const object of seen) assert.ok(!('spec' in (object as object)) && !('status' in (object as object)));
    await informer.stop();
  });

  it('every answer is told for metrics, with bounded words', () => {
    assert.ok(
      answers.some(([{ verb, what }, code]) => verb === 'create' && what.startsWith('tokenreviews') && code === '201'),
    );
    assert.ok(answers.some(([, code]) => code === '403'));
    assert.ok(answers.some(([, code]) => code === '409'));
    for (const [, code] of answers) assert.match(code, /^(\d{3}|connect|timeout|tls|broken|size|malformed)$/);
  });
});
