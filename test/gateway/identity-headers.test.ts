import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { rawRequest } from './raw-connection.ts';
import { Scene } from './scene.ts';

/**
 * The gateway's identity is never lent (promise 2). What came upstream is read from the API server's own audit log; the
 * agents of this scene are cluster-admin behind the gate, so whatever were let through would have been carried out.
 */
describe('identity on its way upstream', { timeout: 120_000 }, () => {
  let scene: Scene;
  let marks = 0;
  const refused: string[] = [];

  before(async () => {
    scene = await Scene.open('identity', {
      adjust: ({ identity }) => {
        identity.oidc[0].claimMappings.uid = { claim: 'uid' };
      },
    });
  });
  after(async () => {
    await scene?.close();
  });

  /** A path that only this one request asks for. */
  function path(): string {
    marks += 1;
    return `/api/v1/namespaces/${scene.namespace}/configmaps/m${marks}`;
  }

  /** Noted as one that must never have arrived; all of them are looked for at the end, past a request that did arrive. */
  function refusedPath(): string {
    const one = path();
    refused.push(one);
    return one;
  }

  describe('a header that names an identity is refused, not stripped', () => {
    const headers: [name: string, value: string][] = [
      ['Impersonate-User', 'system:admin'],
      ['impersonate-user', 'system:admin'],
      ['IMPERSONATE-USER', 'system:admin'],
      ['iMPERSONATE-uSER', ''],
      ['Impersonate-Group', 'system:masters'],
      ['Impersonate-Uid', '0'],
      ['Impersonate-Extra-scopes', 'all'],
      ['Impersonate-Extra-sallyport.dev%2Fvia', 'forged'],
      ['Impersonate-Anything-New', 'x'],
      ['Impersonate_User', 'system:admin'],
      ['impersonate_group', 'system:masters'],
      ['Impersonate-_User', 'system:admin'],
      ['Impersonate', 'x'],
      ['X-Remote-User', 'system:admin'],
      ['x_remote_user', 'system:admin'],
      ['X-Remote-Group', 'system:masters'],
      ['X-Remote-Extra-Foo', 'x'],
      ['Connection', 'Impersonate-User'],
      ['Connection', 'keep-alive, Impersonate-Group'],
      ['Connection', 'close,\timpersonate_extra-x'],
      ['Proxy-Connection', 'X-Remote-User'],
      ['TE', 'trailers, Impersonate-User'],
      ['Keep-Alive', 'Impersonate-Group'],
    ];
    for (const [name, value] of headers) {
      it(`${name}: ${value.replace('\t', '\\t')}`, async () => {
        const answer = await scene.ask(refusedPath(), { headers: [name, value] });
        assert.equal(answer.status, 400, answer.body);
        assert.match(answer.json().message, /^SP_IDENTITY_HEADER: /);
        assert.match(answer.json().message, new RegExp(`request ${String(answer.headers['x-request-id'])}`));
      });
    }

    it('doubled, with tabs and spaces around', async () => {
      for (const lines of [
        ['Impersonate-User: a', 'Impersonate-User: b'],
        ['Impersonate-User:\tsystem:admin\t'],
        ['Trailer: Impersonate-User'],
        ['impersonate-user:', 'Impersonate-Group:   system:masters  '],
      ]) {
        const head = [`GET ${refusedPath()} HTTP/1.1`, 'Host: x', `Authorization: Bearer ${scene.token}`, ...lines];
        const answer = await rawRequest(scene.gateway, head);
        assert.equal(answer?.status, 400);
        assert.match(answer.body, /SP_IDENTITY_HEADER/);
      }
    });

    it('over HTTP/2', async () => {
      for (const name of ['impersonate-user', 'impersonate_group', 'x-remote-user', 'impersonate-extra-scopes']) {
        const answer = await scene.ask2(refusedPath(), { [name]: 'system:admin' });
        assert.equal(answer.status, 400);
        assert.match(answer.body, /SP_IDENTITY_HEADER/);
      }
    });

    it('on an upgrade', async () => {
      const exec = `/api/v1/namespaces/${scene.namespace}/pods/x${(marks += 1)}/exec?command=ls&stdout=true`;
      refused.push(exec);
      const answer = await rawRequest(scene.gateway, [
        `GET ${exec} HTTP/1.1`,
        'Host: x',
        `Authorization: Bearer ${scene.token}`,
        'Connection: Upgrade, Impersonate-User',
        'Upgrade: websocket',
        'Sec-WebSocket-Version: 13',
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
        'Sec-WebSocket-Protocol: v5.channel.k8s.io',
      ]);
      assert.equal(answer?.status, 400);
      assert.match(answer.body, /SP_IDENTITY_HEADER/);
    });

    it('with white space before the colon, or folded, the request is no HTTP at all', async () => {
      for (const line of ['Impersonate-User : system:admin', 'X-A: b\r\n Impersonate-User: system:admin']) {
        const head = [`GET ${refusedPath()} HTTP/1.1`, 'Host: x', `Authorization: Bearer ${scene.token}`, line];
        const answer = await rawRequest(scene.gateway, head);
        assert.ok(answer === undefined || answer.status === 400, String(answer?.status));
      }
    });

    it('by kubectl --as, with words that say what to do', async () => {
      const kubeconfig = await scene.kubeconfig();
      // With discovery in its cache; for a refused discovery kubectl has no words but its own.
      const plain = await scene.cluster.kubectl(['get', 'configmaps'], { kubeconfig });
      assert.equal(plain.code, 0, plain.stderr);
      const result = await scene.cluster.kubectl(['get', 'configmaps', '--as=system:admin'], { kubeconfig });
      assert.equal(result.code, 1);
      assert.match(result.stderr, /SP_IDENTITY_HEADER/);
      assert.match(result.stderr, /--as/);
    });
  });

  describe('a name that Go would read otherwise is a 401', () => {
    const claims: [what: string, claims: () => Record<string, unknown>][] = [
      ['a trailing space makes system:masters of it', () => ({ sub: 'system:masters ' })],
      ['a leading space', () => ({ sub: ' admin' })],
      ['a leading tab', () => ({ sub: '\tsystem:masters' })],
      ['a trailing no-break space', () => ({ sub: 'admin\u00a0' })],
      ['an empty username', () => ({ sub: '' })],
      ['a blank username', () => ({ sub: ' ' })],
      ['a username beyond ASCII', () => ({ sub: 'jürgen' })],
      ['a username with a line break', () => ({ sub: 'a\r\nImpersonate-Group: system:masters' })],
      ['a username with a NUL', () => ({ sub: 'a\u0000b' })],
      ['a username of 10 KB', () => ({ sub: 'a'.repeat(10_240) })],
      ['a username under system:', () => ({ sub: 'system:kube-controller-manager' })],
      ['a username under the reserved prefix', () => ({ sub: 'sallyport:ci' })],
      ['a ServiceAccount’s place upstream', () => ({ sub: 'sa:kube-system:default' })],
      ['a group with a trailing space', () => ({ groups: [scene.group, 'system:masters '] })],
      ['a group with a leading tab', () => ({ groups: [scene.group, '\tsystem:masters'] })],
      ['an empty group', () => ({ groups: [scene.group, ''] })],
      ['a group under system:', () => ({ groups: [scene.group, 'system:masters'] })],
      ['a group with a line break', () => ({ groups: [scene.group, 'a\nb'] })],
      ['a group beyond ASCII', () => ({ groups: [scene.group, 'größe'] })],
      ['a group of 10 KB', () => ({ groups: [scene.group, 'g'.repeat(10_240)] })],
      ['an agent with a trailing space', () => ({ agent: 'cursor ' })],
      ['a uid with a line break', () => ({ uid: '1\r\n2' })],
    ];
    for (const [what, make] of claims) {
      it(what, async () => {
        const answer = await scene.ask(refusedPath(), { token: await scene.tokenOf(make()) });
        assert.equal(answer.status, 401, answer.body);
        assert.match(answer.json().message, /^SP_NOT_AUTHENTICATED: the credential was not accepted \(request /);
        assert.equal(answer.json().reason, 'Unauthorized');
      });
    }
  });

  describe('a good name arrives as it is', () => {
    async function arrivedAs(claims: Record<string, unknown>) {
      const mark = path();
      const answer = await scene.ask(mark, { token: await scene.tokenOf(claims) });
      assert.equal(answer.status, 404, answer.body);
      const [event] = scene.arrived(mark);
      assert.ok(event?.impersonatedUser !== undefined, 'no impersonated request in the audit log');
      return event;
    }

    it('with the reserved prefix on user and groups, each group by itself', async () => {
      const groups = [scene.group, 'one', 'two, three', 'a=b;c', 'x y'];
      const { impersonatedUser } = await arrivedAs({ groups });
      assert.equal(impersonatedUser!.username, `sallyport:${scene.user}`);
      assert.deepEqual(
        new Set(impersonatedUser!.groups),
        new Set([...groups.map((group) => `sallyport:${group}`), 'system:authenticated']),
      );
    });

    it('with uid and extras', async () => {
      const { impersonatedUser } = await arrivedAs({ uid: '7f0c-42', agent: 'cursor' });
      assert.equal(impersonatedUser!.uid, '7f0c-42');
      assert.deepEqual(impersonatedUser!.extra?.['sallyport.dev/agent'], ['cursor']);
      assert.equal(impersonatedUser!.extra?.['sallyport.dev/via']?.length, 1);
    });

    it('with commas, percent signs and the longest length', async () => {
      for (const sub of ['a,b', 'a%2Fb%20', 'Impersonate-User: x', 'n'.repeat(256)]) {
        const { impersonatedUser } = await arrivedAs({ sub });
        assert.equal(impersonatedUser!.username, `sallyport:${sub}`);
      }
    });

    it('with 256 groups', async () => {
      const groups = [scene.group, ...Array.from({ length: 255 }, (_, index) => `group-${index}`)];
      const { impersonatedUser } = await arrivedAs({ groups });
      assert.equal(impersonatedUser!.groups!.filter((group) => group.startsWith('sallyport:')).length, 256);
    });

    it('by the gateway’s own account, whose groups it does not take along', async () => {
      const { user, impersonatedUser } = await arrivedAs({});
      assert.equal(user.username, `system:serviceaccount:${scene.gateway.namespace}:sallyport-gateway`);
      assert.ok(!impersonatedUser!.groups!.some((group) => group.startsWith('system:serviceaccounts')));
    });
  });

  it('the API server’s Audit-ID is the request id of the answer; a client’s own is ignored', async () => {
    for (const ask of [
      (mark: string) => scene.ask(mark, { headers: ['Audit-ID', 'chosen-by-the-client'] }),
      (mark: string) => scene.ask2(mark, { 'audit-id': 'chosen-by-the-client' }),
    ]) {
      const mark = path();
      const answer = await ask(mark);
      const [event] = scene.arrived(mark);
      assert.equal(event?.auditID, answer.headers['x-request-id']);
      assert.equal(answer.headers['audit-id'], answer.headers['x-request-id']);
      assert.notEqual(event?.auditID, 'chosen-by-the-client');
    }
  });

  it('the client’s own headers of other hops stay behind', async () => {
    const mark = path();
    const answer = await scene.ask(mark, {
      headers: [
        ...['Forwarded', 'for=10.9.8.7', 'X-Forwarded-For', '10.9.8.7', 'X-Real-Ip', '10.9.8.7'],
        ...['Cookie', 'a=b', 'Proxy-Authorization', 'Basic eDp5', 'User-Agent', 'probe/1'],
      ],
    });
    assert.equal(answer.status, 404);
    const [event] = scene.arrived(mark) as (ReturnType<Scene['arrived']>[number] & { sourceIPs?: string[] })[];
    assert.equal(event?.userAgent, 'probe/1');
    assert.deepEqual(event?.sourceIPs, ['127.0.0.1']);
  });

  it('of all that was refused nothing has arrived', async () => {
    const last = path();
    await scene.ask(last);
    assert.equal(scene.arrived(last).length, 1);
    assert.ok(refused.length > 50);
    for (const one of refused) assert.deepEqual(scene.arrived(one), [], one);
  });
});
