import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { SecondLeg } from '../admission/second-leg.ts';
import { type Cluster, startCluster } from '../cluster/cluster.ts';
import { GatewayProcess } from '../gateway/gateway-process.ts';
import { ApiServerProcess } from '../kubernetes/api-server-process.ts';
import { ControllerProcess } from './controller-process.ts';

interface Ready {
  readonly status: number;
  readonly body: string;
}

async function readyz({ probePort }: { probePort: number }): Promise<Ready> {
  const answer = await fetch(`http://127.0.0.1:${probePort}/readyz?verbose`);
  return { status: answer.status, body: await answer.text() };
}

async function until(of: { probePort: number }, fits: (ready: Ready) => boolean): Promise<Ready> {
  for (const end = Date.now() + 30_000; ; await sleep(50)) {
    const ready = await readyz(of);
    if (fits(ready)) return ready;
    assert.ok(Date.now() < end, `${ready.status} ${ready.body}`);
  }
}

describe('whether controllers are ready, and why not', { timeout: 180_000 }, () => {
  let cluster: Cluster;
  let gateway: GatewayProcess;
  let server: ApiServerProcess | undefined;
  const controllers: ControllerProcess[] = [];

  before(async () => {
    cluster = await startCluster();
    gateway = await GatewayProcess.start(cluster);
    await ControllerProcess.account(cluster);
    for (const _ of [1, 2])
      controllers.push(await ControllerProcess.start(cluster, { configuration: { policy: { staleAfter: '10s' } } }));
  });
  after(async () => {
    for (const controller of controllers) await controller.remove();
    await gateway?.stop();
    // Started anew it is this test's own, and nobody else ends it.
    await server?.kill();
    await cluster?.stop();
  });

  it('one leads and one does not: both are ready, and each says which', async () => {
    const said = await Promise.all(
      controllers.map((each) =>
        until(each, ({ status, body }) => status === 200 && /lease ok: \S/.test(body) && !body.includes('nobody')),
      ),
    );
    const bodies = said
      .map(({ body }) => body)
      .sort((a, b) => (a.includes('this replica leads') ? -1 : b.includes('this replica leads') ? 1 : 0));
    assert.equal(bodies[0], '[+]lease ok: this replica leads\n[+]watches ok\ncheck passed\n');
    assert.match(
      bodies[1]!,
      /^\[\+\]lease ok: \S+_[0-9a-f]{12} leads\n\[\+\]watches ok: this replica does not lead, and watches nothing\ncheck passed\n$/,
    );
  });

  it('an API server that does not answer: not ready, with the reason, and ready again by itself', async () => {
    server = new ApiServerProcess(cluster);
    await server.kill();
    try {
      for (const each of controllers) {
        const { body } = await until(each, ({ status }) => status === 503);
        assert.match(
          body,
          /\[-\]lease failed: the API server gave no answer about the Lease sallyport-controller for \d+ s\n/,
        );
      }
    } finally {
      await server.start();
    }
    for (const each of controllers) await until(each, ({ status }) => status === 200);
  });
});

it('a gateway says how its webhook, its certificate and its controller are', { timeout: 120_000 }, async () => {
  const leg = await SecondLeg.open(
    'readiness',
    '\n    - {name: look, action: Allow, match: {verbs: [get], apiGroups: [""], resources: [namespaces]}}',
    { leaseDuration: '4s' },
  );
  try {
    const { status, body } = await leg.scene.gateway.probe('/readyz?verbose');
    assert.equal(status, 200);
    for (const name of ['policies', 'masking', 'columns', 'sessions', 'approvals', 'issuers', 'stopping']) {
      assert.match(body, new RegExp(`^\\[\\+\\]${name} ok$`, 'm'));
    }
    for (const name of ['admission', 'certificate']) {
      assert.match(body, new RegExp(`^\\[\\+\\]${name} ok: good until 20\\d\\d-`, 'm'));
    }
    assert.match(body, /^\[\+\]controller ok: this replica leads; what it watches is fresh$/m);
  } finally {
    await leg.close();
  }
});
