import assert from 'node:assert/strict';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { type Cluster, startCluster } from '../cluster/cluster.ts';
import { ApiServerProcess } from '../kubernetes/api-server-process.ts';
import { runGateway } from './gateway-process.ts';
import { type Answer, Scene } from './scene.ts';
import { Watcher } from './watcher.ts';

/** An API server of the test's own: without the kinds at first, killed and started again later. */
describe('an API server that is not as it should be', { timeout: 150_000 }, () => {
  let cluster: Cluster;
  let scene: Scene | undefined;
  let directory: string;
  let server: ApiServerProcess | undefined;

  before(async () => {
    cluster = await startCluster();
    directory = mkdtempSync(join(tmpdir(), 'sallyport-restart-'));
  });
  after(async () => {
    await scene?.close();
    await server?.kill();
    await cluster?.stop();
    await rm(directory, { recursive: true, force: true });
  });

  it('without the CustomResourceDefinitions the gateway does not start, and says what to apply', async () => {
    const kubeconfig = await cluster.kubeconfig({ token: await cluster.serviceAccountToken('default', 'gateway') });
    const file = join(directory, 'gateway.yaml');
    const configuration = {
      listen: { address: '127.0.0.1', port: 0, tls: { certFile: '/nowhere', keyFile: '/nowhere' } },
      probes: { address: '127.0.0.1', port: 0 },
      upstream: { kubeconfig },
      identity: {},
    };
    writeFileSync(file, stringify(configuration));
    const result = await runGateway(file);
    assert.equal(result.code, 1, result.stderr);
    assert.match(result.stderr, /^the gateway cannot start: the API server does not serve agentpolicies/);
    assert.match(result.stderr, /kubectl apply -f crds\//);
  });

  it('killed in the middle of requests and watches: clean errors, then everyone is served again', async () => {
    scene = await Scene.open('restart', {
      cluster,
      configuration: { limits: { requestsPerSecond: 1_000, burst: 1_000 } },
    });
    const { gateway } = scene;
    const base = `/api/v1/namespaces/${scene.namespace}/configmaps`;
    server = new ApiServerProcess(cluster);
    await cluster.admin('POST', base, { metadata: { name: 'old' } });
    const { resourceVersion } = (await cluster.admin('GET', base)).json().metadata;
    for (let index = 0; index < 5; index++) await cluster.admin('POST', base, { metadata: { name: `later-${index}` } });
    const watcher = new Watcher(scene, `${base}?watch=true`);
    await watcher.until('its head', ({ status }) => status === 200);

    const answers: (Answer | Error)[] = [];
    let asking = true;
    const clients = Array.from({ length: 5 }, async () => {
      while (asking) {
        answers.push(await scene!.ask(base).catch((error: Error) => error));
        await sleep(20);
      }
    });
    await sleep(300);
    await server.kill();
    await watcher.until('its end', ({ ended }) => ended);
    await sleep(500);
    assert.equal((await gateway.probe('/livez')).status, 200);
    await server.start();
    const deadline = Date.now() + 15_000;
    while (((await scene.ask(base)).status as number) !== 200) {
      assert.ok(Date.now() < deadline, 'not served again');
      await sleep(50);
    }
    asking = false;
    await Promise.all(clients);

    const broken = answers.filter((answer) => answer instanceof Error) as Error[];
    assert.ok(broken.length <= 5, `${broken.length} connections were broken: ${broken[0]}`);
    const refused = (answers.filter((answer) => !(answer instanceof Error)) as Answer[]).filter(
      ({ status }) => status !== 200,
    );
    assert.ok(refused.length > 0, 'nobody has noticed');
    for (const { status, body } of refused) {
      // 403, 429 and 500 are a starting API server's own.
      assert.ok([502, 503, 403, 429, 500].includes(status), `${status}: ${body}`);
      assert.match(body, /"kind":"Status"/);
    }
    assert.ok(refused.some(({ body }) => /SP_UPSTREAM_UNREACHABLE/.test(body)));

    const again = new Watcher(scene, `${base}?watch=true`);
    await again.until('the objects', () => again.sees('old'));
    again.close();
    // Its watch cache begins anew, later than this.
    const tooOld = new Watcher(scene, `${base}?watch=true&resourceVersion=${resourceVersion}`);
    await tooOld.until(
      '410',
      ({ status, events }) => status === 410 || events.some(({ object }) => object.code === 410),
    );
    tooOld.close();
    watcher.close();

    // Its own watches are back too: a change of policy acts.
    await scene.policy(`
    - name: nothing
      action: Deny
      match: {verbs: ["*"], apiGroups: ["*"], resources: ["*"]}`);
    const until = Date.now() + 5_000;
    while ((await scene.ask(base)).status !== 403) {
      assert.ok(Date.now() < until, 'a change of policy does not act any more');
      await sleep(25);
    }
    assert.equal(gateway.stderr, '');
  });
});
