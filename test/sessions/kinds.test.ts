import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { type Cluster, sharedCluster } from '../cluster/cluster.ts';

/** The kinds guard themselves: these requests come from a cluster-admin. */
let cluster: Cluster;
let namespace: string;

before(async () => {
  cluster = await sharedCluster();
  for (const kind of ['agentsessions', 'agentfreezes']) {
    await cluster.apply(readFileSync(new URL(`../../crds/${kind}.yaml`, import.meta.url), 'utf8'));
    const waited = await cluster.kubectl([
      'wait',
      '--for=condition=Established',
      '--timeout=20s',
      `crd/${kind}.sallyport.dev`,
    ]);
    assert.equal(waited.code, 0, waited.stderr);
  }
  namespace = await cluster.namespace('kinds');
});

after(async () => {
  await cluster?.stop();
});

const SPEC = {
  agent: 'cursor',
  onBehalfOf: 'alice@example.com',
  issuer: 'https://login.example',
  subject: 'alice@example.com',
  groups: ['ai-agents'],
  expirationTime: '2030-01-01T00:00:00Z',
};

const path = (plural: string, name = '') =>
  `/apis/sallyport.dev/v1alpha1/namespaces/${namespace}/${plural}${name === '' ? '' : `/${name}`}`;

async function create(name: string, spec: object, plural = 'agentsessions') {
  const kind = plural === 'agentsessions' ? 'AgentSession' : 'AgentFreeze';
  const body = { apiVersion: 'sallyport.dev/v1alpha1', kind, metadata: { name }, spec };
  return await cluster.admin('POST', path(plural), body);
}

const MERGE = 'application/merge-patch+json';
const patch = (name: string, body: object, plural = 'agentsessions') =>
  cluster.admin('PATCH', path(plural, name), JSON.stringify(body), MERGE);

test('a session’s spec is bounded, and immutable for everyone', async () => {
  assert.equal((await create('good', SPEC)).status, 201);
  const wrong: Record<string, object> = {
    'no agent': { ...SPEC, agent: undefined },
    'an empty agent': { ...SPEC, agent: '' },
    'an agent with a capital': { ...SPEC, agent: 'Cursor' },
    'an agent of 41': { ...SPEC, agent: 'a'.repeat(41) },
    'no person': { ...SPEC, onBehalfOf: undefined },
    'no subject': { ...SPEC, subject: '' },
    'no issuer': { ...SPEC, issuer: undefined },
    'no end': { ...SPEC, expirationTime: undefined },
    'an end that is no time': { ...SPEC, expirationTime: 'never' },
    'too many groups': { ...SPEC, groups: Array.from({ length: 257 }, (_, index) => `g${index}`) },
    'a long group': { ...SPEC, groups: ['g'.repeat(257)] },
  };
  for (const [what, spec] of Object.entries(wrong)) {
    const answer = await create(`bad-${Math.random().toString(36).slice(2)}`, spec);
    assert.equal(answer.status, 422, `${what}: ${answer.body}`);
  }
  assert.equal((await create('n'.repeat(121), SPEC)).status, 422);
  for (const change of [
    { agent: 'other' },
    { expirationTime: '2031-01-01T00:00:00Z' },
    { groups: null },
    { uid: 'x' },
  ]) {
    const answer = await patch('good', { spec: change });
    assert.equal(answer.status, 422, answer.body);
    assert.match(answer.body, /immutable/);
  }
});

test('revoked is for good, with who, when and why', async () => {
  assert.equal((await create('revoked', SPEC)).status, 201);
  const status = (change: object) => patch('revoked/status', { status: change });
  assert.equal((await status({ lastSeenTime: '2026-01-01T00:00:00Z' })).status, 200);
  assert.equal((await status({ revoked: false })).status, 200);
  const time = '2026-01-02T00:00:00Z';
  assert.equal(
    (await status({ revoked: true, reason: 'lost laptop', revokedBy: 'bob', revokedTime: time })).status,
    200,
  );
  for (const change of [
    { revoked: false },
    { revoked: null },
    { reason: 'never mind' },
    { reason: null },
    { revokedBy: 'carol' },
    { revokedTime: '2020-01-01T00:00:00Z' },
    { revokedTime: null },
  ]) {
    const answer = await status(change);
    assert.equal(answer.status, 422, `${JSON.stringify(change)}: ${answer.body}`);
  }
  assert.equal((await patch('revoked/status', { status: null })).status, 422, 'nor by removing the whole status');
  assert.equal((await status({ lastSeenTime: '2026-01-03T00:00:00Z' })).status, 200);
  assert.equal((await patch('revoked', { status: { revoked: false } })).status, 200, 'ignored outside the subresource');
  const kept = (await cluster.admin('GET', path('agentsessions', 'revoked'))).json() as {
    status: { revoked: boolean };
  };
  assert.equal(kept.status.revoked, true);
});

test('a freeze names an agent or everyone, and is lifted by deletion, not by editing', async () => {
  assert.equal((await create('agent-cursor', { agent: 'cursor', reason: 'why' }, 'agentfreezes')).status, 201);
  assert.equal((await create('all', { agent: '*' }, 'agentfreezes')).status, 201);
  for (const spec of [{}, { agent: '' }, { agent: '**' }, { agent: 'cur*' }, { agent: 'Cursor' }, { agent: 'a b' }]) {
    const answer = await create(`bad-${Math.random().toString(36).slice(2)}`, spec, 'agentfreezes');
    assert.equal(answer.status, 422, `${JSON.stringify(spec)}: ${answer.body}`);
  }
  const edited = await patch('agent-cursor', { spec: { agent: 'other' } }, 'agentfreezes');
  assert.equal(edited.status, 422, edited.body);
  assert.equal((await cluster.admin('DELETE', path('agentfreezes', 'agent-cursor'))).status, 200);
});

test('kubectl shows them by short name and category', async () => {
  await create('shown', SPEC);
  const table = await cluster.kubectl(['get', 'asess', '-n', namespace]);
  assert.match(table.stdout, /^NAME +AGENT +ONBEHALFOF +EXPIRES +REVOKED +LASTSEEN +AGE\n/);
  assert.match(table.stdout, /\nshown +cursor +alice@example.com +2030-01-01T00:00:00Z/);
  const category = await cluster.kubectl(['get', 'sallyport', '-n', namespace, '-o', 'name']);
  assert.match(category.stdout, /agentsession.sallyport.dev\/shown/);
  const documented = await cluster.kubectl(['explain', 'agentsession.status.revoked']);
  assert.match(documented.stdout, /ends the session at once/);
  const selected = await cluster.kubectl([
    'get',
    'asess',
    '-n',
    namespace,
    '--field-selector',
    'spec.agent=none',
    '-o',
    'name',
  ]);
  assert.equal(selected.stdout, '');
});
