import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Agent, request } from 'undici';
import { identityMethods } from '../../src/config/identity.ts';
import type { SallyportError } from '../../src/errors.ts';
import { type Authenticator, createAuthenticator } from '../../src/identity/authenticator.ts';
import type { Caller } from '../../src/identity/caller.ts';
import { upstreamName } from '../../src/identity/upstream-name.ts';
import { readTokenReview } from '../../src/kubernetes/review.ts';
import { identityHeaders } from '../../src/upstream/identity-headers.ts';
import { type Cluster, sharedCluster, startCluster } from '../cluster/cluster.ts';
import { LoopbackIssuer, makeKey } from './issuer.ts';

const bearer = (token: string) => ({ rawHeaders: ['Authorization', `Bearer ${token}`], target: '/api' });
const refused = (error: SallyportError) => error.code === 'SP_NOT_AUTHENTICATED';

describe('ServiceAccount tokens on a real API server', () => {
  let cluster: Cluster;
  let namespace: string;
  let authenticator: Authenticator;
  let agent: Agent;
  let admin: Agent;
  let now = Date.now();

  before(async () => {
    cluster = await sharedCluster();
    namespace = await cluster.namespace('identity');
    const root = await cluster.clientCertificate({ user: 'identity-test', groups: ['system:masters'] });
    agent = new Agent({ connect: { ca: cluster.caPem } });
    // Over HTTP/2 undici joins the lines of one header: two groups would arrive as one with a comma in it.
    admin = new Agent({ allowH2: false, connect: { ca: cluster.caPem, cert: root.certPem, key: root.keyPem } });
    authenticator = createAuthenticator(identityMethods.parse({ tokenReview: {} }), {
      now: () => now,
      reviewToken: async (token, audiences) => {
        const review = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token, audiences } };
        const answer = await cluster.admin('POST', '/apis/authentication.k8s.io/v1/tokenreviews', review);
        assert.equal(answer.status, 201, answer.body);
        return readTokenReview(answer.json());
      },
    });
  });

  after(async () => {
    await authenticator?.close();
    await agent?.close();
    await admin?.close();
    await cluster?.admin('DELETE', `/api/v1/namespaces/${namespace}`);
    await cluster?.stop();
  });

  /** What the API server says to a token that is sent straight to it. */
  async function direct(token: string): Promise<number> {
    const answer = await request(`${cluster.url}/api/v1/namespaces`, {
      dispatcher: agent,
      headers: { authorization: `Bearer ${token}` },
    });
    await answer.body.dump();
    return answer.statusCode;
  }

  it('are accepted with the gateway’s audience, and are worth nothing without the gate', async () => {
    const token = await cluster.serviceAccountToken(namespace, 'deployer', { audiences: ['sallyport'] });
    const caller = await authenticator.authenticate(bearer(token));
    assert.equal(caller.username, `system:serviceaccount:${namespace}:deployer`);
    assert.deepEqual(caller.serviceAccount, { namespace, name: 'deployer' });
    assert.ok(caller.groups.includes(`system:serviceaccounts:${namespace}`));
    assert.match(caller.uid, /^[0-9a-f-]{36}$/);
    assert.ok(caller.expiresAt > now && caller.expiresAt < now + 2 * 3_600_000);
    assert.equal(await direct(token), 401);
  });

  it('are refused with the API server’s audience, alone, beside the gateway’s, or by default', async () => {
    for (const audiences of [[cluster.apiAudience], ['sallyport', cluster.apiAudience], []]) {
      const token = await cluster.serviceAccountToken(namespace, 'deployer', { audiences });
      assert.notEqual(await direct(token), 401, 'the API server takes it, so the gate must not');
      await assert.rejects(authenticator.authenticate(bearer(token)), refused, audiences.join());
    }
  });

  it('are refused with another audience, changed, or signed by somebody else', async () => {
    const other = await cluster.serviceAccountToken(namespace, 'deployer', { audiences: ['vault'] });
    await assert.rejects(authenticator.authenticate(bearer(other)), refused);
    const good = await cluster.serviceAccountToken(namespace, 'deployer', { audiences: ['sallyport'] });
    const [head, body, signature] = good.split('.') as [string, string, string];
    const claims = JSON.parse(Buffer.from(body, 'base64url').toString()) as Record<string, unknown>;
    const forged = Buffer.from(
      JSON.stringify({ ...claims, sub: 'system:serviceaccount:kube-system:default' }),
    ).toString('base64url');
    await assert.rejects(authenticator.authenticate(bearer(`${head}.${forged}.${signature}`)), refused);
    const renamed = Buffer.from(JSON.stringify({ ...claims, aud: ['sallyport'] })).toString('base64url');
    const [otherHead, , otherSignature] = other.split('.') as [string, string, string];
    await assert.rejects(authenticator.authenticate(bearer(`${otherHead}.${renamed}.${otherSignature}`)), refused);
    const stranger = new LoopbackIssuer();
    stranger.keys.push(await makeKey('one', 'RS256'));
    await assert.rejects(
      authenticator.authenticate(bearer(await stranger.sign({ ...claims, aud: ['sallyport'] } as never))),
      refused,
    );
  });

  it('are let in at once while a flood of made-up ones runs, of which the API server is asked about none', async (t) => {
    let asked = 0;
    const guarded = createAuthenticator(identityMethods.parse({ tokenReview: { maxConcurrent: 2 } }), {
      clusterKeys: async () =>
        JSON.parse((await cluster.kubectl(['get', '--raw', '/openid/v1/jwks'])).stdout) as Record<string, unknown>,
      reviewToken: async (token, audiences) => {
        asked += 1;
        const review = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token, audiences } };
        return readTokenReview(
          (await cluster.admin('POST', '/apis/authentication.k8s.io/v1/tokenreviews', review)).json(),
        );
      },
    });
    t.after(() => guarded.close());
    const real = await cluster.serviceAccountToken(namespace, 'deployer', { audiences: ['sallyport'] });
    const { kid } = JSON.parse(Buffer.from(real.split('.')[0]!, 'base64url').toString()) as { kid: string };
    const stranger = new LoopbackIssuer();
    stranger.keys.push(await makeKey(kid, 'RS256'));
    const claims = JSON.parse(Buffer.from(real.split('.')[1]!, 'base64url').toString()) as Record<string, unknown>;
    const made = await Promise.all(Array.from({ length: 200 }, (_, n) => stranger.sign({ ...claims, jti: String(n) })));
    const flood = Promise.allSettled(made.map((token) => guarded.authenticate(bearer(token))));
    const caller = await guarded.authenticate(bearer(real));
    assert.equal(caller.username, `system:serviceaccount:${namespace}:deployer`);
    for (const outcome of await flood) {
      assert.equal(outcome.status, 'rejected');
      assert.equal((outcome.reason as SallyportError).code, 'SP_NOT_AUTHENTICATED');
    }
    assert.equal(asked, 1);
  });

  it('die with their account, within the cache time', async () => {
    const token = await cluster.serviceAccountToken(namespace, 'leaver', { audiences: ['sallyport'] });
    await authenticator.authenticate(bearer(token));
    await cluster.admin('DELETE', `/api/v1/namespaces/${namespace}/serviceaccounts/leaver`);
    now += 10_000;
    // The API server itself keeps a token that it has accepted for ten seconds, and its cache of accounts follows behind.
    let outcome = 'accepted';
    for (let round = 0; round < 200 && outcome === 'accepted'; round += 1) {
      outcome = await authenticator.authenticate(bearer(token)).then(
        () => 'accepted',
        (error: SallyportError) => error.code,
      );
      now += 10_000;
      if (outcome === 'accepted') await new Promise((resolve) => setTimeout(resolve, 200));
    }
    assert.equal(outcome, 'SP_NOT_AUTHENTICATED');
  });

  it('of another cluster come in by its issuer’s keys, under a prefix', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'sallyport-keys-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const jwksFile = join(folder, 'jwks.json');
    writeFileSync(jwksFile, (await cluster.kubectl(['get', '--raw', '/openid/v1/jwks'])).stdout);
    const remote = createAuthenticator(
      identityMethods.parse({
        oidc: [
          {
            issuer: cluster.serviceAccountIssuer,
            audiences: ['sallyport'],
            jwksFile,
            claimMappings: { username: { claim: 'sub', prefix: 'cluster-b:' } },
          },
        ],
      }),
      {},
    );
    t.after(() => remote.close());
    const token = await cluster.serviceAccountToken(namespace, 'deployer', { audiences: ['sallyport'] });
    const caller = await remote.authenticate(bearer(token));
    assert.equal(caller.username, `cluster-b:system:serviceaccount:${namespace}:deployer`);
    assert.equal(caller.serviceAccount, undefined);
  });

  /** SelfSubjectReview under the given impersonation headers: whom the API server believes to see. */
  async function seenAs(headers: readonly string[]): Promise<{ status: number; user: Record<string, unknown> }> {
    const answer = await request(`${cluster.url}/apis/authentication.k8s.io/v1/selfsubjectreviews`, {
      dispatcher: admin,
      method: 'POST',
      headers: ['content-type', 'application/json', ...headers],
      body: JSON.stringify({ apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' }),
    });
    const body = (await answer.body.json()) as { status?: { userInfo?: Record<string, unknown> } };
    return { status: answer.statusCode, user: body.status?.userInfo ?? {} };
  }

  const person: Caller = {
    method: 'AgentSession',
    issuer: 'https://idp.example',
    username: 'Jane Doe, ~!@#$%^&*()',
    uid: 'u/1',
    groups: ['dev, ops', 'a b', 'x:y'],
    serviceAccount: undefined,
    agent: 'cursor',
    onBehalfOf: 'Jane Doe, ~!@#$%^&*()',
    session: 'cursor-x1',
    expiresAt: 1,
    authTime: undefined,
  };

  it('and people arrive upstream under exactly the name that was computed', async () => {
    const { status, user } = await seenAs(identityHeaders(upstreamName(person), undefined));
    assert.equal(status, 201);
    assert.deepEqual(user, {
      username: 'sallyport:Jane Doe, ~!@#$%^&*()',
      uid: 'u/1',
      groups: ['sallyport:dev, ops', 'sallyport:a b', 'sallyport:x:y', 'system:authenticated'],
      extra: {
        'sallyport.dev/agent': ['cursor'],
        'sallyport.dev/on-behalf-of': ['Jane Doe, ~!@#$%^&*()'],
        'sallyport.dev/session': ['cursor-x1'],
      },
    });
  });

  it('would become somebody else if names were not refused: what the API server makes of them', async () => {
    const trimmed = await seenAs(['Impersonate-User', 'sallyport:alice', 'Impersonate-Group', 'system:masters ']);
    assert.deepEqual(
      (trimmed.user['groups'] as string[])[0],
      'system:masters',
      'Go trims, so an outer space is refused',
    );
    const nobody = await seenAs(['Impersonate-User', '']);
    assert.equal(nobody.user['username'], 'identity-test', 'an empty name runs as the gateway, so it is refused');
    for (const change of [{ username: '' }, { groups: ['system:masters '] }, { groups: [' '] }, { username: 'a\t' }]) {
      assert.throws(() => upstreamName({ ...person, ...change }));
    }
  });
});

