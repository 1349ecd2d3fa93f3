import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { helm3 } from '../cluster/binaries.ts';
import { type Cluster, type CommandResult, startCluster } from '../cluster/cluster.ts';
import { CASES } from './cases.ts';
import { CHART, type Manifest, manifestsIn, NAMESPACE, render, runHelm, valuesFile } from './chart.ts';

const byName = (manifests: readonly Manifest[]): Map<string, Manifest> =>
  new Map(
    manifests.map((one) => [`${one.apiVersion} ${one.kind} ${one.metadata.namespace ?? ''}/${one.metadata.name}`, one]),
  );

/** Helm 3 renders and installs the same as Helm 4, which all other tests use. */
describe('Helm 3', { timeout: 300_000 }, () => {
  let program: string | undefined;
  let missing = '';
  let cluster: Cluster;

  before(async () => {
    program = await helm3().catch((error: Error) => {
      if (!error.message.includes('is not to be had here')) throw error;
      missing = error.message.split('\n', 2).join(' ');
      return undefined;
    });
    if (program !== undefined) cluster = await startCluster();
  });
  after(() => cluster?.stop());

  const helm = async (...args: string[]): Promise<CommandResult> => await runHelm(args, {}, 60_000, program);
  const on = (what: string, tried: () => Promise<void>): void => {
    it(what, async (t) => {
      if (program === undefined) return t.skip(missing);
      await tried();
    });
  };

  on('it is Helm 3', async () => assert.match((await helm('version', '--short')).stdout, /^v3\./));

  for (const [name, { values, kubernetes }] of Object.entries(CASES)) {
    on(`lints the chart with the values "${name}", and makes of them what Helm 4 makes`, async () => {
      const file = valuesFile(values);
      const linted = await helm('lint', CHART, '--strict', '--values', file, '--kube-version', kubernetes);
      assert.equal(linted.code, 0, linted.stdout);
      const flags = ['--namespace', NAMESPACE, '--values', file, '--kube-version', kubernetes];
      const { code, stdout, stderr } = await helm('template', 'sallyport', CHART, ...flags);
      assert.equal(code, 0, stderr);
      const [three, four] = [byName(manifestsIn(stdout)), byName(await render(values, '--kube-version', kubernetes))];
      assert.deepEqual([...three.keys()].sort(), [...four.keys()].sort());
      for (const [key, manifest] of three) assert.deepEqual(manifest, four.get(key), key);
    });
  }

  on('refuses an unknown key, by its name', async () => {
    const { code, stderr } = await helm('template', 'sallyport', CHART, '--set', 'config.limits.bust=1');
    assert.notEqual(code, 0);
    assert.match(stderr, /bust/);
  });

  on('installs on an API server, upgrades, rolls back and uninstalls', async () => {
    const release = ['--namespace', NAMESPACE, '--kubeconfig', cluster.adminKubeconfig, '--no-hooks'];
    const passes = async (...args: string[]): Promise<string> => {
      const { code, stdout, stderr } = await helm(...args, ...release);
      assert.equal(code, 0, stderr);
      return stdout;
    };
    assert.match(await passes('install', 'sallyport', CHART, '--create-namespace'), /STATUS: deployed/);
    const replicas = async (): Promise<number> => {
      const path = `/apis/apps/v1/namespaces/${NAMESPACE}/statefulsets/sallyport-gateway`;
      return (await cluster.admin('GET', path)).json().spec.replicas;
    };
    assert.equal(await replicas(), 2);
    await passes('upgrade', 'sallyport', CHART, '--set', 'gateway.replicas=3');
    assert.equal(await replicas(), 3);
    await passes('rollback', 'sallyport', '1');
    assert.equal(await replicas(), 2);
    assert.match(await passes('uninstall', 'sallyport'), /uninstalled/);
    const kinds = (await cluster.admin('GET', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions')).json();
    assert.ok(kinds.items.length >= 6, 'kinds stay with their objects');
  });
});
