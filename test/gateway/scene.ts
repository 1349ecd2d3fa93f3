import { connect as connectHttp2, type IncomingHttpHeaders } from 'node:http2';
import { Agent, request } from 'node:https';
import { type AuditEvent, type Cluster, sharedCluster } from '../cluster/cluster.ts';
import { type GatewayOptions, GatewayProcess } from './gateway-process.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
  /** The body read as JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into Kubernetes objects of every kind.
  json(): any;
}

export interface Asked {
  readonly method?: string;
  /** Flat (name, value, …), sent as written; Authorization is added unless `token` is null. */
  readonly headers?: readonly string[];
  readonly body?: string | Buffer;
  /** The agent's when left out; null: none at all. */
  readonly token?: string | null;
  /** Another replica than the scene's own. */
  readonly gateway?: GatewayProcess;
}

export const POLICY_ALL = `
    - name: everything
      action: Allow
      match: {verbs: ["*"], apiGroups: ["*"], resources: ["*", "*/*"]}`;

/**
 * A gateway, a namespace, and a group of agents of its own who are cluster-admin behind the gate: whatever the gateway
 * lets through succeeds, so that only the gateway can be what stopped a request.
 */
export class Scene {
  readonly cluster: Cluster;
  readonly gateway: GatewayProcess;
  readonly namespace: string;
  /** The group of this scene's agents; policies and RBAC of other tests do not know it. */
  readonly group: string;
  /** A token of the agent `ci-<namespace>`. */
  token = '';
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 64 });

  private constructor(cluster: Cluster, gateway: GatewayProcess, namespace: string) {
    this.cluster = cluster;
    this.gateway = gateway;
    this.namespace = namespace;
    this.group = `agents-${namespace}`;
  }

  /** @param rules of the scene's AgentPolicy, in YAML, indented by four; everything is allowed when left out. */
  static async open(
    prefix: string,
    options: GatewayOptions & { rules?: string; cluster?: Cluster } = {},
  ): Promise<Scene> {
    const cluster = options.cluster ?? (await sharedCluster());
    const gateway = await GatewayProcess.start(cluster, options);
    const scene = new Scene(cluster, gateway, await cluster.namespace(prefix));
    try {
      await scene.#prepare(options.rules ?? POLICY_ALL);
    } catch (error) {
      await scene.close();
      throw error;
    }
    return scene;
  }

  async #prepare(rules: string): Promise<void> {
    await this.policy(rules);
    await this.cluster.apply(`
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: ${this.namespace}}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "sallyport:${this.group}"}]
`);
    this.token = await this.tokenOf({});
    await this.effective();
  }

  get user(): string {
    return `ci-${this.namespace}`;
  }

  /** Replaces the rules of the scene's own policy. */
  async policy(rules: string): Promise<void> {
    await this.cluster.apply(`
apiVersion: sallyport.dev/v1alpha1
kind: AgentPolicy
metadata: {name: ${this.namespace}}
spec:
  subjects: [{kind: Group, name: ${this.group}}]
  rules:${rules}
`);
  }

  /** Waits until the gateway answers what the scene's policy allows. */
  async effective(path = `/api/v1/namespaces/${this.namespace}`): Promise<void> {
    for (let attempt = 0; attempt < 200; attempt++) {
      const { status } = await this.ask(path);
      if (status === 200) return;
      await new Promise((resolve) => {
        setTimeout(resolve, 25);
      });
    }
    throw new Error(`the policy of ${this.namespace} does not act: ${(await this.ask(path)).body}`);
  }

  async tokenOf(claims: Record<string, unknown>): Promise<string> {
    return await this.gateway.token({ sub: this.user, groups: [this.group], uid: 'u', ...claims });
  }

  async kubeconfig(token = this.token): Promise<string> {
    return await this.gateway.kubeconfig(token, this.namespace);
  }

  /** Over HTTP/1.1. */
  async ask(path: string, asked: Asked = {}): Promise<Answer> {
    const { method = 'GET', body, token = this.token, gateway = this.gateway } = asked;
    const headers = ['Host', '127.0.0.1', ...(asked.headers ?? [])];
    if (token !== null) headers.push('Authorization', `Bearer ${token}`);
    if (body !== undefined) headers.push('Content-Length', String(Buffer.byteLength(body)));
    return await new Promise((resolve, reject) => {
      const sent = request(
        {
          host: '127.0.0.1',
          port: gateway.port,
          path,
          method,
          headers,
          agent: this.#agent,
          ca: gateway.caPem,
          setDefaultHeaders: false,
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('error', reject);
          response.on('end', () => resolve(answer(response.statusCode ?? 0, response.headers, chunks)));
        },
      );
      sent.on('error', (error: NodeJS.ErrnoException) => {
        // The gateway may have closed a kept connection as idle at that very moment.
        if (sent.reusedSocket && error.code === 'ECONNRESET') resolve(this.ask(path, asked));
        else reject(error);
      });
      sent.end(body);
    });
  }

  /** Sends a request and breaks off after `patience` milliseconds without an answer. */
  async leave(path: string, asked: Asked, patience: number): Promise<void> {
    const { method = 'GET', body = '', token = this.token } = asked;
    const sent = request({
      host: '127.0.0.1',
      port: this.gateway.port,
      path,
      method,
      headers: [...(asked.headers ?? []), 'Host', '127.0.0.1', 'Authorization', `Bearer ${token}`],
      agent: false,
      ca: this.gateway.caPem,
    });
    sent.on('error', () => {});
    sent.end(body);
    await new Promise((resolve) => setTimeout(resolve, patience));
    sent.destroy();
  }

  /** Over HTTP/2, on a connection of its own. */
  async ask2(path: string, headers: Record<string, string | string[]> = {}, body?: string | Buffer): Promise<Answer> {
    const session = connectHttp2(this.gateway.url, { ca: this.gateway.caPem });
    try {
      return await new Promise((resolve, reject) => {
        session.on('error', reject);
        const stream = session.request(
          { ':path': path, authorization: `Bearer ${this.token}`, ...headers },
          { endStream: body === undefined },
        );
        const chunks: Buffer[] = [];
        let got: IncomingHttpHeaders & { ':status'?: number | undefined } = {};
        stream.on('response', (received) => {
          got = received;
        });
        stream.on('data', (chunk: Buffer) => chunks.push(chunk));
        stream.on('error', reject);
        stream.on('end', () => resolve(answer(got[':status'] ?? 0, got, chunks)));
        if (body !== undefined) stream.end(body);
      });
    } finally {
      session.close();
    }
  }

  /** What the API server has heard of this scene's agents. */
  heard(matches: (event: AuditEvent) => boolean = () => true): AuditEvent[] {
    return this.cluster.auditEvents(
      (event) => event.impersonatedUser?.groups?.includes(`sallyport:${this.group}`) === true && matches(event),
    );
  }

  /** Whatever came to the API server at this path, in whichever name. */
  arrived(path: string): AuditEvent[] {
    return this.cluster.auditEvents(({ requestURI }) => requestURI === path || requestURI.startsWith(`${path}?`));
  }

  async close(): Promise<void> {
    this.#agent.destroy();
    await this.gateway.stop();
    const own = ['agentpolicy', 'clusterrolebinding'].map((kind) => `${kind}/${this.namespace}`);
    await this.cluster.kubectl(['delete', '--ignore-not-found', '--wait=false', ...own]);
    await this.cluster.stop();
  }
}

function answer(status: number, headers: Answer['headers'], chunks: Buffer[]): Answer {
  const body = Buffer.concat(chunks).toString('utf8');
  return { status, headers, body, json: () => JSON.parse(body) };
}
