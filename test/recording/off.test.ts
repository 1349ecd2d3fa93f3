import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { stringify } from 'yaml';
import { gateway as schema } from '../../src/config/gateway.ts';
import { GatewayProcess, runGateway } from '../gateway/gateway-process.ts';
import { POLICY_ALL, Scene } from '../gateway/scene.ts';

const TLS = { certFile: 'tls.crt', keyFile: 'tls.key' };

describe('recording that nobody asked for, and that somebody turned off', () => {
  let scene: Scene;
  const post = (name: string) =>
    scene.ask(`/api/v1/namespaces/${scene.namespace}/configmaps`, {
      method: 'POST',
      headers: ['Content-Type', 'application/json'],
      body: JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name } }),
    });

  before(async () => {
    scene = await Scene.open('unrecorded');
  });
  after(() => scene?.close());

  it('a configuration that does not speak of it records', () => {
    const { recording } = schema.parse({ listen: { tls: TLS }, identity: { tokenReview: { audience: 'sallyport' } } });
    assert.equal(recording.enabled, true);
    assert.equal(recording.spool.folder, '/var/lib/sallyport/spool');
    assert.equal(recording.durability, 'Process');
  });

  it('a spool that cannot be written ends the start with its key and a way out', async () => {
    const { cluster, gateway } = scene;
    const file = join(gateway.directory, 'a-file');
    writeFileSync(file, '');
    const other = await GatewayProcess.start(cluster, {
      replicaOf: gateway,
      recording: true,
      adjust: (configuration) => Object.assign(configuration.recording.spool, { folder: join(file, 'spool') }),
    }).catch((error: Error) => error);
    assert.ok(other instanceof Error);
    assert.match(other.message, /recording\.spool\.folder: .*ENOTDIR.*recording\.enabled: false/s);
  });

  it('turned off: the log and a metric say so, and what no policy demands passes', async () => {
    await scene.gateway.logged(({ message }) => String(message).includes('nothing is recorded: recording.enabled'));
    assert.match((await scene.gateway.probe('/metrics')).body, /^sallyport_recording_enabled 0$/m);
    assert.equal((await post('passes')).status, 201);
    const { code } = await runGateway(join(scene.gateway.directory, 'gateway.yaml'), '--check');
    assert.equal(code, 0);
  });

  it('turned off: what a policy demands a record of is refused, reads and writes, and nothing is forwarded', async () => {
    await scene.cluster.apply(
      stringify({
        apiVersion: 'sallyport.dev/v1alpha1',
        kind: 'AgentPolicy',
        metadata: { name: `${scene.namespace}-strict` },
        spec: {
          subjects: [{ kind: 'Group', name: scene.group }],
          recording: { level: 'Metadata', mode: 'Strict' },
          rules: [
            { name: 'nothing', action: 'Allow', match: { verbs: ['get'], apiGroups: [''], resources: ['pods'] } },
          ],
        },
      }),
    );
    const list = `/api/v1/namespaces/${scene.namespace}/configmaps`;
    let answer = await scene.ask(list);
    for (let tries = 0; answer.status === 200 && tries < 200; tries += 1) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      answer = await scene.ask(list);
    }
    assert.equal(answer.status, 503);
    assert.match(answer.json().message, /^SP_RECORDING_UNAVAILABLE.*recording\.mode: Strict.*records nothing/);
    assert.equal((await post('refused')).status, 503);
    const { code } = await scene.cluster.kubectl(['get', '-n', scene.namespace, 'configmap', 'refused']);
    assert.notEqual(code, 0, 'it was not carried out');
    assert.equal((await scene.ask('/version')).status, 200, 'what is free stays free');
    await scene.policy(`${POLICY_ALL}`);
  });
});
