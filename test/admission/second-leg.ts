import { readFileSync } from 'node:fs';
import { type Cluster, type CommandResult, startCluster } from '../cluster/cluster.ts';
import { freePort } from '../cluster/free-port.ts';
import { Scene } from '../gateway/scene.ts';

export interface Directly {
  readonly user?: string;
  readonly group?: string;
  readonly input?: string;
}

export interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration: number;
}

/** A scene whose gateway serves the webhook too, on a cluster of its own: it speaks of all policies of its cluster. */
export class SecondLeg {
  readonly scene: Scene;
  readonly port: number;
  /** What its policy's status said while the controller could not write the webhook's configuration. */
  early: Condition | undefined;

  private constructor(scene: Scene, port: number) {
    this.scene = scene;
    this.port = port;
  }

  /** @param rules of the scene's policy, as for Scene.open @param on whose cluster, which ends with the scene */
  static async open(
    prefix: string,
    rules: string,
    controller: object = {},
    on: { readonly cluster?: Cluster; readonly recording?: boolean } = {},
  ): Promise<SecondLeg> {
    const cluster = on.cluster ?? (await startCluster());
    const port = await freePort();
    const scene = await Scene.open(prefix, {
      cluster,
      rules,
      recording: on.recording ?? false,
      adjust: (configuration) => {
        const { tls } = configuration.listen;
        const webhook = {
          url: `https://127.0.0.1:${port}/admit`,
          caFile: tls.certFile.replace('tls.crt', 'ca.crt'),
          ownerClusterRole: 'sallyport-admission',
        };
        configuration.admission = { address: '127.0.0.1', port, tls, webhook };
        configuration.controller = controller;
      },
    });
    await cluster.apply(`
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: direct, namespace: ${scene.namespace}}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: ${scene.group}}]
`);
    const leg = new SecondLeg(scene, port);
    leg.early = await leg.ready(scene.namespace, 'NotCalled');
    // Until here the controller was refused, and it goes on trying.
    const rbac = readFileSync(new URL('../../examples/rbac/admission.yaml', import.meta.url), 'utf8');
    await cluster.apply(rbac.replaceAll('sallyport-system', scene.gateway.namespace));
    await leg.#called();
    return leg;
  }

  /** As a credential of the API server's own would have it: the same person, around the gate. */
  readonly direct = (args: string[], options: Directly = {}): Promise<CommandResult> => {
    const { scene } = this;
    const as = [`--as=${options.user ?? scene.user}`, `--as-group=${options.group ?? scene.group}`];
    const input = options.input === undefined ? {} : { input: options.input };
    return scene.cluster.kubectl([...args, '-n', scene.namespace, ...as], input);
  };

  async conditions(policy: string): Promise<readonly Condition[]> {
    const { stdout } = await this.scene.cluster.kubectl(['get', 'agentpolicy', policy, '-o', 'json']);
    return (JSON.parse(stdout) as { status?: { conditions?: Condition[] } }).status?.conditions ?? [];
  }

  /** Waits until the condition Ready of a policy has this reason. */
  async ready(policy: string, reason: string, type = 'Ready'): Promise<Condition> {
    const end = Date.now() + 60_000;
    for (;;) {
      const conditions = await this.conditions(policy);
      const found = conditions.find((one) => one.type === type && one.reason === reason);
      if (found !== undefined) return found;
      if (Date.now() > end) throw new Error(`${policy} is never ${reason}: ${JSON.stringify(conditions)}`);
    }
  }

  async close(): Promise<void> {
    await this.scene.close();
  }

  /** The controller writes the configuration itself, once a replica answers; the API server takes a moment to hear of it. */
  async #called(): Promise<void> {
    const end = Date.now() + 60_000;
    while (Date.now() < end) {
      // A name that only the gateway gives: whoever is let in by RBAC meets the webhook's own refusal.
      const { stderr } = await this.scene.cluster.kubectl([
        'create',
        'configmap',
        'probe',
        '-n',
        this.scene.namespace,
        '--dry-run=server',
        '--as=sallyport:probe',
        `--as-group=${this.scene.group}`,
      ]);
      if (stderr.includes('SP_NOT_THROUGH_GATE')) return;
    }
    throw new Error(`the webhook is never called: ${JSON.stringify(this.scene.gateway.log.slice(-5))}`);
  }
}
