import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { stringify } from 'yaml';
import { type Cluster, startCluster } from '../cluster/cluster.ts';
import { CASES } from './cases.ts';
import { CHART, type Manifest, NAMESPACE, render } from './chart.ts';

const MANIFESTS = new URL('../../deploy/', import.meta.url).pathname;
/** Kinds of others, whose CustomResourceDefinitions are not here to be asked. */
const FOREIGN = /^(monitoring\.coreos\.com|gateway\.networking\.k8s\.io|cert-manager\.io)\//;

describe('the API server takes every manifest', () => {
  let cluster: Cluster;

  before(async () => {
    cluster = await startCluster();
    // Pods that the standard refuses would be told of as warnings.
    await apply(`
apiVersion: v1
kind: Namespace
metadata:
  name: ${NAMESPACE}
  labels: {pod-security.kubernetes.io/enforce: restricted, pod-security.kubernetes.io/warn: restricted}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: sallyport-check, namespace: ${NAMESPACE}}
`);
    const folder = join(CHART, 'crds');
    await apply(
      readdirSync(folder)
        .map((name) => readFileSync(join(folder, name), 'utf8'))
        .join('\n---\n'),
    );
    const kinds = readdirSync(folder).map((name) => `crd/${name.replace('.yaml', '')}.sallyport.dev`);
    const waited = await cluster.kubectl(['wait', '--for=condition=Established', ...kinds]);
    assert.equal(waited.code, 0, waited.stderr);
  });
  after(() => cluster?.stop());

  const apply = async (yaml: string): Promise<void> => {
    const { code, stderr } = await cluster.kubectl(['apply', '--server-side', '-f', '-'], { input: yaml });
    assert.equal(code, 0, stderr);
  };

  const dryRun = async (yaml: string): Promise<void> => {
    const { code, stderr } = await cluster.kubectl(
      ['apply', '--dry-run=server', '--server-side', '--validate=strict', '-f', '-'],
      { input: yaml },
    );
    assert.equal(code, 0, stderr);
    assert.doesNotMatch(stderr, /warning/i);
  };

  for (const [name, { values, kubernetes }] of Object.entries(CASES)) {
    it(`of the chart with the values "${name}", without a warning`, async () => {
      const manifests = await render(values, '--kube-version', kubernetes);
      const own = manifests.filter((one: Manifest) => !FOREIGN.test(one.apiVersion));
      assert.ok(own.length >= 10);
      await dryRun(own.map((one) => stringify(one)).join('---\n'));
    });
  }

  it('and would have warned of Pods that may do more', async () => {
    const manifests = await render({});
    const gateway = manifests.find((one) => one.kind === 'StatefulSet')!;
    delete gateway['spec'].template.spec.containers[0].securityContext;
    await assert.rejects(dryRun(stringify(gateway)), /would violate PodSecurity/);
  });

  for (const file of readdirSync(MANIFESTS).filter((name) => name.endsWith('.yaml'))) {
    it(`of deploy/${file}`, async () => {
      await dryRun(readFileSync(join(MANIFESTS, file), 'utf8'));
    });
  }
});
