import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { stringify } from 'yaml';
import { CertificateAuthority } from '../cluster/certificates.ts';
import { type Cluster, type CommandResult, runCommand } from '../cluster/cluster.ts';
import { writeKubeconfig } from '../cluster/kubeconfig.ts';
import { LoopbackIssuer, makeKey } from '../identity/issuer.ts';

const ROOT = new URL('../..', import.meta.url).pathname;
const CRDS = [
  'agentpolicies',
  'agentsessions',
  'agentfreezes',
  'maskingrules',
  'approvalrequests',
  'sessionrecordings',
].map((name) => join(ROOT, 'crds', `${name}.yaml`));

export interface GatewayOptions {
  /** Merged over the configuration, key by key at the top level. */
  readonly configuration?: Record<string, unknown>;
  /** Changes the configuration before it is written, for what is known only then (the issuer, file names). */
  // biome-ignore lint/suspicious/noExplicitAny: a test reaches into any part of it.
  readonly adjust?: (configuration: any) => void;
  /** Record into `recordings` below its directory, by way of `spool`. */
  readonly recording?: boolean;
  /** Share namespace, keys and sessions with another replica. */
  readonly replicaOf?: GatewayProcess;
  readonly env?: Record<string, string>;
  /** The bundle that the image has, instead of the sources. */
  readonly program?: string;
}

/** A real gateway process before a real API server, with an account as small as examples/rbac/gateway.yaml says. */
export class GatewayProcess {
  readonly cluster: Cluster;
  readonly directory: string;
  readonly namespace: string;
  readonly issuer: LoopbackIssuer;
  readonly caPem: string;
  /** Lines of its log, parsed. */
  readonly log: Record<string, unknown>[] = [];
  stderr = '';
  /** What `launch` starts: the sources, or the bundle that the image has. */
  program = join(ROOT, 'src/cli/main.ts');
  port = 0;
  probePort = 0;
  #child: ChildProcess | undefined;
  readonly #ownsIssuer: boolean;

  private constructor(
    cluster: Cluster,
    directory: string,
    namespace: string,
    issuer: LoopbackIssuer,
    caPem: string,
    owns: boolean,
  ) {
    this.cluster = cluster;
    this.directory = directory;
    this.namespace = namespace;
    this.issuer = issuer;
    this.caPem = caPem;
    this.#ownsIssuer = owns;
  }

  static async start(cluster: Cluster, options: GatewayOptions = {}): Promise<GatewayProcess> {
    const { replicaOf } = options;
    const namespace = replicaOf?.namespace ?? `gate-${randomBytes(4).toString('hex')}`;
    if (replicaOf === undefined) await install(cluster, namespace);
    const directory = await mkdtemp(join(tmpdir(), 'sallyport-gateway-'));
    const authority = await CertificateAuthority.create('test gateway');
    const serving = await authority.server('gateway', ['127.0.0.1', 'localhost']);
    const files = { cert: join(directory, 'tls.crt'), key: join(directory, 'tls.key') };
    writeFileSync(join(directory, 'ca.crt'), authority.certPem);
    writeFileSync(files.cert, serving.certPem);
    writeFileSync(files.key, serving.keyPem, { mode: 0o600 });
    const issuer = replicaOf?.issuer ?? (await new LoopbackIssuer().listen());
    if (replicaOf === undefined) issuer.keys.push(await makeKey('k1'));
    const token = await cluster.serviceAccountToken(namespace, 'sallyport-gateway');
    const kubeconfig = await cluster.kubeconfig({ token });
    const configuration = {
      listen: { address: '127.0.0.1', port: 0, tls: { certFile: files.cert, keyFile: files.key } },
      recording: {
        enabled: options.recording === true,
        storage: { filesystem: { path: join(directory, 'recordings') } },
        spool: { folder: join(directory, 'spool') },
      },
      probes: { address: '127.0.0.1', port: 0 },
      upstream: { kubeconfig, namespace },
      identity: {
        oidc: [
          {
            issuer: issuer.url,
            insecureLoopbackHTTP: true,
            audiences: ['sallyport'],
            claimMappings: { username: { claim: 'sub' }, groups: { claim: 'groups' }, agent: { claim: 'agent' } },
          },
        ],
        sessions: { agents: [{ name: 'cursor', groups: ['ai-agents'] }] },
      },
      shutdown: { readyDelay: '0s', drainTimeout: '5s', streamDeadline: '2s' },
      ...options.configuration,
    };
    options.adjust?.(configuration);
    writeFileSync(join(directory, 'gateway.yaml'), stringify(configuration));
    const gateway = new GatewayProcess(
      cluster,
      directory,
      namespace,
      issuer,
      authority.certPem,
      replicaOf === undefined,
    );
    if (options.program !== undefined) gateway.program = options.program;
    try {
      await gateway.launch(options.env);
    } catch (error) {
      await rm(directory, { recursive: true, force: true });
      throw error;
    }
    return gateway;
  }

