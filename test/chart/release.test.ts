import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { runRelease } from '../../src/cli/release-command.ts';
import { type Cluster, startCluster } from '../cluster/cluster.ts';
import { CHART } from './chart.ts';

const CONFIGURATIONS = '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations';
const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';

describe('sallyport release, which the chart’s hooks run', () => {
  let cluster: Cluster;
  let folder: string;

  before(async () => {
    // Its own: what is removed here others need.
    cluster = await startCluster();
    folder = mkdtempSync(join(tmpdir(), 'sallyport-release-'));
  });
  after(async () => {
    rmSync(folder, { recursive: true, force: true });
    await cluster?.stop();
  });

  async function release(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
    let stdout = '';
    let stderr = '';
    const io = { stdout: (text: string) => (stdout += text), stderr: (text: string) => (stderr += text), env: {} };
    const code = await runRelease([...args, '--kubeconfig', cluster.adminKubeconfig], io);
    return { code, stdout, stderr };
  }

  it('kinds: makes what is not there, changes what is, and waits until it is served', async () => {
    const first = await release('kinds', join(CHART, 'crds'));
    assert.equal(first.code, 0, first.stderr);
    assert.match(first.stdout, /ok: agentpolicies\.sallyport\.dev is served/);
    const merge = 'application/merge-patch+json';
    const changed = { spec: { names: { shortNames: ['old'] } } };
    await cluster.admin('PATCH', `${CRDS}/agentpolicies.sallyport.dev`, changed, merge);
    assert.equal((await release('kinds', join(CHART, 'crds'))).code, 0);
    const { spec } = (await cluster.admin('GET', `${CRDS}/agentpolicies.sallyport.dev`)).json();
    assert.ok(!spec.names.shortNames?.includes('old'), 'what an older version had is gone');
  });

  it('kinds: takes nothing but kinds of sallyport.dev, and says at once what the API server will never have', async () => {
    assert.match((await release('kinds', folder)).stderr, /no \*\.yaml in it/);
    writeFileSync(join(folder, 'a.yaml'), 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n');
    assert.match((await release('kinds', folder)).stderr, /a\.yaml: not a CustomResourceDefinition of sallyport\.dev/);
    const wrong = {
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: 'wrong.sallyport.dev' },
      spec: { group: 'sallyport.dev', scope: 'Somewhere', names: { plural: 'wrong', kind: 'Wrong' }, versions: [] },
    };
    writeFileSync(join(folder, 'a.yaml'), JSON.stringify(wrong));
    const started = performance.now();
    const { code, stderr } = await release('kinds', folder);
    assert.equal(code, 1);
    assert.match(stderr, /wrong\.sallyport\.dev.*(invalid|Unsupported)/i);
    assert.ok(performance.now() - started < 30_000);
  });

  it('check: says what does not answer when its time is up', async () => {
    const { code, stderr } = await release('check', '--timeout', '2s', '--namespace', 'nowhere');
    assert.equal(code, 1);
    assert.match(stderr, /sallyport-gateway.*not ?found/i);
  });

  it('end: removes the webhooks’ configurations and no other, and is content where there is nothing', async () => {
    const of = (name: string) => ({
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'ValidatingWebhookConfiguration',
      metadata: { name },
    });
    for (const name of ['sallyport-policy', 'somebody-else'])
      assert.equal((await cluster.admin('POST', CONFIGURATIONS, of(name))).status, 201);
    const { code, stdout, stderr } = await release('end');
    assert.equal(code, 0, stderr);
    assert.match(stdout, /ok: nobody leads/);
    assert.equal((await cluster.admin('GET', `${CONFIGURATIONS}/sallyport-policy`)).status, 404);
    assert.equal((await cluster.admin('GET', `${CONFIGURATIONS}/somebody-else`)).status, 200);
    assert.equal((await release('end')).code, 0);
  });

  it('end: waits for who leads, until the Lease has run out', async () => {
    await cluster.admin('POST', '/api/v1/namespaces', { metadata: { name: 'sallyport-system' } });
    const spec = {
      holderIdentity: 'a-pod_1',
      leaseDurationSeconds: 3,
      renewTime: new Date().toISOString().replace('Z', '000Z'),
    };
    const leases = '/apis/coordination.k8s.io/v1/namespaces/sallyport-system/leases';
    const made = await cluster.admin('POST', leases, { metadata: { name: 'sallyport-controller' }, spec });
    assert.equal(made.status, 201, made.body);
    const { code, stdout } = await release('end');
    assert.equal(code, 0);
    assert.match(stdout, /not yet: nobody leads: a-pod_1 does\nok: nobody leads/);
  });

  it('sweep: removes what was made at run time; the key of recordings stays', async () => {
    const secrets = '/api/v1/namespaces/sallyport-system/secrets';
    const names = [
      'sallyport-ca',
      'sallyport-tls',
      'sallyport-session-keys',
      'sallyport-installation',
      'sallyport-recording-keys',
    ];
    for (const name of names) await cluster.admin('POST', secrets, { metadata: { name } });
    assert.equal((await release('sweep', '--certificate', 'sallyport-tls')).code, 0);
    const left = (await cluster.admin('GET', secrets)).json().items as { metadata: { name: string } }[];
    assert.deepEqual(
      left.map(({ metadata }) => metadata.name),
      ['sallyport-recording-keys'],
    );
    const leases = '/apis/coordination.k8s.io/v1/namespaces/sallyport-system/leases/sallyport-controller';
    assert.equal((await cluster.admin('GET', leases)).status, 404);
  });

  it('is told what it cannot be', async () => {
    assert.equal((await release('start')).code, 2);
    assert.equal((await release('kinds')).code, 2);
    assert.equal((await release('check', '--timeout', 'soon')).code, 2);
  });
});
