import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { BUSYBOX_IMAGE, type CommandResult, sharedCluster, startCluster } from '../cluster/cluster.ts';
import type { GatewayOptions } from '../gateway/gateway-process.ts';
import { Scene } from '../gateway/scene.ts';

/** Both ways in which kubectl streams; older ones need to be told, newer ones to be stopped. */
export const TRANSPORTS = {
  WebSocket: { KUBECTL_REMOTE_COMMAND_WEBSOCKETS: 'true', KUBECTL_PORT_FORWARD_WEBSOCKETS: 'true' },
  SPDY: { KUBECTL_REMOTE_COMMAND_WEBSOCKETS: 'false', KUBECTL_PORT_FORWARD_WEBSOCKETS: 'false' },
} as const;
export type Transport = keyof typeof TRANSPORTS;

export interface RunOptions {
  readonly transport?: Transport;
  /** Path of another kubectl than the cluster's own. */
  readonly program?: string;
  /** Of another caller than the stage's agent. */
  readonly kubeconfig?: string;
  readonly input?: string;
  readonly env?: Record<string, string>;
}

/** What this stage's agents may do: everything in their own namespace but what the Deny rules name. */
const rules = (namespace: string): string => `
    - name: own-namespace
      action: Allow
      match: {verbs: ["*"], apiGroups: ["*"], resources: ["*", "*/*"], namespaces: [${namespace}]}
    - name: the-cluster-around
      action: Allow
      match: {verbs: [get, list, watch], apiGroups: ["*"], resources: [namespaces, nodes]}
    - name: page-of-web
      action: Allow
      match: {verbs: [get], apiGroups: [""], resources: [pods/proxy], namespaces: [${namespace}], resourceNames: [web]}
    - name: no-shell-in-the-vault
      action: Deny
      match: {verbs: [create, update, patch], apiGroups: [""], resources: [pods/exec, pods/attach, pods/ephemeralcontainers], resourceNames: [vault]}
      message: the vault is closed to agents; read its status instead
    - name: not-the-database
      action: Deny
      match: {verbs: [create], apiGroups: [""], resources: [pods/portforward], ports: [5432]}
      message: the database is not for agents
    - name: no-forwards-to-the-vault
      action: Deny
      match: {verbs: [create], apiGroups: [""], resources: [pods/portforward], resourceNames: [vault]}
    - name: no-logs-of-the-vault
      action: Deny
      match: {verbs: [get], apiGroups: [""], resources: [pods/log], resourceNames: [vault]}
    - name: deployments-with-care
      action: RequireApproval
      match: {verbs: [delete], apiGroups: [apps], resources: [deployments], resourceNames: [database]}
    - name: only-our-images
      action: Deny
      match: {verbs: [create, update, patch], apiGroups: ["", apps], resources: ["*"]}
      matchConditions: [{name: foreign, expression: "images(object).exists(i, !i.startsWith('sallyport.test/'))"}]
      messageExpression: "'not from sallyport.test: ' + images(object).join(', ')"
`;

/** A Pod of the stage: `sh -c command` in busybox. */
export function busyboxPod(name: string, command: string, more = ''): string {
  return `
apiVersion: v1
kind: Pod
metadata: {name: ${name}, labels: {app: ${name}}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: ${name}
      image: ${BUSYBOX_IMAGE}
      imagePullPolicy: Never
      command: [sh, -c, ${JSON.stringify(command)}]
${more}`;
}

/** A gateway before a cluster, a policy with room to work in and doors that are shut, and clients with nothing special. */
export class Stage {
  readonly scene: Scene;
  /** For what a test writes on this machine. */
  readonly folder: string;
  readonly kubeconfig: string;
  readonly #children: ChildProcess[] = [];
  #admin: Promise<string> | undefined;

  private constructor(scene: Scene, folder: string, kubeconfig: string) {
    this.scene = scene;
    this.folder = folder;
    this.kubeconfig = kubeconfig;
  }

  /** On the cluster of this test run, or on one of its own when its API server is to be started with more flags. */
  static async open(
    options: { node?: boolean; apiServerFlags?: string[]; adjust?: GatewayOptions['adjust'] } = {},
  ): Promise<Stage> {
    const cluster = options.apiServerFlags === undefined ? await sharedCluster(options) : await startCluster(options);
    const scene = await Scene.open('clients', {
      cluster,
      configuration: { limits: { requestsPerSecond: 5_000, burst: 10_000 } },
      adjust: (configuration) => {
        configuration.identity.oidc[0].clockSkew = '1s';
        options.adjust?.(configuration);
      },
    });
    await scene.policy(rules(scene.namespace));
    // Without controllers nobody else makes it, and no Pod is let in without one.
    await cluster.admin('POST', `/api/v1/namespaces/${scene.namespace}/serviceaccounts`, {
      metadata: { name: 'default' },
    });
    const folder = await mkdtemp(join(tmpdir(), 'sallyport-clients-'));
    const stage = new Stage(scene, folder, await scene.kubeconfig());
    // The policy that the scene began with allowed this; the stage's own does not.
    while ((await scene.ask('/api/v1/namespaces/default/secrets')).status !== 403) await delay(25);
    return stage;
  }