describe('ServiceAccount tokens of a cluster whose discovery is open', () => {
  it('come in by its own documents, as kube-apiserver serves them', async (t) => {
    const open = await startCluster({ apiServerFlags: ['--anonymous-auth=true'] });
    t.after(() => open.stop());
    const binding = '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings';
    await open.admin('POST', binding, {
      metadata: { name: 'open-discovery' },
      roleRef: {
        apiGroup: 'rbac.authorization.k8s.io',
        kind: 'ClusterRole',
        name: 'system:service-account-issuer-discovery',
      },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: 'system:unauthenticated' }],
    });
    const remote = createAuthenticator(
      identityMethods.parse({
        oidc: [
          {
            issuer: open.serviceAccountIssuer,
            audiences: ['sallyport'],
            caFile: open.caFile,
            claimMappings: { username: { claim: 'sub', prefix: 'cluster-b:' } },
          },
        ],
      }),
      {},
    );
    t.after(() => remote.close());
    const token = await open.serviceAccountToken('default', 'deployer', { audiences: ['sallyport'] });
    let caller: Caller | undefined;
    // RBAC is watched by the API server: the binding acts a moment later, the next attempt ten seconds later.
    for (let round = 0; round < 30 && caller === undefined; round += 1) {
      caller = await remote.authenticate(bearer(token)).catch((error: SallyportError) => {
        assert.equal(error.code, 'SP_IDENTITY_UNAVAILABLE');
        return undefined;
      });
      if (caller === undefined) await new Promise((resolve) => setTimeout(resolve, 1_000));
    }
    assert.equal(caller?.username, 'cluster-b:system:serviceaccount:default:deployer', JSON.stringify(remote.ready()));
  });
});
