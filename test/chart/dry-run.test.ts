import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { stringify } from 'yaml';
import { type Cluster, startCluster } from '../cluster/cluster.ts';
import { CASES } from './cases.ts';
import { CHART, type Manifest, NAMESPACE, render } from './chart.ts';

const MANIFESTS = new URL('../../deploy/', import.meta.url).pathname;
/** CustomResourceDefinitions of others, as they publish them. */
const FOREIGN_KINDS = new URL('foreign-kinds/', import.meta.url).pathname;
const FOREIGN = /^(monitoring\.coreos\.com|gateway\.networking\.k8s\.io|cert-manager\.io)\//;

describe('the API server takes every manifest', () => {
  let cluster: Cluster;
  /** Kinds of others that were among them. */
  const foreign = new Set<string>();

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
    const files = [join(CHART, 'crds'), FOREIGN_KINDS].flatMap((folder) =>
      readdirSync(folder)
        .filter((name) => name.endsWith('.yaml'))
        .map((name) => join(folder, name)),
    );
    await apply(files.map((file) => readFileSync(file, 'utf8')).join('\n---\n'));
    const waited = await cluster.kubectl(['wait', '--for=condition=Established', 'crd', '--all']);
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
      assert.ok(manifests.length >= 10);
      await dryRun(manifests.map((one) => stringify(one)).join('---\n'));
      for (const { apiVersion, kind } of manifests) if (FOREIGN.test(apiVersion)) foreign.add(kind);
    });
  }

  it('and among them one of each kind of others, whose schemas refuse what is none', async () => {
    assert.deepEqual([...foreign].sort(), ['Certificate', 'PrometheusRule', 'ServiceMonitor', 'TLSRoute']);
    const { values } = CASES['ingress-and-cert-manager']!;
    const manifests = await render(values);
    for (const kind of foreign) {
      const wrong = manifests.find((one: Manifest) => one.kind === kind)!;
      await assert.rejects(dryRun(stringify({ ...wrong, spec: { ...wrong['spec'], notThere: 1 } })), /notThere/, kind);
    }
  });

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
