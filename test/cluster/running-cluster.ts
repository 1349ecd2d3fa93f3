import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type ImageOptions, writeImage } from '../../image/oci-image.ts';
import { AdminClient, type Answer, readKeyPair } from './admin-client.ts';
import { CertificateAuthority, type CertificateSubject, type KeyPair } from './certificates.ts';
import type { ClusterState } from './cluster-state.ts';
import { type CommandResult, runCommand } from './command.ts';
import { type KubeconfigContent, writeKubeconfig } from './kubeconfig.ts';
import { containerdSocket, importImage } from './node-images.ts';
import type { Program } from './recipes.ts';

export interface KubectlOptions {
  /** Path; the admin's when left out. */
  kubeconfig?: string;
  input?: string;
  /** Milliseconds; 60,000 when left out. */
  timeout?: number;
  env?: Record<string, string>;
  /** Path of another kubectl than the cluster's own. */
  program?: string;
}

/** An event of the API server's audit log, as far as tests look at it (audit.k8s.io/v1). */
export interface AuditEvent {
  auditID: string;
  stage: string;
  verb: string;
  requestURI: string;
  user: { username: string; uid?: string; groups?: string[]; extra?: Record<string, string[]> };
  impersonatedUser?: { username: string; uid?: string; groups?: string[]; extra?: Record<string, string[]> };
  userAgent?: string;
  objectRef?: { resource?: string; subresource?: string; namespace?: string; name?: string; apiGroup?: string };
  responseStatus?: { code?: number; reason?: string; message?: string };
  requestObject?: unknown;
  responseObject?: unknown;
  annotations?: Record<string, string>;
}

/** What can be done with a cluster that runs, whoever started it. */
export class Cluster {
  readonly name: string;
  readonly version: string;
  readonly url: string;
  readonly directory: string;
  readonly caFile: string;
  readonly caPem: string;
  readonly adminKubeconfig: string;
  readonly auditLog: string;
  /** The issuer of service-account tokens: the API server's own URL, where discovery and keys are served. */
  readonly serviceAccountIssuer: string;
  /** The one audience that the API server itself accepts. */
  readonly apiAudience = 'https://kubernetes.default.svc';
  /** Set when pods run: where they reach a program on this machine, and where it reaches them. */
  readonly node: { hostAddress: string; nodeAddress: string; podCIDR: string; serviceCIDR: string } | undefined;
  readonly binaries: Partial<Record<Program, string>>;
  readonly #pki: string;
  readonly #stop: () => Promise<void>;
  #admin: AdminClient | undefined;
  #authority: Promise<CertificateAuthority> | undefined;

  constructor(state: ClusterState, stop: () => Promise<void>) {
    this.name = state.name;
    this.version = state.version;
    this.url = state.url;
    this.serviceAccountIssuer = state.url;
    this.directory = state.directory;
    this.node = state.node?.network;
    this.binaries = state.programs;
    this.#pki = join(state.directory, 'pki');
    this.caFile = join(this.#pki, 'ca.crt');
    this.caPem = readFileSync(this.caFile, 'utf8');
    this.adminKubeconfig = join(state.directory, 'admin.kubeconfig');
    this.auditLog = join(state.directory, 'audit.log');
    this.#stop = stop;
  }

  /** Runs the cluster's own kubectl and waits for its end; never throws for a non-zero exit code. */
  async kubectl(args: string[], options: KubectlOptions = {}): Promise<CommandResult> {
    const program = options.program ?? this.binaries.kubectl;
    if (program === undefined) throw new Error('this cluster has no kubectl');
    const env = {
      ...process.env,
      KUBECONFIG: options.kubeconfig ?? this.adminKubeconfig,
      // Discovery is cached by server address, and a port may belong to another cluster tomorrow.
      KUBECACHEDIR: join(this.directory, 'kubectl-cache'),
      ...options.env,
    };
    return await runCommand(program, args, { env, input: options.input, timeout: options.timeout ?? 60_000 });
  }

  /** A request as cluster-admin, straight to the API server. */
  async admin(method: string, path: string, body?: unknown, contentType?: string): Promise<Answer> {
    this.#admin ??= new AdminClient(this.url, this.caPem, readKeyPair(this.#pki, 'kubelet-client'));
    return await this.#admin.send(method, path, body, contentType);
  }

  /** A client certificate signed by the cluster's CA; the API server takes CN as the user and O as the groups. */
  async clientCertificate(subject: CertificateSubject): Promise<KeyPair> {
    this.#authority ??= CertificateAuthority.read(this.#pki, 'ca');
    return await (await this.#authority).client(subject);
  }

  /** A token of a service account, which is made if it is not there. Without audiences: the API server's own. */
  async serviceAccountToken(
    namespace: string,
    name: string,
    options: { audiences?: string[]; seconds?: number } = {},
  ): Promise<string> {
    const accounts = `/api/v1/namespaces/${namespace}/serviceaccounts`;
    await this.admin('POST', accounts, { metadata: { name } });
    const answer = await this.admin('POST', `${accounts}/${name}/token`, {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: { audiences: options.audiences ?? [], expirationSeconds: options.seconds ?? 3600 },
    });
    if (answer.status !== 201) throw new Error(`no token for ${namespace}/${name}: ${answer.body}`);
    return (answer.json() as { status: { token: string } }).status.token;
  }

  /** Makes a namespace of a name of its own, so that tests can share a cluster. */
  async namespace(prefix: string, labels: Record<string, string> = {}): Promise<string> {
    const name = `${prefix}-${randomBytes(4).toString('hex')}`;
    const answer = await this.admin('POST', '/api/v1/namespaces', { metadata: { name, labels } });
    if (answer.status !== 201) throw new Error(`no namespace ${name}: ${answer.body}`);
    return name;
  }

  /** Applies YAML as cluster-admin; throws with kubectl's words when that fails. */
  async apply(yaml: string): Promise<void> {
    const result = await this.kubectl(['apply', '-f', '-'], { input: yaml });
    if (result.code !== 0) throw new Error(`kubectl apply: ${result.stderr}`);
  }

  /** Makes an image from a folder of files and puts it on the node (`imagePullPolicy: IfNotPresent` or `Never`). */
  async loadImage(options: ImageOptions): Promise<void> {
    if (this.node === undefined) throw new Error('this cluster has no node to put an image on');
    const archive = join(this.directory, `image-${randomBytes(6).toString('hex')}.tar`);
    await writeImage(archive, options);
    await importImage(containerdSocket(this.directory), archive);
    await rm(archive);
  }

  /** Writes a kubeconfig for a user of the cluster into its folder; gives the path. */
  async kubeconfig(content: Omit<KubeconfigContent, 'url' | 'caPem'>): Promise<string> {
    const path = join(this.directory, `${randomBytes(6).toString('hex')}.kubeconfig`);
    return await writeKubeconfig(path, { url: this.url, caPem: this.caPem, ...content });
  }

  /** What has arrived at the API server so far. Ask for it by something unique: a shared cluster hears others too. */
  auditEvents(matches: (event: AuditEvent) => boolean = () => true): AuditEvent[] {
    if (!existsSync(this.auditLog)) return [];
    const lines = readFileSync(this.auditLog, 'utf8').split('\n');
    // The last piece is empty or a line still being written.
    return lines
      .slice(0, -1)
      .map((line) => JSON.parse(line) as AuditEvent)
      .filter(matches);
  }

  /** Ends and removes the cluster if this process started it; leaves a shared one running. */
  async stop(): Promise<void> {
    this.#admin?.close();
    this.#admin = undefined;
    await this.#stop();
  }
}