  get url(): string {
    return `https://127.0.0.1:${this.port}`;
  }

  get pid(): number {
    return this.#child!.pid!;
  }

  /** Starts the process (again) on its configuration; resolves when it serves. */
  async launch(env: Record<string, string> = {}): Promise<void> {
    const child = spawn(process.execPath, [this.program, 'gateway', '--config', join(this.directory, 'gateway.yaml')], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    this.#child = child;
    child.stderr.on('data', (chunk: Buffer) => {
      this.stderr += chunk.toString();
    });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    createInterface({ input: child.stdout }).on('line', (line) => {
      let entry: Record<string, unknown>;
      try {
        entry = JSON.parse(line) as Record<string, unknown>;
      } catch {
        return;
      }
      this.log.push(entry);
      if (entry['message'] !== 'serving') return;
      this.port = entry['port'] as number;
      this.probePort = entry['probePort'] as number;
      resolve();
    });
    child.once('exit', (code) => reject(new Error(`the gateway ended with ${code}: ${this.stderr}`)));
    await promise;
  }

  /** A token of the test issuer. */
  async token(claims: Record<string, unknown>): Promise<string> {
    return await this.issuer.sign(claims);
  }

  /** A kubeconfig for an unmodified kubectl, with a token in it. */
  async kubeconfig(token: string, namespace = 'default'): Promise<string> {
    const path = join(this.directory, `${randomBytes(6).toString('hex')}.kubeconfig`);
    return await writeKubeconfig(path, { url: this.url, caPem: this.caPem, token, namespace });
  }

  /** The text of `/metrics`, `/readyz?verbose` … */
  async probe(path: string): Promise<{ status: number; body: string }> {
    return await new Promise((resolve, reject) => {
      get({ host: '127.0.0.1', port: this.probePort, path, agent: false }, (response) => {
        let body = '';
        response.on('data', (chunk: Buffer) => {
          body += chunk.toString();
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
      }).on('error', reject);
    });
  }

  /** Waits until a line of the log fits. */
  async logged(fits: (entry: Record<string, unknown>) => boolean, timeout = 5_000): Promise<Record<string, unknown>> {
    const end = Date.now() + timeout;
    for (;;) {
      const found = this.log.find(fits);
      if (found !== undefined) return found;
      if (Date.now() > end) throw new Error('the log has no such line');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<number | null> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
    child.kill(signal);
    return await ended;
  }

  async stop(): Promise<void> {
    await this.kill('SIGKILL');
    if (this.#ownsIssuer) await this.issuer.close();
    await rm(this.directory, { recursive: true, force: true });
  }
}

/** Runs `sallyport gateway` with a configuration that is not expected to serve, and waits for its end. */
export async function runGateway(file: string, ...flags: string[]): Promise<CommandResult> {
  const args = [join(ROOT, 'src/cli/main.ts'), 'gateway', '--config', file, ...flags];
  return await runCommand(process.execPath, args, { env: process.env, timeout: 60_000 });
}

/** CRDs, and the gateway's account in a namespace of its own, so that tests can share a cluster. */
async function install(cluster: Cluster, namespace: string): Promise<void> {
  for (const text of [...CRDS.map((file) => readFileSync(file, 'utf8')), guardOfTests()]) {
    // Another test of the same run may be making it at this very moment.
    await cluster.apply(text).catch(() => cluster.apply(text));
  }
  const rbac = readFileSync(join(ROOT, 'examples/rbac/gateway.yaml'), 'utf8')
    .replaceAll('sallyport-system', namespace)
    .replace(
      /kind: ClusterRoleBinding\nmetadata:\n {2}name: sallyport-gateway/,
      `kind: ClusterRoleBinding\nmetadata:\n  name: ${namespace}`,
    );
  await cluster.apply(rbac);
  const crds = CRDS.map((file) => `crd/${/([a-z]+)\.yaml$/.exec(file)![1]}.sallyport.dev`);
  const waited = await cluster.kubectl(['wait', '--for=condition=Established', '--timeout=20s', ...crds]);
  if (waited.code !== 0) throw new Error(waited.stderr);
}

/** The guard, for a cluster with several gateways, where tests make objects of ours as cluster-admin. */
export function guardOfTests(): string {
  return readFileSync(join(ROOT, 'crds/guards.yaml'), 'utf8').replaceAll(
    "request.userInfo.username != 'system:serviceaccount:sallyport-system:sallyport-gateway'",
    "(!request.userInfo.username.endsWith(':sallyport-gateway')) && !('system:masters' in request.userInfo.groups)",
  );
}
