import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseBody } from './body.ts';
import { type AdmissionOperation, admissionDigest, type DigestCaller, intentDigest } from './digest.ts';
import { parseJson } from './json.ts';
import { parseRequest } from './request.ts';

const KEY = randomBytes(32);
const ALICE: DigestCaller = { issuer: 'https://idp', username: 'alice', agent: 'cursor', onBehalfOf: 'alice' };
const POD = '/api/v1/namespaces/shop/pods/web';

interface Asked {
  caller?: DigestCaller;
  method?: string;
  target: string;
  type?: string;
  body?: string;
  ports?: number[];
}

function digest({ caller = ALICE, method = 'POST', target, type, body, ports }: Asked): string {
  const parsed = parseRequest(method, target, { contentType: type });
  const operation = ports === undefined ? parsed : { ...parsed, portForward: { ports } };
  const content = body === undefined ? undefined : parseBody(operation, type, Buffer.from(body));
  return intentDigest(KEY, { caller, operation, body: content });
}

function same(what: string, a: Asked, b: Asked): void {
  void test(`the same: ${what}`, () => assert.equal(digest(a), digest(b)));
}
function differ(what: string, a: Asked, b: Asked): void {
  void test(`not the same: ${what}`, () => assert.notEqual(digest(a), digest(b)));
}

const EXEC = `${POD}/exec?command=ls&command=-l&container=c&stdout=true`;
const DEPLOYMENT = '/apis/apps/v1/namespaces/shop/deployments/web';
const SMP = 'application/strategic-merge-patch+json';
const restart = (time: string): string =>
  `{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":${time}}}}}}`;
const put = (body: string, target = DEPLOYMENT): Asked => ({ method: 'PUT', target, body });
const patched = (body: string, target = DEPLOYMENT, type = SMP): Asked => ({ method: 'PATCH', target, type, body });

same('WebSocket and SPDY', { method: 'GET', target: EXEC }, { method: 'POST', target: EXEC });
same('spelling of the path', { target: EXEC }, { target: EXEC.replace('exec', '%65xec') });
same(
  'order of unlike parameters',
  { target: EXEC },
  { target: `${POD}/exec?stdout=true&container=c&command=ls&command=-l` },
);
differ(
  'argv in another order',
  { target: EXEC },
  { target: `${POD}/exec?command=-l&command=ls&container=c&stdout=true` },
);
differ('argv cut otherwise', { target: `${POD}/exec?command=a&command=b` }, { target: `${POD}/exec?command=a%20b` });
differ('another container', { target: EXEC }, { target: EXEC.replace('container=c', 'container=d') });
differ('stdin', { target: EXEC }, { target: `${EXEC}&stdin=true` });
differ('exec and attach', { target: `${POD}/exec?stdin=true` }, { target: `${POD}/attach?stdin=true` });
differ('ports', { target: `${POD}/portforward`, ports: [80] }, { target: `${POD}/portforward`, ports: [81] });
for (const name of ['timeout', 'pretty', 'fieldManager', 'fieldValidation']) {
  same(`with ${name}`, put('{"a":1}'), put('{"a":1}', `${DEPLOYMENT}?${name}=x`));
}
differ('dryRun', put('{"a":1}'), put('{"a":1}', `${DEPLOYMENT}?dryRun=All`));
differ(
  'force',
  patched('{}', `${DEPLOYMENT}?force=true`, 'application/apply-patch+yaml'),
  patched('{}', DEPLOYMENT, 'application/apply-patch+yaml'),
);
differ('types of patch', patched('{}'), patched('{}', DEPLOYMENT, 'application/merge-patch+json'));
differ('any parameter behind a proxy', { target: `${POD}/proxy/x?timeout=1` }, { target: `${POD}/proxy/x?timeout=2` });
differ('order behind a proxy', { target: `${POD}/proxy/x?a=1&b=2` }, { target: `${POD}/proxy/x?b=2&a=1` });
differ(
  'method behind a proxy',
  { target: `${POD}/proxy/x`, method: 'GET' },
  { target: `${POD}/proxy/x`, method: 'HEAD' },
);
differ('trailing slash behind a proxy', { target: `${POD}/proxy/x` }, { target: `${POD}/proxy/x/` });
same('JSON and YAML', put('{"a":{"b":1,"c":[1,2]}}'), { ...put('a: {c: [1, 2], b: 1}'), type: 'application/yaml' });
same('formatting and order of members', put('{"a":1,"b":2}'), put(' { "b" : 2, "\\u0061": 1 }'));
differ('order of a list', put('{"a":[1,2]}'), put('{"a":[2,1]}'));
differ('numbers beyond 2^53', put('{"a":9007199254740993}'), put('{"a":9007199254740992}'));
differ('integer and double', put('{"a":1}'), put('{"a":1.0}'));
differ('number and text', put('{"a":1}'), put('{"a":"1"}'));
differ('no body and an empty object', { method: 'DELETE', target: POD }, { method: 'DELETE', target: POD, body: '{}' });
same('managedFields', put('{"metadata":{"name":"x"}}'), put('{"metadata":{"name":"x","managedFields":[{}]}}'));
differ('managedFields elsewhere', put('{"spec":{}}'), put('{"spec":{"managedFields":[]}}'));
same('rollout restart', patched(restart('"2026-01-02T03:04:05Z"')), patched(restart('"2026-01-02T03:04:06+01:00"')));
differ(
  'restart and none',
  patched(restart('"2026-01-02T03:04:05Z"')),
  patched('{"spec":{"template":{"metadata":{"annotations":{}}}}}'),
);
differ('restart and a text that is no time', patched(restart('"2026-01-02T03:04:05Z"')), patched(restart('"@time"')));
differ('texts that are no times', patched(restart('"a"')), patched(restart('"b"')));
differ(
  'restart of another level',
  patched('{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"2026-01-02T03:04:05Z"}}}'),
  patched('{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"2026-01-02T03:04:06Z"}}}'),
);

