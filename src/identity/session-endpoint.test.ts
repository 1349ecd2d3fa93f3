import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configuration, MemorySecrets, MemorySessions, person, replica } from '../../test/sessions/memory.ts';
import { type EndpointRequest, isPublicEndpoint, SessionEndpoint } from './session-endpoint.ts';

function room(changes: object = {}) {
  const clock = { now: Date.now() };
  const config = configuration({
    signIn: [{ issuer: 'https://login.example', clientID: 'sallyport-cli' }],
    ...changes,
  });
  const store = new MemorySessions(() => clock.now);
  const made = replica({ secrets: new MemorySecrets(), store, clock, configuration: config });
  store.watchers.push(made.registry);
  return { ...made, endpoint: new SessionEndpoint(made.exchange, config, 'sallyport') };
}

const FORM = { 'content-type': 'application/x-www-form-urlencoded' };
const GRANT = 'grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange';

function ask(
  method: string,
  path: string,
  changes: Partial<EndpointRequest> & { form?: string } = {},
): EndpointRequest {
  const { form = '', ...rest } = changes;
  return { method, path: `/sallyport/v1/${path}`, headers: FORM, body: Buffer.from(form), caller: person(), ...rest };
}

test('the token exchange', async () => {
  const { endpoint, authenticator } = room();
  const answer = await endpoint.handle(ask('POST', 'token', { form: `${GRANT}&agent=cursor&requested_ttl=60` }));
  assert.equal(answer.status, 200);
  assert.equal(answer.headers['cache-control'], 'no-store');
  const body = JSON.parse(answer.body) as Record<string, string>;
  assert.equal(body['token_type'], 'Bearer');
  assert.equal(body['issued_token_type'], 'urn:ietf:params:oauth:token-type:jwt');
  assert.ok(Number(body['expires_in']) >= 58 && Number(body['expires_in']) <= 60);
  assert.equal((await authenticator.authenticate(body['access_token']!)).session, body['session']);
});

test('requests that are refused, with RFC 6749 errors', async () => {
  const { endpoint } = room();
  const good = `${GRANT}&agent=cursor`;
  const cases: [string, EndpointRequest, number, string][] = [
    ['no grant', ask('POST', 'token', { form: 'agent=cursor' }), 400, 'unsupported_grant_type'],
    [
      'password grant',
      ask('POST', 'token', { form: 'grant_type=password&agent=cursor' }),
      400,
      'unsupported_grant_type',
    ],
    ['doubled field', ask('POST', 'token', { form: `${good}&agent=brief` }), 400, 'invalid_request'],
    ['a second credential', ask('POST', 'token', { form: `${good}&subject_token=x` }), 400, 'invalid_request'],
    ['no agent', ask('POST', 'token', { form: GRANT }), 400, 'invalid_request'],
    ['unknown agent', ask('POST', 'token', { form: `${GRANT}&agent=other` }), 400, 'invalid_target'],
    ['endless', ask('POST', 'token', { form: `${good}&requested_ttl=1e9` }), 400, 'invalid_request'],
    ['negative', ask('POST', 'token', { form: `${good}&requested_ttl=-1` }), 400, 'invalid_request'],
    ['zero', ask('POST', 'token', { form: `${good}&requested_ttl=0` }), 400, 'invalid_request'],
    [
      'other type',
      ask('POST', 'token', { form: good, headers: { 'content-type': 'text/plain' } }),
      400,
      'invalid_request',
    ],
    ['no type', ask('POST', 'token', { form: good, headers: {} }), 400, 'invalid_request'],
    ['too large', ask('POST', 'token', { form: `${good}&x=${'a'.repeat(17_000)}` }), 400, 'invalid_request'],
    [
      'from a page',
      ask('POST', 'token', { form: good, headers: { ...FORM, origin: 'https://evil' } }),
      400,
      'invalid_request',
    ],
    ['an agent', ask('POST', 'token', { form: good, caller: person({ agent: 'cursor' }) }), 400, 'access_denied'],
    ['GET token', ask('GET', 'token'), 405, 'invalid_request'],
    ['POST sessions', ask('POST', 'sessions'), 405, 'invalid_request'],
    ['unknown path', ask('GET', 'secrets'), 404, 'not_found'],
    ['odd name', ask('DELETE', 'sessions/..%2fx'), 404, 'not_found'],
    ['a query', ask('GET', 'sessions?all=1'), 404, 'not_found'],
    ['not there', ask('DELETE', 'sessions/cursor-none'), 404, 'not_found'],
    ['PUT', ask('PUT', 'sessions/cursor-none'), 405, 'invalid_request'],
  ];
  for (const [what, request, status, error] of cases) {
    const answer = await endpoint.handle(request);
    assert.equal(answer.status, status, what);
    assert.equal((JSON.parse(answer.body) as { error: string }).error, error, what);
    assert.equal(answer.headers['cache-control'], 'no-store', what);
  }
  for (const path of ['token', 'sessions', 'sessions/x', 'nothing']) {
    await assert.rejects(endpoint.handle(ask('POST', path, { caller: undefined })), { code: 'SP_NOT_AUTHENTICATED' });
  }
});

