import type { GatewayConfiguration } from '../config/gateway.ts';
import { SallyportError } from '../errors.ts';
import { boundsFor, Informer } from '../kubernetes/informer.ts';
import type { KubernetesObject } from '../kubernetes/object.ts';
import type { Transport } from '../kubernetes/transport.ts';
import type { Logger } from '../observe/log.ts';
import type { Metrics } from '../observe/metrics.ts';
import type { AgentPolicy } from '../policy/agent-policy.ts';
import { type CelValue, parseJson } from '../policy/cel/engine.ts';
import { compile, type PolicyOptions, type PolicySet } from '../policy/policy-set.ts';

export interface PoliciesOptions {
  readonly transport: Transport;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly configuration: GatewayConfiguration;
  /** Told of every failure of a watch; it is begun anew whatever happens. */
  readonly onFailure?: (error: Error) => void;
}

interface ServedVersion {
  readonly key: string;
  readonly local: boolean;
}

/** Changes that come in one burst (a list, a `kubectl apply -f dir`) are compiled together; short enough for "within a second". */
const SETTLE = 25;

/** The policies in force, kept by watches: always one whole compiled set, exchanged in one assignment. */
export class Policies {
  readonly #options: PoliciesOptions;
  readonly #policyOptions: PolicyOptions;
  readonly #policies: Informer<AgentPolicy>;
  readonly #namespaces: Informer<CelValue>;
  readonly #served: Informer<ServedVersion>;
  readonly #servedLocally = new Set<string>();
  #set: PolicySet | undefined;
  #fault: string | undefined;
  #timer: NodeJS.Timeout | undefined;
  readonly #listeners = new Set<(set: PolicySet) => void>();

  constructor(options: PoliciesOptions) {
    this.#options = options;
    const { policy, upstream } = options.configuration;
    this.#policyOptions = {
      gatewayNamespace: upstream.namespace,
      allNamespaces: 'Exclude',
      defaultEnforcement: policy.defaultEnforcement,
      limits: { totalMilliseconds: policy.celDeadline },
    };
    options.metrics.auditByDefault.set(policy.defaultEnforcement === 'Audit' ? 1 : 0);
    const changed = (): void => this.#schedule();
    this.#policies = this.#watch<AgentPolicy>('AgentPolicy', 'sallyport.dev', 'v1alpha1', 'agentpolicies', {
      accept: (object) => object as unknown as AgentPolicy,
      handlers: { add: changed, update: changed, delete: changed, settled: () => this.#settled() },
    });
    this.#namespaces = this.#watch<CelValue>('Namespace', '', 'v1', 'namespaces', {
      metadataOnly: true,
      accept: namespaceValue,
      handlers: {},
    });
    const serves = (one: ServedVersion): void => {
      if (one.local) this.#servedLocally.add(one.key);
      else this.#servedLocally.delete(one.key);
    };
    this.#served = this.#watch<ServedVersion>('APIService', 'apiregistration.k8s.io', 'v1', 'apiservices', {
      accept: servedVersion,
      handlers: { add: serves, update: serves, delete: (one) => void this.#servedLocally.delete(one.key) },
    });
  }

  get informers(): readonly Informer<unknown>[] {
    return [this.#policies, this.#namespaces, this.#served] as readonly Informer<unknown>[];
  }

  async start(): Promise<void> {
    for (const informer of this.informers) informer.start();
    await Promise.all(this.informers.map((informer) => informer.whenSynced()));
    this.#compile();
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    await Promise.all(this.informers.map((informer) => informer.stop()));
  }

  /**
   * The set in force.
   * @throws SallyportError SP_POLICY_NOT_LOADED before the first, and when it may be outdated
   */
  current(): PolicySet {
    const problem = this.check();
    if (problem !== true) {
      const message = `${problem}: nothing passes meanwhile; try again`;
      throw new SallyportError('SP_POLICY_NOT_LOADED', message, { retryAfter: 2 });
    }
    return this.#set!;
  }

  /** For readiness. */
  check(): true | string {
    if (this.#fault !== undefined) return this.#fault;
    if (this.#set === undefined) return 'the policies are not loaded yet';
    const { staleAfter } = this.#options.configuration.policy;
    for (const informer of this.informers) {
      if (informer.age() > staleAfter) return `the watch on ${informer.name} objects is stale`;
    }
    return true;
  }

  namespace(name: string): CelValue | undefined {
    return this.#namespaces.get(name);
  }

  /** Whether kube-apiserver itself serves it, CRDs among it; of a group never heard of: no. */
  servedByAPIServer(group: string, version: string): boolean {
    return this.#servedLocally.has(`${group}/${version}`);
  }

  onChange(listener: (set: PolicySet) => void): void {
    this.#listeners.add(listener);
  }

  #schedule(): void {
    if (this.#set === undefined && this.#fault === undefined) return;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#compile();
    }, SETTLE);
  }

  /** What was missed while nothing could be heard is in force before anything passes again. */
  #settled(): void {
    if (this.#timer === undefined || this.#policies.age() <= this.#options.configuration.policy.staleAfter) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#compile();
  }

  #compile(): void {
    const { log, metrics } = this.#options;
    const started = performance.now();
    let set: PolicySet;
    try {
      set = compile([...this.#policies.values()], this.#policyOptions, this.#set);
      this.#fault = undefined;
    } catch (error) {
      // What is in force is not what was written: nothing may pass on it.
      this.#fault = 'the policies could not be compiled';
      log.error({ error }, this.#fault);
      return;
    }
    this.#set = set;
    metrics.policyLoads.inc();
    metrics.policyCompileErrors.set(set.errors.length);
    for (const enforcement of ['Enforce', 'Warn', 'Audit'] as const) {
      metrics.policies.set(set.policies.filter((one) => one.enforcement === enforcement).length, enforcement);
    }
    const milliseconds = Math.round((performance.now() - started) * 10) / 10;
    log.info({ policies: set.policies.length, compileErrors: set.errors.length, milliseconds }, 'policies in force');
    for (const error of set.errors) log.warn({ compileError: error }, 'a policy does not compile');
    for (const listener of this.#listeners) listener(set);
  }

  #watch<T>(
    name: string,
    group: string,
    version: string,
    resource: string,
    rest: Pick<ConstructorParameters<typeof Informer<T>>[1], 'accept' | 'handlers' | 'metadataOnly'>,
  ): Informer<T> {
    const { log, metrics, transport } = this.#options;
    return new Informer<T>(transport, {
      name,
      path: { group, version, resource },
      bounds: boundsFor(this.#options.configuration.policy.staleAfter),
      ...rest,
      onFailure: (error, failures) => {
        metrics.watchFailures.inc(name);
        log.warn({ error, failures, informer: name }, 'a watch failed and is begun anew');
        this.#options.onFailure?.(error);
      },
    });
  }
}

/** Only what policies may read: names and labels. Annotations can hold the whole manifest again. */
function namespaceValue(object: KubernetesObject): CelValue {
  const { name, uid, labels } = object.metadata;
  return parseJson(
    JSON.stringify({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, uid, labels: labels ?? {} } }),
  );
}

function servedVersion(object: KubernetesObject): ServedVersion {
  const { spec } = object as KubernetesObject & { spec?: { group?: string; version?: string; service?: unknown } };
  return { key: `${spec?.group ?? ''}/${spec?.version ?? ''}`, local: (spec?.service ?? null) === null };
}