const debug = (...names: string[]): Asked =>
  patched(
    JSON.stringify({
      spec: {
        '$setElementOrder/ephemeralContainers': names.map((name) => ({ name })),
        ephemeralContainers: [{ name: names.at(-1), image: 'busybox' }],
      },
    }),
    `${POD}/ephemeralcontainers`,
  );
same('kubectl debug', debug('debugger-bcdfg'), debug('debugger-x7k2p'));
same('a second kubectl debug', debug('debugger-x7k2p', 'debugger-bbbbb'), debug('debugger-x7k2q', 'debugger-ccccc'));
differ('one debugger and two', debug('debugger-x7k2p', 'debugger-bbbbb'), debug('debugger-x7k2p', 'debugger-x7k2p'));
differ('a name of the caller', debug('debugger-shell'), debug('debugger-other'));
differ('another image in kubectl debug', debug('debugger-x7k2p'), {
  ...debug('debugger-x7k2p'),
  body: debug('debugger-x7k2p').body!.replace('busybox', 'evil'),
});
const node = (name: string): Asked => ({
  target: '/api/v1/namespaces/shop/pods',
  body: `{"metadata":{"name":"${name}"},"spec":{"nodeName":"n1"}}`,
});
same('kubectl debug node', node('node-debugger-n1-x7k2p'), node('node-debugger-n1-bbbbb'));
differ('kubectl debug of other nodes', node('node-debugger-n1-x7k2p'), node('node-debugger-n2-x7k2p'));
differ('ordinary Pod names', node('web-x7k2p'), node('web-bbbbb'));

for (const change of [
  { issuer: 'https://other' },
  { username: 'bob' },
  { agent: 'claude' },
  { agent: undefined },
  { agent: '' },
  { onBehalfOf: 'bob' },
  { onBehalfOf: undefined },
]) {
  differ(
    `caller with ${JSON.stringify(change)}`,
    { target: EXEC },
    { target: EXEC, caller: { ...ALICE, ...change } as DigestCaller },
  );
}

test('another key gives another digest, a short key none', () => {
  const operation = parseRequest('GET', POD);
  const intent = { caller: ALICE, operation, body: undefined };
  assert.match(intentDigest(KEY, intent), /^[0-9a-f]{64}$/);
  assert.notEqual(intentDigest(KEY, intent), intentDigest(randomBytes(32), intent));
  assert.throws(() => intentDigest(randomBytes(31), intent), RangeError);
});

