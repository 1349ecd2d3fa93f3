import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { stringify } from 'yaml';
import { findNeighbours, kubeconfigFiles } from './kubeconfig-neighbours.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-neighbours-'));
after(() => rmSync(folder, { recursive: true, force: true }));
let count = 0;

function file(content: unknown): string {
  const path = join(folder, `${++count}.yaml`);
  writeFileSync(path, typeof content === 'string' ? content : stringify(content));
  return path;
}

const GATEWAY = 'https://gate.example:8443';

function config(user: object, server = 'https://api.example:6443') {
  return {
    kind: 'Config',
    clusters: [{ name: 'c', cluster: { server } }],
    users: [{ name: 'u', user }],
    contexts: [{ name: 'admin', context: { cluster: 'c', user: 'u' } }],
  };
}

test('every kind of credential for another server is found', () => {
  for (const user of [
    { 'client-certificate': 'x.crt' },
    { 'client-certificate-data': 'eA==' },
    { token: 'x' },
    { tokenFile: '/x' },
    { exec: { command: 'aws' } },
    { 'auth-provider': { name: 'gcp' } },
    { username: 'admin', password: 'x' },
  ]) {
    const found = findNeighbours([file(config(user))], GATEWAY);
    assert.deepEqual(
      found.map(({ context, server }) => [context, server]),
      [['admin', 'https://api.example:6443']],
      JSON.stringify(user),
    );
  }
});

test('the gateway itself, empty users, broken and absent files are none', () => {
  const none = [
    file(config({ token: 'x' }, GATEWAY)),
    file(config({ token: 'x' }, `${GATEWAY}/`)),
    file(config({})),
    file(config({ token: '' })),
    file('{{{'),
    file('- a'),
    file({ contexts: 'x', users: [null, 1], clusters: {} }),
    join(folder, 'absent'),
  ];
  assert.deepEqual(findNeighbours(none, GATEWAY), []);
});

test('a context of one file with the user of another, as kubectl merges them', () => {
  const { users, clusters, contexts } = config({ token: 'x' });
  const found = findNeighbours([file({ contexts }), file({ users }), file({ clusters })], GATEWAY);
  assert.equal(found.length, 1);
});

test('the files that kubectl reads', () => {
  assert.deepEqual(kubeconfigFiles({ HOME: '/h' }), ['/h/.kube/config']);
  assert.deepEqual(kubeconfigFiles({ HOME: '/h', KUBECONFIG: '/a::/b:/a' }), ['/a', '/b', '/h/.kube/config']);
});
