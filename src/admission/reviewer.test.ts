import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SallyportError } from '../errors.ts';
import { Approved } from '../identity/approved.ts';
import { Via } from '../identity/upstream-name.ts';
import { allow, approve, deny, match, policy } from '../policy/cases/case.ts';
import { compile, type PolicySet } from '../policy/policy-set.ts';
import type { Reviewed } from './reviewed-object.ts';
import { Reviewer } from './reviewer.ts';

const KEY = Buffer.alloc(32, 9);
const NOW = Date.parse('2026-11-21T12:00:00Z');
const via = new Via(KEY);
const approved = new Approved(KEY);

const POLICIES = [
  policy('p', [
    allow('write', match('create,update,patch,delete', 'configmaps')),
    approve('pods', match('create', 'pods')),
    deny('forbidden', match('create,update', 'configmaps'), "has(object.data) && 'evil' in object.data"),
    allow('shell', match('create', 'pods/exec'), 'target.metadata.name == "web"'),
    deny('host', match('create', 'pods/exec'), 'has(target.spec.hostNetwork) && target.spec.hostNetwork'),
  ]),
  policy('accounts', [allow('all', match('create', 'configmaps'))], {
    subjects: [{ kind: 'ServiceAccount', namespace: 'ci', name: 'deployer' }],
  }),
];

interface Change {
  readonly username?: string;
  readonly groups?: readonly string[];
  readonly extra?: Record<string, readonly string[]>;
  readonly request?: Record<string, unknown>;
}

const GATE = { username: 'sallyport:alice', groups: ['sallyport:ai-agents', 'system:authenticated'] };
const proof = (username = GATE.username, now = NOW): string =>
  via.of({ username, uid: '', groups: [], extra: {} }, now);
const throughGate = (more: Record<string, readonly string[]> = {}): Change => ({
  ...GATE,
  extra: { 'sallyport.dev/via': [proof()], ...more },
});

function review({ username = 'bob', groups = [], extra = {}, request = {} }: Change): string {
  return JSON.stringify({
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid: 'u-1',
      operation: 'CREATE',
      resource: { group: '', version: 'v1', resource: 'configmaps' },
      namespace: 'shop',
      name: 'c',
      userInfo: { username, groups, extra },
      object: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'c' } },
      ...request,
    },
  });
}

const POD = {
  resource: { group: '', version: 'v1', resource: 'pods' },
  name: 'web',
  object: { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'web' } },
};
const EXEC = {
  ...POD,
  operation: 'CONNECT',
  subResource: 'exec',
  object: { kind: 'PodExecOptions', command: ['ls'] },
};

async function ask(change: Change, set: () => PolicySet = () => compile(POLICIES, { gatewayNamespace: 'sallyport' })) {
  const asked: Reviewed[] = [];
  const reviewer = new Reviewer({
    policies: { current: set, namespace: () => undefined },
    via,
    approved,
    ask: async (reviewed) => {
      asked.push(reviewed);
      throw new SallyportError('SP_APPROVAL_REQUIRED', 'ask a person');
    },
  });
  const { response } = await reviewer.review(review(change), NOW);
  return { allowed: response.allowed, code: response.status?.message.split(/[ :]/)[0], asked: asked.length, response };
}

describe('who a review is about', () => {
  it('lets pass whom no policy names, whatever they do', async () => {
    assert.equal((await ask({ username: 'system:kube-controller-manager' })).allowed, true);
    assert.equal((await ask({ username: 'Üser with spaces ' })).allowed, true);
  });
  it('governs an account that comes straight to the API server', async () => {
    const account = { username: 'system:serviceaccount:ci:deployer' };
    assert.equal((await ask(account)).allowed, true);
    assert.equal((await ask({ ...account, request: POD })).code, 'SP_POLICY_DENIED');
  });
  it('knows who came through the gate by the proof, never by the name alone', async () => {
    assert.equal((await ask(throughGate())).allowed, true);
    assert.equal((await ask(GATE)).code, 'SP_NOT_THROUGH_GATE');
    const refused: readonly (readonly string[])[] = [
      [],
      [''],
      [proof(), proof()],
      [proof('sallyport:mallory')],
      [proof(GATE.username, NOW - 5 * 60_000)],
      [proof(GATE.username, NOW + 5 * 60_000)],
      [`${proof().slice(0, -1)}${proof().endsWith('A') ? 'B' : 'A'}`],
    ];
    for (const value of refused) {
      const { code } = await ask({ ...GATE, extra: { 'sallyport.dev/via': value } });
      assert.equal(code, 'SP_NOT_THROUGH_GATE', JSON.stringify(value));
    }
  });
  it('refuses whoever brings extras of the gateway', async () => {
    for (const key of ['sallyport.dev/via', 'sallyport.dev/approved', 'sallyport.dev/agent', 'sallyport.dev/new']) {
      assert.equal((await ask({ username: 'bob', extra: { [key]: [proof('bob')] } })).code, 'SP_NOT_THROUGH_GATE', key);
    }
  });
  it('reads no reserved name behind the prefix', async () => {
    for (const username of ['sallyport:', 'sallyport:system:admin', 'sallyport:sa:ci', 'sallyport: alice']) {
      const { code } = await ask({ ...GATE, username, extra: { 'sallyport.dev/via': [proof(username)] } });
      assert.equal(code, 'SP_NOT_THROUGH_GATE', username);
    }
  });
});

