import { readFile, writeFile } from 'node:fs/promises';
import { parse, stringify } from 'yaml';
import { type Cluster, startCluster } from '../cluster/cluster.ts';
import { type GatewayOptions, GatewayProcess } from '../gateway/gateway-process.ts';
import type { Endpoint } from './endpoint.ts';
import { startKubectlProxy } from './kubectl-proxy.ts';
import { LoadClient } from './load-client.ts';
import { nginxVersion, startNginx } from './nginx.ts';
import { agentManifests, GROUP, RECORDED, UNMASKED, UNRECORDED } from './policies.ts';
import type { RunningProxy } from './running-proxy.ts';

const SUBJECT = 'bench';

/** Nobody's limits may be what is measured; recording is measured on its own. */
const UNLIMITED = {
  limits: { requestsPerSecond: 1e6, burst: 1_000_000, parallelRequests: 100_000, parallelStreams: 10_000 },
};

const open = new Set<Bed>();

/** Whatever is still running, when the benchmark is cut short. */
export async function stopBeds(): Promise<void> {
  await Promise.allSettled([...open].map((bed) => bed.stop()));
}

/** One API server, and all ways to it: whoever asks, it sees the same account impersonating the same user. */
export class Bed {
  readonly cluster: Cluster;
  readonly namespace: string;
  readonly gateway: GatewayProcess;
  readonly load = new LoadClient();
  readonly #proxies: RunningProxy[] = [];
  readonly #gateways: GatewayProcess[];
  readonly #tokens: Readonly<Record<'masked' | 'unmasked' | 'recorded' | 'unrecorded', string>>;
  readonly #recording = new Set<GatewayProcess>();
  readonly #upstreamToken: string;
  nginx: { version: string } | { missing: string } = { missing: 'not asked for' };

  private constructor(
    cluster: Cluster,
    namespace: string,
    gateway: GatewayProcess,
    tokens: Readonly<Record<'masked' | 'unmasked' | 'recorded' | 'unrecorded', string>>,
    upstream: string,
  ) {
    this.cluster = cluster;
    this.namespace = namespace;
    this.gateway = gateway;
    this.#gateways = [gateway];
    this.#tokens = tokens;
    this.#upstreamToken = upstream;
  }

  static async start(options: { node?: boolean } = {}): Promise<Bed> {
    const cluster = await startCluster(options);
    try {
      const gateway = await GatewayProcess.start(cluster, { configuration: UNLIMITED });
      const namespace = await cluster.namespace('bench');
      await cluster.apply(agentManifests(namespace));
      const exp = Math.floor(Date.now() / 1_000) + 7_200;
      const tokens = {
        masked: await gateway.token({ sub: SUBJECT, groups: [GROUP], exp }),
        unmasked: await gateway.token({ sub: SUBJECT, groups: [GROUP, UNMASKED], exp }),
        recorded: await gateway.token({ sub: SUBJECT, groups: [GROUP, RECORDED], exp }),
        unrecorded: await gateway.token({ sub: SUBJECT, groups: [GROUP, UNRECORDED], exp }),
      };
      const upstream = await cluster.serviceAccountToken(gateway.namespace, 'sallyport-gateway', { seconds: 7_200 });
      const bed = new Bed(cluster, namespace, gateway, tokens, upstream);
      open.add(bed);
      const small = { metadata: { name: 'small' }, data: { greeting: 'hello' } };
      await cluster.admin('POST', `/api/v1/namespaces/${namespace}/configmaps`, small);
      return bed;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  /** A gateway of its own, for what is measured in a process that has done nothing else. */
  async freshGateway(env: Record<string, string> = {}): Promise<GatewayProcess> {
    return await this.#another({ configuration: UNLIMITED, env });
  }

  /** One that records at RequestResponse, Strict. */
  async recordingGateway(
    durability: 'Process' | 'Disk' | 'Remote',
    more: { readonly env?: Record<string, string>; readonly recording?: Record<string, unknown> } = {},
  ): Promise<GatewayProcess> {
    const gateway = await this.#another({
      configuration: UNLIMITED,
      recording: true,
      env: more.env ?? {},
      adjust: ({ recording }) => {
        const { segmentBytes, ...rest } = more.recording ?? {};
        Object.assign(recording, { durability, ...rest });
        if (segmentBytes !== undefined) Object.assign(recording.spool, { segmentBytes });
      },
    });
    this.#recording.add(gateway);
    return gateway;
  }

