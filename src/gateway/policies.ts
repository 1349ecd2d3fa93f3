import type { GatewayConfiguration } from '../config/gateway.ts';
import { boundsFor, Informer } from '../kubernetes/informer.ts';
import type { KubernetesObject } from '../kubernetes/object.ts';
import type { Transport } from '../kubernetes/transport.ts';
import type { AgentPolicy } from '../policy/agent-policy.ts';
import { type CelValue, parseJson } from '../policy/cel/engine.ts';
import { compile, type PolicySet } from '../policy/policy-set.ts';
import { CompiledSet } from './compiled-set.ts';
import { type WatchFailureOptions, watchFailure } from './watch-failure.ts';

export interface PoliciesOptions extends WatchFailureOptions {
  readonly transport: Transport;
  readonly configuration: GatewayConfiguration;
}

interface ServedVersion {
  readonly key: string;
  readonly local: boolean;
}

/** The policies in force, and what they ask of Namespaces and API groups, kept by watches. */
export class Policies {
  readonly #options: PoliciesOptions;
  readonly #policies: CompiledSet<AgentPolicy, PolicySet>;
  readonly #namespaces: Informer<CelValue>;
  readonly #servedLocally = new Set<string>();
  readonly #listeners = new Set<(set: PolicySet) => void>();

  constructor(options: PoliciesOptions) {
    this.#options = options;
    const { policy, upstream } = options.configuration;
    options.metrics.auditByDefault.set(policy.defaultEnforcement === 'Audit' ? 1 : 0);
    this.#namespaces = this.#watch<CelValue>('Namespace', '', 'v1', 'namespaces', {
      metadataOnly: true,
      accept: namespaceValue,
      handlers: {},
    });
    const serves = (one: ServedVersion): void => {
      if (one.local) this.#servedLocally.add(one.key);
      else this.#servedLocally.delete(one.key);
    };
    const served = this.#watch<ServedVersion>('APIService', 'apiregistration.k8s.io', 'v1', 'apiservices', {
      accept: servedVersion,
      handlers: { add: serves, update: serves, delete: (one) => void this.#servedLocally.delete(one.key) },
    });
    const policyOptions = {
      gatewayNamespace: upstream.namespace,
      allNamespaces: 'Exclude',
      defaultEnforcement: policy.defaultEnforcement,
      limits: { totalMilliseconds: policy.celDeadline },
    } as const;
    this.#policies = new CompiledSet({
      what: 'policies',
      code: 'SP_POLICY_NOT_LOADED',
      staleAfter: policy.staleAfter,
      log: options.log,
      watch: (handlers) =>
        this.#watch<AgentPolicy>('AgentPolicy', 'sallyport.dev', 'v1alpha1', 'agentpolicies', {
          accept: withoutFieldOwners,
          handlers,
        }),
      beside: [this.#namespaces, served] as readonly Informer<unknown>[],
      compile: (objects, before) => compile(objects, policyOptions, before),
      inForce: (set, _objects, milliseconds) => this.#inForce(set, milliseconds),
    });
  }

  get informers(): readonly Informer<unknown>[] {
    return this.#policies.informers;
  }

  start(): Promise<void> {
    return this.#policies.start();
  }

  stop(): Promise<void> {
    return this.#policies.stop();
  }

  /**
   * The set in force.
   * @throws SallyportError SP_POLICY_NOT_LOADED before the first, and when it may be outdated
   */
  current(): PolicySet {
    return this.#policies.current();
  }

  /** For readiness. */
  check(): true | string {
    return this.#policies.check();
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

  #inForce(set: PolicySet, milliseconds: number): void {
    const { log, metrics } = this.#options;
    metrics.policyLoads.inc();
    metrics.policyCompileErrors.set(set.errors.length);
    for (const enforcement of ['Enforce', 'Warn', 'Audit'] as const) {
      metrics.policies.set(set.policies.filter((one) => one.enforcement === enforcement).length, enforcement);
    }
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
    return new Informer<T>(this.#options.transport, {
      name,
      path: { group, version, resource },
      bounds: boundsFor(this.#options.configuration.policy.staleAfter),
      ...rest,
      onFailure: watchFailure(this.#options, name),
    });
  }
}

/** Who last wrote which field is longer than what was written, and nobody here asks: for 200 policies 2 MB. */
function withoutFieldOwners(object: KubernetesObject): AgentPolicy {
  const { managedFields: _, ...metadata } = object.metadata as { managedFields?: unknown };
  return { ...object, metadata } as unknown as AgentPolicy;
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