  get namespace(): string {
    return this.scene.namespace;
  }

  get pid(): number {
    return this.scene.gateway.pid;
  }

  /** A kubeconfig of the administrator straight at the API server, in the stage's namespace: how it is without a gateway. */
  async admin(): Promise<string> {
    const { cluster } = this.scene;
    this.#admin ??= cluster
      .clientCertificate({ user: 'oracle', groups: ['system:masters'] })
      .then((client) => cluster.kubeconfig({ client, namespace: this.namespace }));
    return await this.#admin;
  }

  /** Pods in the stage's namespace, made by the administrator; waits until they are ready. */
  async pods(manifest: string, timeout = 60): Promise<void> {
    const { cluster } = this.scene;
    const made = await cluster.kubectl(['apply', '-n', this.namespace, '-f', '-'], { input: manifest });
    if (made.code !== 0) throw new Error(made.stderr);
    const ready = await cluster.kubectl(
      ['wait', '-n', this.namespace, '--for=condition=Ready', 'pod', '--all', `--timeout=${timeout}s`],
      { timeout: (timeout + 10) * 1_000 },
    );
    if (ready.code !== 0) throw new Error(ready.stderr);
  }

  /** kubectl as the stage's agent, through the gateway. */
  async kubectl(args: string[], options: RunOptions = {}): Promise<CommandResult> {
    const { transport, kubeconfig = this.kubeconfig, env, ...rest } = options;
    return await this.scene.cluster.kubectl(args, {
      ...rest,
      kubeconfig,
      env: { ...(transport === undefined ? {} : TRANSPORTS[transport]), ...env },
    });
  }

  /** kubectl that goes on running, or any other program; ended with the stage at the latest. */
  start(args: string[], options: RunOptions = {}): Running {
    const { transport, kubeconfig = this.kubeconfig, env, program } = options;
    const child = spawn(program ?? this.scene.cluster.binaries.kubectl!, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: {
        ...process.env,
        ...(transport === undefined ? {} : TRANSPORTS[transport]),
        ...env,
        KUBECONFIG: kubeconfig,
        KUBECACHEDIR: join(this.folder, 'kubectl-cache'),
      },
    });
    this.#children.push(child);
    return new Running(child);
  }

  /** Stops the gateway and starts it again on the same port, as a rollout behind one address does. */
  async restartGateway(): Promise<void> {
    const { gateway } = this.scene;
    const file = join(gateway.directory, 'gateway.yaml');
    const text = await readFile(file, 'utf8');
    await writeFile(file, text.replace(/^(listen:\n(?: {2}.*\n)*? {2}port: )0$/m, `$1${gateway.port}`));
    await gateway.kill('SIGTERM');
    await gateway.launch();
  }

  /** Ends what was started and still runs. */
  async endAll(): Promise<void> {
    for (const child of this.#children.splice(0)) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const gone = once(child, 'close');
      child.kill('SIGKILL');
      await gone;
    }
  }

  async close(): Promise<void> {
    await this.endAll();
    await this.scene.cluster.kubectl(['delete', 'namespace', this.namespace, '--wait=false']);
    await this.scene.close();
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** A program that runs, and what it has said so far. */
export class Running {
  readonly child: ChildProcess;
  stdout = '';
  stderr = '';
  readonly #ended: Promise<number | null>;

  constructor(child: ChildProcess) {
    this.child = child;
    child.stdout!.on('data', (chunk: Buffer) => {
      this.stdout += chunk.toString('latin1');
    });
    child.stderr!.on('data', (chunk: Buffer) => {
      this.stderr += chunk.toString();
    });
    // It may end before it has read its input.
    child.stdin!.on('error', () => undefined);
    this.#ended = new Promise((resolve) => child.once('close', resolve));
  }

  write(text: string | Buffer): void {
    this.child.stdin!.write(text);
  }

  /** Waits until its output or its messages fit, and gives the match. @throws with all it said, when that never comes */
  async says(pattern: RegExp, timeout = 20_000): Promise<RegExpExecArray> {
    const end = Date.now() + timeout;
    for (;;) {
      const found = pattern.exec(this.stdout) ?? pattern.exec(this.stderr);
      if (found !== null) return found;
      if (Date.now() > end || this.child.exitCode !== null) {
        // What came with the end.
        await delay(50);
        const late = pattern.exec(this.stdout) ?? pattern.exec(this.stderr);
        if (late !== null) return late;
        throw new Error(`never said ${pattern}: ${this.stdout}\n${this.stderr}`);
      }
      await delay(10);
    }
  }

  /** Its exit code; null when a signal ended it. @throws when it goes on too long */
  async ended(timeout = 20_000): Promise<number | null> {
    const late = delay(timeout, 'late' as const, { ref: false });
    const result = await Promise.race([this.#ended, late]);
    if (result === 'late') throw new Error(`still running: ${this.stdout}\n${this.stderr}`);
    return result;
  }

  async end(signal: NodeJS.Signals = 'SIGINT'): Promise<number | null> {
    this.child.kill(signal);
    return await this.ended();
  }
}
