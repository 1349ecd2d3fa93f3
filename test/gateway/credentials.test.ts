import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { request } from 'node:https';
import { after, before, describe, it } from 'node:test';
import { UnsecuredJWT } from 'jose';
import { sharedCluster } from '../cluster/cluster.ts';
import { makeKey } from '../identity/issuer.ts';
import { rawRequest } from './raw-connection.ts';
import { Scene } from './scene.ts';
import { WireTap } from './wire-tap.ts';

const now = () => Math.floor(Date.now() / 1_000);
const NOT_ACCEPTED = 'SP_NOT_AUTHENTICATED: the credential was not accepted';
const EXPIRED = 'SP_CREDENTIAL_EXPIRED: the credential has expired: sign in again';

/** Who has no good credential gets one constant answer, and nothing of the credential is seen anywhere again. */
describe('credentials', { timeout: 120_000 }, () => {
  let scene: Scene;
  let tap: WireTap;
  let path: string;
  const shown: string[] = [];

  before(async () => {
    const cluster = await sharedCluster();
    tap = await WireTap.start(cluster);
    scene = await Scene.open('credentials', {
      cluster,
      adjust: ({ identity, upstream }) => {
        identity.tokenReview = { audience: 'sallyport' };
        tap.divert(upstream.kubeconfig, cluster);
      },
    });
    path = `/api/v1/namespaces/${scene.namespace}/configmaps/refused`;
  });
  after(async () => {
    await scene?.close();
    await tap?.close();
  });

  function refused(
    answer:
      | { status: number; body: string; headers: Readonly<Record<string, string | string[] | undefined>> }
      | undefined,
    message = NOT_ACCEPTED,
  ): void {
    assert.equal(answer?.status, 401, answer?.body);
    assert.equal(answer.headers['www-authenticate'], 'Bearer realm="sallyport"');
    assert.equal(answer.headers['content-type'], 'application/json');
    const status = JSON.parse(answer.body) as Record<string, unknown>;
    const id = String(answer.headers['x-request-id']);
    assert.deepEqual(
      { kind: status['kind'], reason: status['reason'], code: status['code'], message: status['message'] },
      { kind: 'Status', reason: 'Unauthorized', code: 401, message: `${message} (request ${id})` },
    );
  }

  describe('a bad token', () => {
    const table: [what: string, make: () => Promise<string>, message?: string][] = [
      ['no JWT', async () => `opaque-${'x'.repeat(40)}`],
      [
        'alg none',
        async () => new UnsecuredJWT({ iss: scene.gateway.issuer.url, aud: 'sallyport', sub: 'root' }).encode(),
      ],
      [
        'an HMAC by the public key',
        async () => {
          const [key] = scene.gateway.issuer.keys;
          const head = Buffer.from(JSON.stringify({ alg: 'HS256', kid: key!.kid })).toString('base64url');
          const claims = { iss: scene.gateway.issuer.url, aud: 'sallyport', sub: 'root', iat: now(), exp: now() + 600 };
          const input = `${head}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}`;
          return `${input}.${createHmac('sha256', JSON.stringify(key!.jwk)).update(input).digest('base64url')}`;
        },
      ],
      ['signed by a stranger', async () => scene.gateway.issuer.sign({ sub: 'root' }, {}, await makeKey('k1'))],
      [
        'changed after it was signed',
        async () => {
          const [head, , signature] = scene.token.split('.');
          const claims = { iss: scene.gateway.issuer.url, aud: 'sallyport', sub: 'root', iat: now(), exp: now() + 600 };
          return `${head}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.${signature}`;
        },
      ],
      ['for another audience', () => scene.tokenOf({ aud: 'elsewhere' })],
      ['of another issuer', () => scene.tokenOf({ iss: 'https://elsewhere.example' })],
      ['without an end', () => scene.tokenOf({ exp: undefined })],
      ['not valid yet', () => scene.tokenOf({ nbf: now() + 600 })],
      ['expired', () => scene.tokenOf({ iat: now() - 7_200, exp: now() - 3_600 }), EXPIRED],
      ['expired and for another audience', () => scene.tokenOf({ aud: 'x', iat: now() - 7_200, exp: now() - 3_600 })],
      ['of 20 KB', () => scene.tokenOf({ pad: 'x'.repeat(20_000) })],
      ['of the API server’s own audience', async () => scene.cluster.serviceAccountToken(scene.namespace, 'own')],
      [
        'of both audiences',
        () =>
          scene.cluster.serviceAccountToken(scene.namespace, 'both', {
            audiences: ['sallyport', scene.cluster.apiAudience],
          }),
      ],
      [
        'of a deleted ServiceAccount',
        async () => {
          const token = await scene.cluster.serviceAccountToken(scene.namespace, 'gone', { audiences: ['sallyport'] });
          await scene.cluster.admin('DELETE', `/api/v1/namespaces/${scene.namespace}/serviceaccounts/gone`);
          return token;
        },
      ],
    ];
    for (const [what, make, message] of table) {
      it(what, async () => {
        const token = await make();
        shown.push(token);
        refused(await scene.ask(path, { token }), message);
        refused(await scene.ask2(path, { authorization: `Bearer ${token}` }), message);
        // As a WebSocket's sub-protocol.
        const protocol = `base64url.bearer.authorization.k8s.io.${Buffer.from(token).toString('base64url')}`;
        const upgrade = await rawRequest(scene.gateway, [
          `GET /api/v1/namespaces/${scene.namespace}/pods/refused/exec?command=ls&stdout=1 HTTP/1.1`,
          'Host: x',
          'Connection: Upgrade',
          'Upgrade: websocket',
          'Sec-WebSocket-Version: 13',
          'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
          `Sec-WebSocket-Protocol: v5.channel.k8s.io, ${protocol}`,
        ]);
        refused(upgrade, message);
      });
    }
  });

  it('none, empty, doubled and of other schemes', async () => {
    const good = `Authorization: Bearer ${scene.token}`;
    for (const lines of [
      [],
      ['Authorization:'],
      ['Authorization: Bearer'],
      ['Authorization: Bearer '],
      ['Authorization: Bearer \t'],
      [good, good],
      [good, 'Authorization: Basic eDp5'],
      ['Authorization: Basic eDp5', good],
      [`Authorization: Bearer ${scene.token}, Bearer ${scene.token}`],
      [`Authorization: Bearer ${scene.token} x`],
      [`Authorization: Token ${scene.token}`],
      [`Authorization: ${scene.token}`],
      [`Proxy-Authorization: Bearer ${scene.token}`],
      [`Cookie: token=${scene.token}`],
      [`X-Auth-Token: ${scene.token}`],
    ]) {
      refused(await rawRequest(scene.gateway, [`GET ${path} HTTP/1.1`, 'Host: x', ...lines]));
    }
    for (const name of ['access_token', 'token']) {
      const answer = await scene.ask(`${path}?${name}=${scene.token}`, { token: null });
      assert.ok([400, 401].includes(answer.status), answer.body);
    }
    const both = await scene.ask(`${path}?access_token=${scene.token}`);
    assert.equal(both.status, 401);
  });

  it('also for what is free for everyone who is someone', async () => {
    for (const free of ['/version', '/api', '/apis', '/openapi/v3', '/healthz', '/.well-known/openid-configuration']) {
      refused(await scene.ask(free, { token: null }));
    }
  });

  it('a good one is used and kept here: what goes upstream holds none of it', async () => {
    const mark = `${path.replace('refused', 'wire')}`;
    assert.equal((await scene.ask(mark)).status, 404);
    const protocol = `base64url.bearer.authorization.k8s.io.${Buffer.from(scene.token).toString('base64url')}`;
    const exec = `/api/v1/namespaces/${scene.namespace}/pods/wire/exec?command=ls&stdout=true`;
    const answer = await rawRequest(scene.gateway, [
      `GET ${exec} HTTP/1.1`,
      'Host: x',
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
      `Sec-WebSocket-Protocol: ${protocol}, v5.channel.k8s.io`,
    ]);
    assert.equal(answer?.status, 404, answer?.body);
    const heads = [...tap.heads(mark), ...tap.heads('/pods/wire/exec')];
    assert.equal(heads.length, 2, heads.join('\n\n'));
    for (const head of heads) {
      assert.equal(head.match(/^authorization: /gim)?.length, 1, head);
      assert.equal(head.match(/^impersonate-user: sallyport:ci-/gim)?.length, 1, head);
      assert.doesNotMatch(head, /bearer\.authorization/);
    }
    assert.ok(!tap.text.includes(scene.token.split('.')[2]!), 'the signature of the client’s token went upstream');
    assert.ok(!tap.text.includes(Buffer.from(scene.token).toString('base64url').slice(40, 120)));
  });

  it('going around the gate gains nothing: what opens it is a 401 at the API server', async () => {
    const form = 'grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&agent=cursor';
    const issued = await scene.ask('/sallyport/v1/token', {
      method: 'POST',
      body: form,
      headers: ['Content-Type', 'application/x-www-form-urlencoded'],
    });
    assert.equal(issued.status, 200, issued.body);
    const session = issued.json().access_token as string;
    const account = await scene.cluster.serviceAccountToken(scene.namespace, 'agent', { audiences: ['sallyport'] });
    shown.push(session);
    // Each is good at the gate …
    assert.equal((await scene.ask(path, { token: session })).status, 404);
    const noPolicy = await scene.ask(path, { token: account });
    assert.equal(noPolicy.status, 403, noPolicy.body);
    // … and nothing beside it.
    for (const token of [session, account, scene.token]) {
      for (const target of ['/api/v1/namespaces/default', '/version', '/api']) {
        assert.equal(await straight(target, token), 401, target);
      }
    }
  });

  async function straight(target: string, token: string): Promise<number> {
    return await new Promise((resolve, reject) => {
      request(
        `${scene.cluster.url}${target}`,
        { ca: scene.cluster.caPem, headers: { authorization: `Bearer ${token}` }, agent: false },
        (response) => {
          response.resume();
          resolve(response.statusCode ?? 0);
        },
      )
        .on('error', reject)
        .end();
    });
  }

  it('nothing of any of them is in the log, and nothing that was refused has arrived', async () => {
    const text = `${JSON.stringify(scene.gateway.log)}${scene.gateway.stderr}`;
    assert.ok(shown.length > 10);
    for (const token of [...shown, scene.token]) {
      const parts = token.split('.').filter((part) => part.length > 12);
      for (const part of parts.slice(parts.length > 1 ? 1 : 0)) {
        assert.ok(!text.includes(part), 'a part of a token is in the log');
      }
      assert.ok(!text.includes(token));
    }
    assert.deepEqual(
      scene.arrived(path).filter(({ impersonatedUser }) => impersonatedUser?.username !== `sallyport:${scene.user}`),
      [],
    );
    assert.deepEqual(scene.arrived(`/api/v1/namespaces/${scene.namespace}/pods/refused/exec`), []);
    // The causes are there.
    assert.ok(text.includes('SP_NOT_AUTHENTICATED') && text.includes('expired'));
  });
});
