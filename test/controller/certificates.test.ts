import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Agent, get } from 'node:https';
import { type AddressInfo, createServer } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { type Cluster, startCluster } from '../cluster/cluster.ts';
import { GatewayProcess } from '../gateway/gateway-process.ts';

const GROUP = 'certified-agents';
const POLICY = `
apiVersion: sallyport.dev/v1alpha1
kind: AgentPolicy
metadata: {name: certified}
spec:
  subjects: [{kind: Group, name: ${GROUP}}]
  rules: [{name: all, action: Allow, match: {verbs: ["*"], apiGroups: ["*"], resources: ["*"]}}]
`;

let cluster: Cluster;
let gateway: GatewayProcess;
/** One connection that stays open over every rotation. */
const kept = new Agent({ keepAlive: true, maxSockets: 1 });

const secret = async (name: string): Promise<Record<string, string>> => {
  const { stdout } = await cluster.kubectl(['get', 'secret', name, '-n', gateway.namespace, '-o', 'json']);
  const { data } = JSON.parse(stdout) as { data: Record<string, string> };
  return Object.fromEntries(
    Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64').toString('utf8')]),
  );
};

const version = (ca: string, agent: Agent | false): Promise<number> =>
  new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port: gateway.port, path: '/version', ca, agent }, (response) => {
      response.resume().once('end', () => resolve(response.statusCode!));
    }).once('error', reject);
  });

const write = (name: string) =>
  cluster.kubectl(['create', 'configmap', name, '-n', 'default', '--as=someone', `--as-group=${GROUP}`]);

before(async () => {
  cluster = await startCluster();
  const port = await new Promise<number>((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const bound = (server.address() as AddressInfo).port;
      server.close(() => resolve(bound));
    });
  });
  gateway = await GatewayProcess.start(cluster, {
    adjust: (configuration) => {
      const tls = { secretName: 'sallyport-tls' };
      configuration.listen.tls = tls;
      configuration.certificates = { ipAddresses: ['127.0.0.1'], publishedFor: '2s' };
      const webhook = { url: `https://127.0.0.1:${port}/admit` };
      configuration.admission = { address: '127.0.0.1', port, tls, webhook };
    },
  });
  const rbac = readFileSync(new URL('../../examples/rbac/admission.yaml', import.meta.url), 'utf8');
  await cluster.apply(rbac.replaceAll('sallyport-system', gateway.namespace));
  await cluster.apply(POLICY);
  await cluster.apply(`
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: certified}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: ${GROUP}}]
`);
  await gateway.logged(({ message }) => message === 'the policy webhook is in step with the policies', 30_000);
});

after(async () => {
  kept.destroy();
  await gateway?.stop();
  await cluster?.stop();
});

describe('the own authority, in a gateway that runs its controller itself', { timeout: 120_000 }, () => {
  it('was there before the gateway served, which serves by it', async () => {
    const { 'ca.crt': ca } = await secret('sallyport-tls');
    assert.equal(await version(ca!, false), 401);
    const other = await secret('sallyport-ca');
    assert.equal(other['tls.crt'], ca);
    const { stdout } = await cluster.kubectl([
      'get',
      'validatingwebhookconfiguration',
      'sallyport-policy',
      '-o',
      'jsonpath={.webhooks[0].clientConfig.caBundle}',
    ]);
    assert.equal(Buffer.from(stdout, 'base64').toString(), ca);
  });

  it('is replaced while it serves: no write of an agent is refused, no open connection ends', async () => {
    const before = await secret('sallyport-tls');
    assert.equal(await version(before['ca.crt']!, kept), 401);
    const [socket] = Object.values(kept.freeSockets).flat();
    let ended = false;
    socket!.once('close', () => {
      ended = true;
    });
    const deleted = await cluster.kubectl(['delete', 'secret', 'sallyport-ca', '-n', gateway.namespace]);
    assert.equal(deleted.code, 0, deleted.stderr);
    const end = Date.now() + 90_000;
    let count = 0;
    let now = before;
    const refused: string[] = [];
    // Until both servers have told of it: every write in between goes through the webhook.
    const serving = () => gateway.log.filter(({ message }) => message === 'a new certificate serves').length;
    while (serving() < 2) {
      assert.ok(Date.now() < end, JSON.stringify(gateway.log.slice(-10)));
      const { code, stderr } = await write(`during-${(count += 1)}`);
      if (code !== 0) refused.push(stderr);
    }
    for (let i = 0; i < 3; i++) {
      const { code, stderr } = await write(`after-${i}`);
      if (code !== 0) refused.push(stderr);
    }
    assert.deepEqual([...new Set(refused)], []);
    now = await secret('sallyport-tls');
    assert.notEqual(now['tls.crt'], before['tls.crt']);
    assert.equal(now['ca.crt']!.match(/BEGIN/g)!.length, 2, 'the old authority stays known');
    assert.equal(await version(before['ca.crt']!, kept), 401, 'the connection from before goes on');
    assert.equal(ended, false);
    assert.equal(await version(now['ca.crt']!, false), 401);
    const reviews = (await gateway.probe('/metrics')).body.match(/admission_reviews_total\{result="Allowed"\} (\d+)/);
    assert.ok(Number(reviews![1]) >= count, 'the writes were reviewed');
  });
});
