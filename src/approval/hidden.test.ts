import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { HIDDEN, hideArguments, hideText, isSecretName } from './hidden-arguments.ts';
import { hideValues } from './hidden-object.ts';
import { objectDiff } from './object-diff.ts';

/** Made at run time: nothing that looks like a secret lies in the sources. */
const secret = (): string => `s3cr-${randomBytes(9).toString('hex')}`;

test('arguments: what follows an option for a secret is hidden, and nothing else', () => {
  const s = secret();
  const cases: [string[], string[]][] = [
    [
      ['mysql', '-p', s, 'shop'],
      ['mysql', '-p', HIDDEN, 'shop'],
    ],
    [
      ['mysql', `-p${s}`, 'shop'],
      ['mysql', `-p${HIDDEN}`, 'shop'],
    ],
    [
      ['x', '--password', s],
      ['x', '--password', HIDDEN],
    ],
    [
      ['x', `--password=${s}`],
      ['x', `--password=${HIDDEN}`],
    ],
    [
      ['x', `--db-password=${s}=${s}`],
      ['x', `--db-password=${HIDDEN}`],
    ],
    [
      ['x', '--token', s, '--token', s],
      ['x', '--token', HIDDEN, '--token', HIDDEN],
    ],
    [
      ['k', `--from-literal=key=${s}`],
      ['k', `--from-literal=key=${HIDDEN}`],
    ],
    [
      ['k', '--from-literal', `key=${s}`],
      ['k', '--from-literal', `key=${HIDDEN}`],
    ],
    [
      ['env', `PGPASSWORD=${s}`, 'psql'],
      ['env', `PGPASSWORD=${HIDDEN}`, 'psql'],
    ],
    [
      ['env', `PG_PASSWORD=${s}`, 'psql'],
      ['env', `PG_PASSWORD=${HIDDEN}`, 'psql'],
    ],
    [
      ['env', `API_KEY=${s}\n${s}`],
      ['env', `API_KEY=${HIDDEN}`],
    ],
    [
      ['curl', '-H', `Authorization: Bearer ${s}`],
      ['curl', '-H', `Authorization: ${HIDDEN}`],
    ],
    [
      ['curl', '-u', `me:${s}`],
      ['curl', '-u', `me:${HIDDEN}`],
    ],
    [
      ['psql', `postgres://me:${s}@db/shop`],
      ['psql', `postgres://me:${HIDDEN}@db/shop`],
    ],
    [
      ['sh', '-c', `mysql -p${s} --token ${s} && ls`],
      ['sh', '-c', `mysql -p${HIDDEN} --token ${HIDDEN} && ls`],
    ],
    [
      ['sh', '-c', `x --password='a ${s}' y`],
      ['sh', '-c', `x --password=${HIDDEN} y`],
    ],
    [
      ['sh', '-c', `TOKEN=${s} x`],
      ['sh', '-c', `TOKEN=${HIDDEN} x`],
    ],
    [
      ['sh', '-c', `curl -H "Authorization: Bearer ${s}" x`],
      ['sh', '-c', `curl -H "Authorization: Bearer ${HIDDEN}" x`],
    ],
  ];
  for (const [argv, shown] of cases) {
    assert.deepEqual(hideArguments(argv), shown);
    assert.ok(!JSON.stringify(hideArguments(argv)).includes(s), JSON.stringify(shown));
  }
  for (const argv of [
    ['nginx', '-s', 'reload'],
    ['psql', '-port', '5432'],
    ['sh', '-c', 'find . -path x -print'],
    ['find', '.', '-print0'],
    ['ls', '--tokens', 'x', '--passive', 'y', '-h', 'db'],
    ['rm', '-rf', '/', '--no-preserve-root'],
    ['sh', '-c', 'ls -la /tmp && cat /etc/passwd'],
    ['git', 'clone', 'https://example.com/a@b'],
    [],
  ]) {
    assert.deepEqual(hideArguments(argv), argv);
  }
});

test('names that say what they hold', () => {
  for (const name of [
    'password',
    'DB_PASSWORD',
    'dbPassword',
    'api-key',
    'apiKey',
    'auth.token',
    'tls.private_key',
    'TOKEN',
  ]) {
    assert.ok(isSecretName(name), name);
  }
  for (const name of ['', 'passenger', 'secretName', 'tokenize', 'config.yaml', 'keys', '__proto__']) {
    assert.equal(isSecretName(name), false, name);
  }
});

