import assert from 'node:assert/strict';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { exportJWK, generateKeyPair, type JWK } from 'jose';
import Provider from 'oidc-provider';
import { identityMethods } from '../../src/config/identity.ts';
import type { SallyportError } from '../../src/errors.ts';
import { createAuthenticator } from '../../src/identity/authenticator.ts';
import { SIGN_IN_CLIENT, signIn } from './sign-in.ts';

const bearer = (token: string) => ({ rawHeaders: ['Authorization', `Bearer ${token}`], target: '/api' });

async function privateKey(kid: string, alg: string): Promise<JWK> {
  const pair = await generateKeyPair(alg, { extractable: true });
  return { ...(await exportJWK(pair.privateKey)), kid, alg, use: 'sig' };
}

/** A server whose provider can be exchanged, as a provider that restarts with other keys. */
async function listen(t: TestContext) {
  const state: { listener: RequestListener; url: string } = {
    listener: (_request, response) => response.writeHead(503).end(),
    url: '',
  };
  const server = createServer((request, response) => state.listener(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  state.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return state;
}

test('ID tokens of a certified provider, from a real sign-in', async (t) => {
  const served = await listen(t);
  const provider = new Provider(served.url, {
    clients: [SIGN_IN_CLIENT],
    jwks: { keys: [await privateKey('one', 'RS256')] } as never,
    claims: { openid: ['sub', 'groups', 'auth_time'], email: ['email', 'email_verified'] },
    conformIdTokenClaims: false,
    findAccount: (_context, id) => ({
      accountId: id,
      claims: async () => ({
        sub: id,
        email: `${id}@shop.example`,
        email_verified: id === 'alice',
        groups: ['developers', 'on-call'],
      }),
    }),
  });
  served.listener = provider.callback();
  const authenticator = createAuthenticator(
    identityMethods.parse({
      oidc: [
        {
          issuer: served.url,
          audiences: [SIGN_IN_CLIENT.client_id],
          insecureLoopbackHTTP: true,
          claimMappings: {
            username: { claim: 'email', prefix: 'idp:' },
            groups: { claim: 'groups', prefix: 'idp:' },
            uid: { claim: 'sub' },
          },
        },
      ],
    }),
    {},
  );
  t.after(() => authenticator.close());
  const caller = await authenticator.authenticate(bearer(await signIn(served.url, 'alice')));
  assert.equal(caller.username, 'idp:alice@shop.example');
  assert.equal(caller.uid, 'alice');
  assert.deepEqual(caller.groups, ['idp:developers', 'idp:on-call']);
  await assert.rejects(
    authenticator.authenticate(bearer(await signIn(served.url, 'mallory'))),
    (error: SallyportError) => error.code === 'SP_NOT_AUTHENTICATED',
    'an address that the provider has not verified',
  );
});

test('access tokens of a workload, by audience and scope, through a rotation of the provider’s keys', async (t) => {
  const served = await listen(t);
  const { url } = served;
  const secret = Buffer.from(crypto.getRandomValues(new Uint8Array(24))).toString('hex');

  function serve(keys: JWK[]): void {
    const resource = (audience: string, alg: string) => ({
      scope: 'gateway.invoke',
      audience,
      accessTokenFormat: 'jwt' as const,
      accessTokenTTL: 600,
      jwt: { sign: { alg: alg as 'ES256' } },
    });
    const provider = new Provider(url, {
      clients: [
        {
          client_id: 'ci-runner',
          client_secret: secret,
          grant_types: ['client_credentials'],
          id_token_signed_response_alg: keys[0]!.alg as 'ES256',
          redirect_uris: [],
          response_types: [],
        },
      ],
      jwks: { keys } as never,
      scopes: ['gateway.invoke'],
      features: {
        devInteractions: { enabled: false },
        clientCredentials: { enabled: true },
        resourceIndicators: {
          enabled: true,
          getResourceServerInfo: (_context, indicator) =>
            resource(indicator === 'urn:sallyport' ? 'sallyport' : 'other', keys[0]!.alg!),
        },
      },
    });
    served.listener = provider.callback();
  }

  async function token(scope = 'gateway.invoke', resource = 'urn:sallyport'): Promise<string> {
    const answer = await fetch(`${url}/token`, {
      method: 'POST',
      headers: { authorization: `Basic ${Buffer.from(`ci-runner:${secret}`).toString('base64')}` },
      body: new URLSearchParams({ grant_type: 'client_credentials', resource, ...(scope ? { scope } : {}) }),
    });
    const body = (await answer.json()) as { access_token?: string };
    const { access_token } = body;
    assert.ok(access_token, `the provider answered ${answer.status} ${JSON.stringify(body)}`);
    return access_token;
  }

  let now = Date.now();
  const [first, second] = await Promise.all([privateKey('2024', 'ES256'), privateKey('2025', 'PS256')]);
  serve([first]);
  const authenticator = createAuthenticator(
    identityMethods.parse({
      oidc: [
        {
          issuer: url,
          audiences: ['sallyport'],
          insecureLoopbackHTTP: true,
          claimMappings: { username: { claim: 'client_id', prefix: 'ci:' }, agent: { value: 'ci' } },
          requiredScopes: ['gateway.invoke'],
        },
      ],
    }),
    { now: () => now },
  );
  t.after(() => authenticator.close());

  const former = await token();
  const caller = await authenticator.authenticate(bearer(former));
  assert.equal(caller.username, 'ci:ci-runner');
  assert.equal(caller.agent, 'ci');
  const refused = (error: SallyportError) => error.code === 'SP_NOT_AUTHENTICATED';
  await assert.rejects(authenticator.authenticate(bearer(await token(''))), refused, 'without the scope');
  await assert.rejects(authenticator.authenticate(bearer(await token('gateway.invoke', 'urn:other'))), refused);

  // Both keys for a while, then the former is withdrawn: new tokens at once, remembered ones no longer.
  serve([second, first]);
  now += 11_000;
  assert.equal((await authenticator.authenticate(bearer(await token()))).username, 'ci:ci-runner');
  assert.equal((await authenticator.authenticate(bearer(former))).username, 'ci:ci-runner');
  const third = await privateKey('2026', 'RS256');
  serve([third]);
  now += 11_000;
  assert.equal((await authenticator.authenticate(bearer(await token()))).username, 'ci:ci-runner');
  await assert.rejects(authenticator.authenticate(bearer(former)), refused, 'signed by the withdrawn key');

  // The provider goes down: what is known stays good, what is not is refused as a matter of the moment.
  served.listener = (_request, response) => response.writeHead(503).end();
  now += 11_000;
  const unknown = former.replace(/^[^.]+/, Buffer.from('{"alg":"ES256","kid":"2024"}').toString('base64url'));
  await assert.rejects(
    authenticator.authenticate(bearer(unknown)),
    (error: SallyportError) => error.code === 'SP_IDENTITY_UNAVAILABLE',
  );
});
