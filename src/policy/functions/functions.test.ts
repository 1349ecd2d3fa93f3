import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Budget, type CelValue, compile, DYN, fromJson } from '../cel/engine.ts';
import { FUNCTIONS } from './functions.ts';

const environment = { variables: { object: DYN }, functions: FUNCTIONS };

function evaluate(expression: string, object: unknown): CelValue {
  return compile(expression, environment).evaluate({ object: fromJson(object) }, new Budget());
}

const spec = {
  serviceAccountName: 'runner',
  imagePullSecrets: [{ name: 'pull' }],
  initContainers: [
    { name: 'i', image: 'init:1', env: [{ name: 'A', valueFrom: { secretKeyRef: { name: 'init-env', key: 'k' } } }] },
  ],
  containers: [
    {
      name: 'c',
      image: 'main:1',
      envFrom: [{ secretRef: { name: 'env-from' } }, { configMapRef: { name: 'no-secret' } }],
    },
    {
      name: 'd',
      image: 'main:1',
      env: [{ name: 'B', valueFrom: { configMapKeyRef: { name: 'no-secret', key: 'k' } } }],
    },
  ],
  ephemeralContainers: [
    { name: 'e', image: 'debug:1', env: [{ name: 'C', valueFrom: { secretKeyRef: { name: 'debug-env', key: 'k' } } }] },
  ],
  volumes: [
    { name: 'a', secret: { secretName: 'volume' } },
    { name: 'b', projected: { sources: [{ secret: { name: 'projected' } }, { serviceAccountToken: { path: 't' } }] } },
    { name: 'c', csi: { driver: 'd', nodePublishSecretRef: { name: 'csi' } } },
    { name: 'd', azureFile: { secretName: 'azure', shareName: 's' } },
    { name: 'e', rbd: { monitors: [], image: 'i', secretRef: { name: 'rbd' } } },
    { name: 'f', cephfs: { monitors: [], secretRef: { name: 'cephfs' } } },
    { name: 'g', cinder: { volumeID: 'v', secretRef: { name: 'cinder' } } },
    { name: 'h', iscsi: { secretRef: { name: 'iscsi' } } },
    { name: 'i', scaleIO: { secretRef: { name: 'scaleio' } } },
    { name: 'j', flexVolume: { driver: 'd', secretRef: { name: 'flex' } } },
    { name: 'k', storageos: { secretRef: { name: 'storageos' } } },
    { name: 'l', image: { reference: 'data:1' } },
    { name: 'm' },
  ],
};
const SECRETS = [
  'pull',
  'init-env',
  'env-from',
  'debug-env',
  'volume',
  'projected',
  'csi',
  'azure',
  'rbd',
  'cephfs',
  'cinder',
  'iscsi',
  'scaleio',
  'flex',
  'storageos',
];

const template = { metadata: { labels: { app: 'x' } }, spec };
const WORKLOADS: Record<string, unknown> = {
  Pod: { apiVersion: 'v1', kind: 'Pod', spec },
  PodTemplate: { apiVersion: 'v1', kind: 'PodTemplate', template },
  ReplicationController: { apiVersion: 'v1', kind: 'ReplicationController', spec: { template } },
  Deployment: { apiVersion: 'apps/v1', kind: 'Deployment', spec: { template } },
  StatefulSet: { apiVersion: 'apps/v1', kind: 'StatefulSet', spec: { template } },
  DaemonSet: { apiVersion: 'apps/v1', kind: 'DaemonSet', spec: { template } },
  ReplicaSet: { apiVersion: 'apps/v1', kind: 'ReplicaSet', spec: { template } },
  Job: { apiVersion: 'batch/v1', kind: 'Job', spec: { template } },
  CronJob: { apiVersion: 'batch/v1', kind: 'CronJob', spec: { jobTemplate: { spec: { template } } } },
  'an unknown kind of that shape': { apiVersion: 'argoproj.io/v1alpha1', kind: 'Rollout', spec: { template } },
  'no kind at all': { spec: { template } },
};

for (const [kind, object] of Object.entries(WORKLOADS)) {
  describe(kind, () => {
    test('images', () =>
      assert.deepEqual(evaluate('images(object)', object), ['init:1', 'main:1', 'debug:1', 'data:1']));
    test('secretsOf', () =>
      assert.deepEqual([...(evaluate('secretsOf(object)', object) as string[])].sort(), [...SECRETS].sort()));
    test('serviceAccountOf', () => assert.equal(evaluate('serviceAccountOf(object)', object), 'runner'));
    test('podSpec', () => assert.equal(evaluate('podSpec(object).serviceAccountName', object), 'runner'));
    test('podSecurity', () =>
      assert.ok((evaluate("podSecurity(object, 'restricted')", object) as unknown[]).length > 0));
    test('volumeTypes', () => {
      const types = evaluate('volumeTypes(object)', object) as string[];
      for (const type of [
        'secret',
        'projected',
        'projected/secret',
        'projected/serviceAccountToken',
        'csi',
        'image',
        'emptyDir',
      ]) {
        assert.ok(types.includes(type), type);
      }
      assert.equal(types.length, new Set(types).size);
    });
  });
}