test('hiding does not hold up the gateway, whatever it is given', () => {
  const long = 40_000;
  for (const text of [
    'a'.repeat(long),
    'a-'.repeat(long / 2),
    ' --'.repeat(long / 3),
    'a://'.repeat(long / 4),
    'x-token'.repeat(long / 7),
    ' '.repeat(long),
    '-p '.repeat(long / 3),
    "--pw='".repeat(long / 6),
    `a://${':'.repeat(long)}`,
  ]) {
    const start = performance.now();
    hideArguments([text, text, `--password=${text}`, `Authorization${text}`]);
    hideText(text);
    isSecretName(text);
    assert.ok(performance.now() - start < 1500, `${text.slice(0, 10)}: ${performance.now() - start} ms`);
  }
});

test('objects: Secrets, environments, arguments and what is named like a secret', () => {
  const s = secret();
  const pod = {
    containers: [
      {
        name: 'a',
        env: [
          { name: 'X', value: s },
          { name: 'Y', valueFrom: { fieldRef: { fieldPath: 'x' } } },
        ],
        args: ['--token', s],
        command: ['run', `--password=${s}`],
      },
    ],
  };
  const annotations = { 'kubectl.kubernetes.io/last-applied-configuration': s, 'example.com/token': s, note: 'shown' };
  const objects = [
    {
      kind: 'Secret',
      metadata: { name: 'n', managedFields: [s] },
      data: { a: s },
      stringData: { b: s },
      type: 'Opaque',
    },
    { kind: 'List', items: [{ kind: 'Secret', data: { a: s } }] },
    { kind: 'Secret', data: s },
    { kind: 'Pod', metadata: { annotations }, spec: pod },
    { kind: 'CronJob', spec: { jobTemplate: { spec: { template: { spec: pod } } } } },
    { kind: 'ConfigMap', data: { 'db.password': s, shown: 'shown' } },
    { kind: 'Thing', spec: { env: [s] } },
  ];
  for (const object of objects) {
    const before = structuredClone(object);
    assert.ok(!JSON.stringify(hideValues(object)).includes(s), JSON.stringify(hideValues(object)));
    assert.ok(!objectDiff(object, { kind: 'Other' }).text.includes(s));
    assert.ok(!objectDiff({ kind: 'Other' }, object).text.includes(s));
    assert.deepEqual(object, before, 'the object itself is not touched');
  }
  const shown = JSON.stringify(hideValues(objects[3]));
  assert.match(shown, /"note":"shown"/);
  assert.match(shown, /"name":"Y","valueFrom"/);
  assert.match(JSON.stringify(hideValues(objects[5])), /"shown":"shown"/);
  const hostile = JSON.parse('{"kind":"Secret","data":{"__proto__":"x"},"__proto__":{"data":"y"}}');
  assert.equal(Object.getPrototypeOf(hideValues(hostile)), Object.prototype);
  let deep: unknown = 'x';
  for (let i = 0; i < 5_000; i++) deep = { deep };
  assert.match(JSON.stringify(hideValues(deep)), /too deep to show/);
});

test('a hidden value still tells that it changes, and nothing more', () => {
  const [one, other] = [secret(), secret()];
  const object = (password: string, port: string) => ({
    kind: 'Pod',
    spec: {
      containers: [
        {
          name: 'a',
          env: [
            { name: 'PORT', value: port },
            { name: 'PW', value: password },
          ],
        },
      ],
    },
  });
  const { text } = objectDiff(object(one, '1'), object(other, '1'));
  assert.match(text, /^-.*value: <hidden>$/m);
  assert.match(text, /^\+.*value: <hidden, changed>$/m);
  assert.equal(text.match(/changed/g)?.length, 1);
  assert.ok(!text.includes(one) && !text.includes(other));
  assert.equal(objectDiff(object(one, '1'), object(one, '1')).text, '');
  const first = {
    kind: 'Pod',
    spec: {
      containers: [
        {
          env: [
            { name: 'NEW', value: 'x' },
            { name: 'PW', value: one },
          ],
        },
      ],
    },
  };
  const second = { kind: 'Pod', spec: { containers: [{ env: [{ name: 'PW', value: one }] }] } };
  assert.doesNotMatch(objectDiff(second, first).text, /changed/, 'compared by name, not by place');
});
