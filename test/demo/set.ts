import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { CertificateAuthority } from '../cluster/certificates.ts';
import { type Cluster, startCluster } from '../cluster/cluster.ts';
import { CLIENT_ID, IdentityProvider } from './identity-provider.ts';
import type { Stage } from './stage.ts';

const ROOT = new URL('../..', import.meta.url).pathname;
export const SALLYPORT = join(ROOT, 'bin/sallyport');
const NAMESPACE = 'sallyport-system';

/** Everything that the story is played on; all of it real. */
export interface StorySet {
  readonly directory: string;
  readonly cluster: Cluster;
  readonly provider: IdentityProvider;
  readonly gatewayURL: string;
  readonly gatewayCA: string;
  readonly gatewayLog: string;
  /** Bob's own, straight to the API server: he leads the shop, and decides. */
  readonly approverKubeconfig: string;
  strike(): Promise<void>;
}

const SHOP = `
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {team: shop}}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec:
  containers: [{name: web, image: registry.shop.example/web:2.14.0}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: web, namespace: shop}
data: {greeting: hello}
---
apiVersion: v1
kind: Secret
metadata: {name: payments, namespace: shop}
stringData: {note: "only a demonstration"}
---
# What stands behind the gate is RBAC, as ever: names that only the gateway can assert.
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: ai-agents, namespace: shop}
rules:
  - {apiGroups: ["", apps, batch], resources: ["*"], verbs: ["*"]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: ai-agents, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: ai-agents}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "sallyport:ai-agents"}]
`;

/** Builds the set: API server, identity provider, policies, gateway. */
export async function buildSet(stage: Stage): Promise<StorySet> {
  const directory = await mkdtemp(join(tmpdir(), 'sallyport-demo-'));
  const cluster = await stage.wait('a real etcd and kube-apiserver', startCluster());
  const undo: (() => Promise<unknown>)[] = [
    () => rm(directory, { recursive: true, force: true }),
    () => cluster.stop(),
  ];
  const strike = async (): Promise<void> => {
    for (const step of undo.reverse()) await step();
  };
  try {
    const provider = await quietly(() =>
      IdentityProvider.start({
        alice: { email: 'alice@shop.example', groups: ['developers'] },
        bob: { email: 'bob@shop.example', groups: ['operators'] },
      }),
    );
    undo.push(() => provider.stop());
    await stage.wait('the kinds, the shop and its policy', install(cluster));
    const gateway = await stage.wait('the gateway', startGateway(cluster, provider, directory));
    undo.push(() => end(gateway.process));
    const client = await cluster.clientCertificate({ user: 'bob@shop.example', groups: ['shop-leads'] });
    const approverKubeconfig = await cluster.kubeconfig({ client, namespace: 'shop' });
    return { directory, cluster, provider, ...gateway, approverKubeconfig, strike };
  } catch (error) {
    await strike();
    throw error;
  }
}

async function install(cluster: Cluster): Promise<void> {
  // All of it, the guard too, as the README does.
  const folder = join(ROOT, 'crds');
  const applied = await cluster.kubectl(['apply', '-f', folder]);
  if (applied.code !== 0) throw new Error(applied.stderr);
  const crds = readdirSync(folder).filter((file) =>
    /^kind: CustomResourceDefinition$/m.test(readFileSync(join(folder, file), 'utf8')),
  );
  const established = await cluster.kubectl([
    'wait',
    '--for=condition=Established',
    ...crds.map((file) => `crd/${file.replace('.yaml', '')}.sallyport.dev`),
  ]);
  if (established.code !== 0) throw new Error(established.stderr);
  await cluster.apply(readFileSync(join(ROOT, 'examples/rbac/gateway.yaml'), 'utf8'));
  await cluster.apply(SHOP);
  await cluster.apply(readFileSync(join(ROOT, 'examples/rbac/approver.yaml'), 'utf8'));
  // On the stage nobody waits for half a minute.
  const policy = readFileSync(join(ROOT, 'examples/policies/cursor-in-production.yaml'), 'utf8');
  await cluster.apply(policy.replace('waitTimeout: 30s', 'waitTimeout: 1s'));
}

async function startGateway(cluster: Cluster, provider: IdentityProvider, directory: string) {
  const authority = await CertificateAuthority.create('Sallyport demonstration');
  const serving = await authority.server('gateway', ['127.0.0.1', 'localhost']);
  const file = (name: string, content: string, mode = 0o644): string => {
    const path = join(directory, name);
    writeFileSync(path, content, { mode });
    return path;
  };
  await mkdir(join(directory, 'home'), { mode: 0o700 });
  const gatewayCA = file('gateway-ca.crt', authority.certPem);
  const token = await cluster.serviceAccountToken(NAMESPACE, 'sallyport-gateway', { seconds: 86_400 });
  const configuration = {
    listen: {
      address: '127.0.0.1',
      port: 0,
      tls: { certFile: file('tls.crt', serving.certPem), keyFile: file('tls.key', serving.keyPem, 0o600) },
    },
    probes: { address: '127.0.0.1', port: 0 },
    upstream: { kubeconfig: await cluster.kubeconfig({ token }), namespace: NAMESPACE },
    identity: {
      oidc: [
        {
          issuer: provider.url,
          insecureLoopbackHTTP: true,
          audiences: [CLIENT_ID],
          claimMappings: { username: { claim: 'email' }, groups: { claim: 'groups' } },
        },
      ],
      sessions: {
        agents: [{ name: 'cursor', groups: ['ai-agents'] }],
        signIn: [{ issuer: provider.url, clientID: CLIENT_ID }],
      },
    },
    recording: {
      storage: { filesystem: { path: join(directory, 'recordings') } },
      spool: { folder: join(directory, 'spool'), minFreeBytes: 0 },
    },
    shutdown: { readyDelay: '0s', streamDeadline: '1s' },
  };
  const path = file('gateway.yaml', stringify(configuration));
  const gatewayLog = join(directory, 'gateway.log');
  const process = spawn(SALLYPORT, ['gateway', '--config', path], { stdio: ['ignore', 'pipe', 'pipe'] });
  const port = await announcedPort(process, gatewayLog);
  return { process, gatewayURL: `https://127.0.0.1:${port}`, gatewayCA, gatewayLog };
}

/** Resolves with the port once the gateway says that it serves; everything it says goes to the log file. */
function announcedPort(gateway: ChildProcess, log: string): Promise<number> {
  return new Promise((resolve, reject) => {
    let text = '';
    const take = (chunk: Buffer): void => {
      writeFileSync(log, chunk, { flag: 'a' });
      text = (text + chunk.toString()).slice(-65_536);
      const found = /"port":(\d+),"probePort":\d+.*"message":"serving"/.exec(text);
      if (found !== null) resolve(Number(found[1]));
    };
    gateway.stdout!.on('data', take);
    gateway.stderr!.on('data', take);
    gateway.once('exit', (code) => reject(new Error(`the gateway ended with ${code}:\n${text}`)));
  });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await ended;
}

/** The provider warns, rightly, of what a demonstration does on purpose: keys and grants that live in memory only. */
async function quietly<T>(work: () => Promise<T>): Promise<T> {
  const { info, warn } = console;
  console.info = console.warn = () => {};
  try {
    return await work();
  } finally {
    Object.assign(console, { info, warn });
  }
}