const NO_WORKLOADS: Record<string, unknown> = {
  null: null,
  ConfigMap: { apiVersion: 'v1', kind: 'ConfigMap', data: {} },
  'a Service with a field that looks like a Pod': {
    apiVersion: 'v1',
    kind: 'Service',
    spec: { containers: [{ image: 'x' }] },
  },
  'an unknown kind of another shape': { apiVersion: 'example.com/v1', kind: 'Widget', spec: { template: 'x' } },
};
for (const [kind, object] of Object.entries(NO_WORKLOADS)) {
  test(`${kind} runs no Pods`, () => {
    for (const list of [
      'images(object)',
      'secretsOf(object)',
      'volumeTypes(object)',
      "podSecurity(object, 'baseline')",
    ]) {
      assert.deepEqual(evaluate(list, object), [], list);
    }
    assert.equal(evaluate('serviceAccountOf(object)', object), '');
    assert.equal(evaluate('podSpec(object)', object), null);
  });
}

test('the default account, and the older name of the field', () => {
  const pod = (more: object) => ({ apiVersion: 'v1', kind: 'Pod', spec: { containers: [], ...more } });
  assert.equal(evaluate('serviceAccountOf(object)', pod({})), 'default');
  assert.equal(evaluate('serviceAccountOf(object)', pod({ serviceAccount: 'old' })), 'old');
  assert.equal(evaluate('serviceAccountOf(object)', pod({ serviceAccount: 'old', serviceAccountName: 'new' })), 'new');
});

test('a decoy beside the real template is an error, not a choice', () => {
  const decoy = { spec: { containers: [{ image: 'good' }], template } };
  assert.throws(() => evaluate('images(object)', decoy), /several Pod templates/);
});

test('a violation says where', () => {
  const pod = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    spec: { template: { spec: { containers: [{ securityContext: { privileged: true } }] } } },
  };
  assert.deepEqual(evaluate("podSecurity(object, 'baseline')[0]", pod), {
    id: 'privileged',
    path: 'spec.template.spec.containers[0].securityContext.privileged',
    message: 'the container is privileged',
  });
});

test('another level is an error', () => {
  assert.throws(() => evaluate("podSecurity(object, 'privileged')", WORKLOADS['Pod']), /'baseline' or 'restricted'/);
  assert.throws(() => evaluate("podSecurity(object, '__proto__')", WORKLOADS['Pod']), /'baseline' or 'restricted'/);
});

const MALFORMED: unknown[] = [
  { spec: 'x' },
  { spec: [] },
  {},
  { spec: { containers: 'x' } },
  { spec: { containers: [null] } },
  { spec: { containers: ['x'] } },
  { spec: { containers: [{ image: 7 }] } },
  { spec: { containers: { 0: { image: 'x' } } } },
  { spec: { containers: [], volumes: [{ image: 'x' }] } },
];
test('another type than a Pod has is an error, which && and || may absorb', () => {
  for (const malformed of MALFORMED) {
    const object = { apiVersion: 'v1', kind: 'Pod', ...(malformed as object) };
    assert.throws(
      () => evaluate('images(object).size() > 0', object),
      { name: 'CelRuntimeError' },
      JSON.stringify(object),
    );
    assert.equal(evaluate('images(object).size() > 0 || true', object), true);
  }
});

test('whatever the object: an answer or an error of CEL, never another', () => {
  const calls = [
    'podSpec(object) == null',
    'images(object)',
    'volumeTypes(object)',
    'secretsOf(object)',
    'serviceAccountOf(object)',
    "podSecurity(object, 'baseline')",
    "podSecurity(object, 'restricted')",
  ];
  const programs = calls.map((call) => compile(call, environment));
  const keys = fc.constantFrom(
    'apiVersion',
    'kind',
    'spec',
    'template',
    'containers',
    'volumes',
    'securityContext',
    'metadata',
    'annotations',
    'image',
    'capabilities',
    'add',
    'drop',
    '__proto__',
    'constructor',
    'ports',
    'hostNetwork',
    'env',
    'valueFrom',
  );
  const leaves = fc.constantFrom<unknown>(null, true, false, 0, 1, 'v1', 'Pod', 'apps/v1', 'Deployment', '', 'ALL');
  const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 7 },
      leaves,
      fc.dictionary(keys, tie('tree'), { maxKeys: 5 }),
      fc.array(tie('tree'), { maxLength: 3 }),
    ),
  }));
  fc.assert(
    fc.property(tree, fc.boolean(), (object, asPod) => {
      const value = asPod ? { apiVersion: 'v1', kind: 'Pod', spec: object } : object;
      for (const program of programs) {
        try {
          program.evaluate({ object: fromJson(value) }, new Budget());
        } catch (error) {
          assert.equal((error as Error).name, 'CelRuntimeError', String(error));
        }
      }
    }),
    { numRuns: 2000 },
  );
});

test('a huge Pod is bounded by the budget', () => {
  const containers = Array.from({ length: 200_000 }, () => ({ image: 'x' }));
  const object = { apiVersion: 'v1', kind: 'Pod', spec: { containers } };
  const started = performance.now();
  const budget = new Budget({ expressionMilliseconds: 5 });
  const program = compile("podSecurity(object, 'restricted').size() > 0", environment);
  assert.throws(() => program.evaluate({ object: fromJson(object) }, budget), { name: 'CelBudgetError' });
  assert.ok(performance.now() - started < 5000);
});