test('own sessions are listed without tokens, and ended', async () => {
  const { endpoint } = room();
  const made = await endpoint.handle(ask('POST', 'token', { form: `${GRANT}&agent=cursor` }));
  const { session, access_token: token } = JSON.parse(made.body) as { session: string; access_token: string };
  const list = await endpoint.handle(ask('GET', 'sessions'));
  assert.ok(!list.body.includes(token.split('.')[2]!));
  assert.equal((JSON.parse(list.body) as { sessions: { name: string }[] }).sessions[0]!.name, session);
  const bob = person({ username: 'bob' });
  assert.equal((await endpoint.handle(ask('GET', `sessions/${session}`, { caller: bob }))).status, 404);
  assert.equal((await endpoint.handle(ask('DELETE', `sessions/${session}`, { caller: bob }))).status, 404);
  assert.equal((await endpoint.handle(ask('DELETE', `sessions/${session}`))).status, 200);
  const after = JSON.parse((await endpoint.handle(ask('GET', `sessions/${session}`))).body) as { revoked: boolean };
  assert.equal(after.revoked, true);
  const again = await endpoint.handle(ask('POST', 'token', { form: `${GRANT}&agent=cursor` }));
  assert.equal(again.status, 403);
  assert.equal((JSON.parse(again.body) as { error: string }).error, 'insufficient_user_authentication');
});

test('how to sign in is public and cacheable; nothing else is public', async () => {
  const { endpoint } = room();
  const request = { ...ask('GET', 'config'), headers: {}, caller: undefined };
  const answer = await endpoint.handle(request);
  assert.deepEqual(JSON.parse(answer.body), {
    audience: 'sallyport',
    signIn: [{ issuer: 'https://login.example', clientID: 'sallyport-cli', scopes: ['openid'], redirectPorts: [] }],
    agents: [
      { name: 'cursor', maxTTLSeconds: 43_200 },
      { name: 'brief', maxTTLSeconds: 300 },
    ],
    defaultTTLSeconds: 3_600,
  });
  assert.match(answer.headers['cache-control']!, /^public, max-age=\d+$/);
  const again = await endpoint.handle({ ...request, headers: { 'if-none-match': answer.headers['etag'] } });
  assert.equal(again.status, 304);
  for (const [method, path] of [
    ['POST', '/sallyport/v1/config'],
    ['GET', '/sallyport/v1/config/'],
    ['GET', '/sallyport/v1/config?x'],
    ['GET', '/sallyport/v1/CONFIG'],
    ['GET', '/sallyport/v1/sessions'],
    ['POST', '/sallyport/v1/token'],
  ] as const) {
    assert.equal(isPublicEndpoint(method, path), false, `${method} ${path}`);
  }
});