  async #another(options: GatewayOptions): Promise<GatewayProcess> {
    const gateway = await GatewayProcess.start(this.cluster, { ...options, replicaOf: this.gateway });
    this.#gateways.push(gateway);
    return gateway;
  }

  get small(): string {
    return `/api/v1/namespaces/${this.namespace}/configmaps/small`;
  }

  get direct(): Endpoint {
    const { url, caPem } = this.cluster;
    return { name: 'direct', url, caPem, headers: this.#upstreamHeaders() };
  }

  /** By a caller like any other: what is masked by default is masked. */
  through(gateway: GatewayProcess, name = 'gateway'): Endpoint {
    return this.#by(this.#tokenFor(gateway), gateway, name);
  }

  /** By a caller of whom as many policies speak, and none wants a record: what recording costs in one process is the difference to `through`. */
  unrecorded(gateway: GatewayProcess): Endpoint {
    return this.#by(this.#tokens.unrecorded, gateway, 'unrecorded');
  }

  /** By a caller for whom nothing is masked: what masking costs is the difference to the others. */
  unmasked(gateway: GatewayProcess, name = 'unmasked'): Endpoint {
    return this.#by(this.#tokens.unmasked, gateway, name);
  }

  async startKubectlProxy(): Promise<RunningProxy> {
    const proxy = await startKubectlProxy(this.cluster, await this.directKubeconfig());
    this.#proxies.push(proxy);
    return proxy;
  }

  /** Undefined where there is none to be had: `nginx` then says why. */
  async startNginx(): Promise<RunningProxy | undefined> {
    this.nginx = await nginxVersion();
    if ('missing' in this.nginx) return undefined;
    const proxy = await startNginx(this.cluster, this.#upstreamHeaders());
    this.#proxies.push(proxy);
    return proxy;
  }

  /** A kubeconfig past the gateway, under the same name as through it. */
  async directKubeconfig(): Promise<string> {
    const path = await this.cluster.kubeconfig({ token: this.#upstreamToken, namespace: this.namespace });
    const config = parse(await readFile(path, 'utf8')) as { users: { user: Record<string, unknown> }[] };
    Object.assign(config.users[0]!.user, { as: `sallyport:${SUBJECT}`, 'as-groups': [`sallyport:${GROUP}`] });
    await writeFile(path, stringify(config), { mode: 0o600 });
    return path;
  }

  gatewayKubeconfig(gateway: GatewayProcess): Promise<string> {
    return gateway.kubeconfig(this.#tokenFor(gateway), this.namespace);
  }

  /** Of the caller of whom no policy wants a record. */
  unrecordedKubeconfig(gateway: GatewayProcess): Promise<string> {
    return gateway.kubeconfig(this.#tokens.unrecorded, this.namespace);
  }

  /** For changes: an account that may write anywhere. */
  async writer(): Promise<Endpoint> {
    const { cluster } = this;
    const token = await cluster.serviceAccountToken(this.namespace, 'writer', { seconds: 7_200 });
    await cluster.apply(
      stringify({
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'RoleBinding',
        metadata: { name: 'writer', namespace: this.namespace },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'agents' },
        subjects: [{ kind: 'ServiceAccount', name: 'writer', namespace: this.namespace }],
      }),
    );
    return { name: 'writer', url: cluster.url, caPem: cluster.caPem, headers: ['Authorization', `Bearer ${token}`] };
  }

  async stop(): Promise<void> {
    open.delete(this);
    await this.load.stop();
    for (const proxy of this.#proxies) await proxy.stop();
    for (const gateway of this.#gateways.reverse()) await gateway.stop();
    await this.cluster.stop();
  }

  /** A token of somebody else whose requests are recorded. */
  async recordedToken(sub: string): Promise<string> {
    const exp = Math.floor(Date.now() / 1_000) + 7_200;
    return await this.gateway.token({ sub, groups: [GROUP, RECORDED], exp });
  }

  /** Only where there is a recording is one demanded. */
  #tokenFor(gateway: GatewayProcess): string {
    return this.#recording.has(gateway) ? this.#tokens.recorded : this.#tokens.masked;
  }

  #by(token: string, { url, caPem }: GatewayProcess, name: string): Endpoint {
    return { name, url, caPem, headers: ['Authorization', `Bearer ${token}`] };
  }

  #upstreamHeaders(): string[] {
    return [
      'Authorization',
      `Bearer ${this.#upstreamToken}`,
      'Impersonate-User',
      `sallyport:${SUBJECT}`,
      'Impersonate-Group',
      `sallyport:${GROUP}`,
    ];
  }
}