test('no two different intents collide', () => {
  // Few values and separators of every kind: fields that run into each other would be found.
  const text = fc.constantFrom('', 'a', 'b', 'ab', '1:', '0:', ':', ',', '"', '1:a', 'a1:b', '\n');
  const caller = fc.record({
    issuer: text,
    username: text,
    agent: fc.option(text, { nil: undefined }),
    onBehalfOf: fc.option(text, { nil: undefined }),
  });
  const argv = fc.array(text, { maxLength: 3 });
  const body = fc.option(
    fc.dictionary(text, fc.oneof(text, fc.array(text, { maxLength: 2 }), fc.constant(null)), { maxKeys: 2 }),
    { nil: undefined },
  );
  const intent = fc.record({ caller, argv, body });
  const sign = (value: { caller: DigestCaller; argv: string[]; body: unknown }): string => {
    const exec = parseRequest(
      'POST',
      `${POD}/exec?${value.argv.map((word) => `command=${encodeURIComponent(word)}`).join('&')}`,
    );
    const content =
      value.body === undefined
        ? undefined
        : parseBody(parseRequest('PUT', POD), undefined, Buffer.from(JSON.stringify(value.body)));
    return intentDigest(KEY, { caller: value.caller, operation: exec, body: content });
  };
  const sorted = (value: unknown): unknown =>
    value !== null && typeof value === 'object' && !Array.isArray(value)
      ? Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
      : value;
  fc.assert(
    fc.property(intent, intent, (a, b) => {
      const key = (value: typeof a): string =>
        JSON.stringify([
          value.caller.issuer,
          value.caller.username,
          value.caller.agent ?? null,
          value.caller.onBehalfOf ?? null,
          value.argv,
          value.body === undefined ? 0 : [sorted(value.body)],
        ]);
      assert.equal(sign(a) === sign(b), key(a) === key(b));
    }),
    { numRuns: 5000 },
  );
});

const REVIEW: AdmissionOperation = {
  operation: 'CREATE',
  apiGroup: '',
  apiVersion: 'v1',
  resource: 'pods',
  subresource: '',
  namespace: 'shop',
  name: 'web',
  dryRun: false,
};
const admit = (object: unknown, change: Partial<AdmissionOperation> = {}): string =>
  admissionDigest(KEY, {
    caller: ALICE,
    operation: { ...REVIEW, ...change },
    object: object === undefined ? undefined : parseJson(JSON.stringify(object)),
  });

/** A Pod as the API server shows it to a webhook. */
function reviewed(
  suffix: string,
  more: { uid?: string; source?: unknown; mountPath?: string; status?: unknown } = {},
): unknown {
  const name = `kube-api-access-${suffix}`;
  return {
    metadata: {
      name: 'web',
      uid: more.uid ?? 'u1',
      creationTimestamp: more.uid ?? 't',
      resourceVersion: more.uid ?? '1',
      generation: more.uid === undefined ? 1 : 2,
      managedFields: [more],
    },
    spec: {
      volumes: [{ name, projected: more.source ?? { sources: [] } }],
      containers: [
        {
          name: 'c',
          volumeMounts: [{ name, mountPath: more.mountPath ?? '/var/run/secrets/kubernetes.io/serviceaccount' }],
        },
      ],
    },
    status: more.status ?? {},
  };
}

test('the same Pod sent twice has one admission digest', () => {
  assert.equal(admit(reviewed('x7k2p')), admit(reviewed('bbbbb', { uid: 'u2', status: { phase: 'Pending' } })));
});

test('what hides behind a name of the server counts', () => {
  const one = admit(reviewed('x7k2p'));
  assert.notEqual(one, admit(reviewed('x7k2p', { source: { sources: [{ secret: { name: 's' } }] } })));
  assert.notEqual(one, admit(reviewed('x7k2p', { mountPath: '/other' })));
  assert.notEqual(one, admit(reviewed('mine')));
});

test('an admission digest is of one operation on one object', () => {
  const object = { metadata: { name: 'web' }, status: { a: 1 } };
  const one = admit(object);
  for (const change of [
    { operation: 'UPDATE' },
    { apiGroup: 'apps' },
    { apiVersion: 'v2' },
    { resource: 'services' },
    { subresource: 'exec' },
    { namespace: 'other' },
    { name: 'x' },
    { dryRun: true },
  ] as Partial<AdmissionOperation>[]) {
    assert.notEqual(one, admit(object, change), JSON.stringify(change));
  }
  assert.notEqual(admit(undefined), admit({}));
  assert.notEqual(
    admit(object, { subresource: 'status' }),
    admit({ ...object, status: { a: 2 } }, { subresource: 'status' }),
  );
  assert.notEqual(admit({ spec: { uid: 1 } }), admit({ spec: {} }));
});
