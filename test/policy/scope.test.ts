import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { resourceScope } from '../../src/policy/scope.ts';
import { type Cluster, startCluster } from '../cluster/cluster.ts';

interface Resource {
  name: string;
  namespaced: boolean;
}

let cluster: Cluster;
before(async () => {
  // Every version of every group, alpha ones too, so that none is cluster-scoped behind our back.
  cluster = await startCluster({ apiServerFlags: ['--runtime-config=api/all=true'] });
});
after(async () => {
  await cluster?.stop();
});

async function resources(path: string): Promise<Resource[]> {
  const list = (await cluster.admin('GET', path)).json() as { resources: Resource[] };
  return list.resources.filter(({ name }) => !name.includes('/'));
}

test('the scope of every resource that kube-apiserver serves is known, and right', async () => {
  const groups = (await cluster.admin('GET', '/apis')).json() as {
    groups: { name: string; versions: { groupVersion: string }[] }[];
  };
  const paths = groups.groups.flatMap(({ name, versions }) =>
    versions.map(({ groupVersion }) => ({ group: name, path: `/apis/${groupVersion}` })),
  );
  let checked = 0;
  for (const { group, path } of [{ group: '', path: '/api/v1' }, ...paths]) {
    for (const { name, namespaced } of await resources(path)) {
      assert.equal(resourceScope(group, name), namespaced ? 'Namespaced' : 'Cluster', `${name}.${group}`);
      checked++;
    }
  }
  assert.ok(checked > 60, `only ${checked}`);
});

test('of a group that kube-apiserver does not serve either is possible', () => {
  assert.equal(resourceScope('example.com', 'nodes'), 'Either');
});
