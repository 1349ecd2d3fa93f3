import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { type Built, buildImage } from '../../image/build.ts';
import { CHART, NAMESPACE, runHelm } from '../chart/chart.ts';
import { BUSYBOX_IMAGE, type Cluster, runCommand, startCluster } from '../cluster/cluster.ts';
import { containerdSocket, importImage } from '../cluster/node-images.ts';
import { type IssuerKey, LoopbackIssuer, makeKey } from '../identity/issuer.ts';

export { NAMESPACE } from '../chart/chart.ts';

const ROOT = new URL('../../', import.meta.url).pathname;
export const SALLYPORT = join(ROOT, 'bin/sallyport');
export const ISSUER = 'https://login.shop.example';
/** What a Pod of the shop runs; the policy lets only images of this name in. */
export const SHOP_IMAGE = 'registry.shop.example/busybox:1';
/** The next version: the same program under another tag, and a chart that changes what a chart can change. */
export const NEXT = '0.2.0';
const NODE_PORT = 30_443;
const VOLUMES = 'of-the-test';

/** A real cluster with a node, the image on it, the chart in two versions, and an issuer whose keys the gateway has from a file. */
export class Installation {
  readonly cluster: Cluster;
  readonly folder: string;
  readonly image: Built;
  readonly #key: IssuerKey;

  private constructor(cluster: Cluster, folder: string, image: Built, key: IssuerKey) {
    this.cluster = cluster;
    this.folder = folder;
    this.image = image;
    this.#key = key;
  }

  static async prepare(): Promise<Installation> {
    const folder = mkdtempSync(join(tmpdir(), 'sallyport-in-cluster-'));
    const key = await makeKey('shop');
    const [cluster, image] = await Promise.all([startCluster({ node: true }), buildImage(join(folder, 'dist'))]);
    const socket = containerdSocket(cluster.directory);
    await importImage(socket, image.archive);
    const tag = async (from: string, to: string) =>
      await runCommand('ctr', ['--address', socket, '--namespace', 'k8s.io', 'images', 'tag', from, to], {
        timeout: 30_000,
      });
    await tag(image.name, `docker.io/library/sallyport:${NEXT}`);
    await tag(BUSYBOX_IMAGE, SHOP_IMAGE);
    const made = new Installation(cluster, folder, image, key);
    await cluster.apply(stringify({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } }));
    await cluster.apply(
      stringify({
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'issuer-keys', namespace: NAMESPACE },
        data: { 'jwks.json': JSON.stringify({ keys: [key.jwk] }) },
      }),
    );
    await cluster.apply(made.volumes.map((path, index) => stringify(volume(index, path))).join('---\n'));
    writeFileSync(join(folder, 'values.yaml'), stringify(made.#values()));
    made.#nextChart();
    return made;
  }

  /** Where this machine has what the gateway's replicas keep. */
  get volumes(): string[] {
    return [0, 1].map((index) => {
      const path = join(this.cluster.directory, 'volumes', String(index));
      mkdirSync(path, { recursive: true });
      return path;
    });
  }

  get url(): string {
    return `https://${this.cluster.node!.nodeAddress}:${NODE_PORT}`;
  }

  get caFile(): string {
    return join(this.folder, 'sallyport-ca.crt');
  }

  get nextChart(): string {
    return join(this.folder, 'next');
  }

  #values(): object {
    return {
      persistence: { storageClassName: VOLUMES, size: '1Gi' },
      service: { type: 'NodePort', nodePort: NODE_PORT },
      certificates: { ipAddresses: [this.cluster.node!.nodeAddress] },
      configMaps: [{ name: 'issuer', configMapName: 'issuer-keys' }],
      // The node is as small as its machine.
      gateway: { resources: {} },
      controller: { resources: {} },
      config: {
        identity: {
          tokenReview: null,
          oidc: [
            {
              issuer: ISSUER,
              jwksFile: '/etc/sallyport/config-maps/issuer/jwks.json',
              audiences: ['sallyport'],
              claimMappings: { username: { claim: 'email' }, groups: { claim: 'groups' } },
            },
          ],
          sessions: {
            agents: [{ name: 'cursor', groups: ['ai-agents'] }],
            signIn: [{ issuer: ISSUER, clientID: 'cli' }],
          },
        },
        limits: { requestsPerSecond: 5_000, burst: 10_000 },
        controller: { leaseDuration: '3s' },
      },
    };
  }

  /** A chart of the next version: other kinds, another image. */
  #nextChart(): void {
    cpSync(CHART, this.nextChart, { recursive: true });
    const edit = (path: string, from: RegExp, to: string): void => {
      const file = join(this.nextChart, path);
      const before = readFileSync(file, 'utf8');
      const text = before.replace(from, to);
      if (text === before) throw new Error(`${path}: nothing like ${from} in it`);
      writeFileSync(file, text);
    };
    edit('Chart.yaml', /^version: .*$/m, `version: ${NEXT}`);
    edit('Chart.yaml', /^appVersion: .*$/m, `appVersion: ${NEXT}`);
    edit('crds/agentpolicies.yaml', /^ {2}labels:\n/m, '  labels:\n    sallyport.test/next: "true"\n');
  }

  /** @throws Error with all that helm said */
  async helm(...args: string[]): Promise<string> {
    const env = { KUBECONFIG: this.cluster.adminKubeconfig };
    const { code, stdout, stderr } = await runHelm([...args, '--namespace', NAMESPACE], env, 300_000);
    if (code !== 0) throw new Error(`helm ${args.join(' ')}: ${stderr}\n${stdout}\n${await this.state()}`);
    return stdout;
  }

  async install(): Promise<string> {
    return await this.helm('install', 'sallyport', CHART, '--values', join(this.folder, 'values.yaml'));
  }

  /** What an administrator would look at first when something went wrong. */
  async state(): Promise<string> {
    const pods = await this.admin('get', 'pods', '-o', 'wide');
    const names = (await this.admin('get', 'pods', '-o', 'name')).trim().split('\n');
    const logs = await Promise.all(
      names.map(async (name) => `${name}: ${await this.admin('logs', name, '--tail=15')}`),
    );
    return `${pods}\n${logs.join('\n')}`;
  }

  /** The administrator's kubectl in the gateway's namespace; what it printed, whatever became of it. */
  async admin(...args: string[]): Promise<string> {
    const { stdout, stderr } = await this.cluster.kubectl(['--namespace', NAMESPACE, ...args]);
    return stdout + stderr;
  }

  /** A token of the issuer, as a CI system or a person's sign-in gives one. */
  async token(claims: { email: string; groups: string[]; auth_time?: number }): Promise<string> {
    return await new LoopbackIssuer().sign(
      { iss: ISSUER, sub: claims.email, exp: Math.floor(Date.now() / 1_000) + 3_600, ...claims },
      {},
      this.#key,
    );
  }

  file(name: string, text: string): string {
    const path = join(this.folder, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  }

  async close(): Promise<void> {
    await this.cluster.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** A folder of the node's, as an administrator without a storage provider gives one. */
function volume(index: number, path: string): object {
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name: `of-the-test-${index}` },
    spec: {
      capacity: { storage: '1Gi' },
      accessModes: ['ReadWriteOnce'],
      persistentVolumeReclaimPolicy: 'Retain',
      storageClassName: VOLUMES,
      local: { path },
      nodeAffinity: {
        required: {
          nodeSelectorTerms: [
            { matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: ['node'] }] },
          ],
        },
      },
    },
  };
}