describe('what counts from the gate', () => {
  const operation = {
    username: GATE.username,
    uid: '',
    apiGroup: '',
    resource: 'pods',
    subresource: '',
    namespace: 'shop',
  };
  const permit = (name: string, now = NOW): string =>
    approved.of('shop/ar-abcdefghij-1', { ...operation, name }, now + 60_000);

  it('an approval counts for the object that it was given for', async () => {
    for (const name of ['', 'web']) {
      const found = await ask({ ...throughGate({ 'sallyport.dev/approved': [permit(name)] }), request: POD });
      assert.deepEqual([found.allowed, found.asked], [true, 0]);
    }
  });
  it('one for another name, an old, a forged, a doubled one does not', async () => {
    const bad = [
      [permit('other')],
      [permit('web', NOW - 120_000)],
      [`${permit('web')}A`],
      [permit('web'), permit('web')],
    ];
    for (const value of bad) {
      const found = await ask({ ...throughGate({ 'sallyport.dev/approved': value }), request: POD });
      assert.deepEqual([found.allowed, found.asked, found.code], [false, 1, 'SP_APPROVAL_REQUIRED']);
    }
  });
  it('an approval opens nothing that a Deny rule closes', async () => {
    const value = approved.of(
      'shop/ar-abcdefghij-1',
      { ...operation, resource: 'configmaps', name: 'c' },
      NOW + 60_000,
    );
    const request = { object: { metadata: { name: 'c' }, data: { evil: '1' } } };
    assert.equal(
      (await ask({ ...throughGate({ 'sallyport.dev/approved': [value] }), request })).code,
      'SP_POLICY_DENIED',
    );
  });
  it('a dry run of the gateway passes, of anyone else it is told and asks nobody', async () => {
    const request = { ...POD, dryRun: true };
    assert.equal((await ask({ ...throughGate(), request })).allowed, true);
    const policies = [
      policy('d', [approve('pods', match('create', 'pods'))], { subjects: [{ kind: 'User', name: 'bob' }] }),
    ];
    const found = await ask({ request }, () => compile(policies, { gatewayNamespace: 'sallyport' }));
    assert.deepEqual([found.allowed, found.asked, found.code], [false, 0, 'SP_APPROVAL_REQUIRED']);
  });
  it('the gateway has judged the target of an exec, nobody has for one that goes around it', async () => {
    const set = () => compile(POLICIES, { gatewayNamespace: 'sallyport' });
    assert.equal((await ask({ ...throughGate(), request: EXEC }, set)).allowed, true);
    const found = await ask({ username: 'eve', groups: ['ai-agents'], request: EXEC }, set);
    assert.deepEqual([found.allowed, found.code], [false, 'SP_OBJECT_UNREADABLE']);
  });
});

describe('when there is no answer to give', () => {
  it('no policies, no passage for anyone the webhook is asked about', async () => {
    const found = await ask(throughGate(), () => {
      throw new SallyportError('SP_POLICY_NOT_LOADED', 'the policies are not loaded yet');
    });
    assert.deepEqual([found.allowed, found.code, found.response.status?.code], [false, 'SP_POLICY_NOT_LOADED', 503]);
  });
  it('a review that is none is refused as a request', async () => {
    const reviewer = new Reviewer({
      policies: { current: () => compile(POLICIES, { gatewayNamespace: 'sallyport' }), namespace: () => undefined },
      via,
      approved,
      ask: async () => {},
    });
    const broken = ['', '{', '[]', 'null', '{"kind":"AdmissionReview"}', review({}).replace('"uid":"u-1",', '')];
    broken.push(review({ request: { operation: 'PATCH' } }), review({ request: { userInfo: { groups: [] } } }));
    broken.push(review({ request: { userInfo: { username: 'x', groups: [1] } } }));
    for (const text of broken) {
      await assert.rejects(reviewer.review(text, NOW), { code: 'SP_BAD_REQUEST' }, text.slice(0, 60));
    }
  });
  it('a connect whose options cannot be read is refused', async () => {
    for (const object of [{ command: 'ls' }, { command: [1] }, { container: 3, command: [] }]) {
      const found = await ask({ ...throughGate(), request: { ...EXEC, object } });
      assert.deepEqual([found.allowed, found.code], [false, 'SP_BAD_REQUEST'], JSON.stringify(object));
    }
  });
  it('what connects to something unknown is not taken for a write', async () => {
    const found = await ask({ ...throughGate(), request: { ...EXEC, subResource: 'tunnel' } });
    assert.deepEqual([found.allowed, found.code], [false, 'SP_BAD_REQUEST']);
  });
});
