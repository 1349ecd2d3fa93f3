import { Agent, request } from 'undici';
import { governedExpression } from '../admission/governed-expression.ts';
import type { PolicyWebhookConfiguration } from '../config/policy-webhook.ts';
import { Informer } from '../kubernetes/informer.ts';
import { isStored, type OwnerReference } from '../kubernetes/object.ts';
import { serviceAddress } from '../kubernetes/service-address.ts';
import type { Transport } from '../kubernetes/transport.ts';
import type { Logger } from '../observe/log.ts';
import type { Metrics } from '../observe/metrics.ts';
import type { AgentPolicy, Subject } from '../policy/agent-policy.ts';
import { OWN_KINDS } from '../upstream/own-kinds.ts';
import { WorkQueue } from './work-queue.ts';

export interface PolicyWebhookOptions {
  readonly transport: Transport;
  readonly configuration: PolicyWebhookConfiguration;
  /** PEM: what API servers accept for the webhook; while one replaces another, both. @throws Error while there is none */
  readonly authorities: () => Promise<string>;
  /** The gateway's. */
  readonly namespace: string;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** Milliseconds: what somebody else changed in the configuration stands so long at most. */
const HEAL = 10_000;
/** A burst of policies (`kubectl apply -f dir`) is one change. */
const SETTLE = 200;
const ANSWERS_WITHIN = 5_000;
const KEY = 'webhook';

/**
 * Owns the ValidatingWebhookConfiguration of the second leg. It is written only once a replica answers on its address under
 * its CA and a policy is there, and its one match condition is kept in step with the subjects of all policies, so that the
 * API server calls for governed identities and for nobody else.
 */
export class PolicyWebhook {
  readonly #options: PolicyWebhookOptions;
  readonly #subjects: Informer<readonly Subject[]>;
  readonly #queue: WorkQueue;
  #written: string | undefined;

  constructor(options: PolicyWebhookOptions) {
    this.#options = options;
    const { log, metrics, transport } = options;
    this.#queue = new WorkQueue({
      work: () => this.#reconcile(),
      workers: 1,
      onError: (error) => log.warn({ error }, 'the policy webhook could not be kept in step; it is tried again'),
    });
    const changed = (): void => this.#queue.addAfter(KEY, SETTLE);
    const { group, version, resource } = OWN_KINDS.AgentPolicy;
    this.#subjects = new Informer<readonly Subject[]>(transport, {
      name: 'controller/AgentPolicy',
      path: { group, version, resource },
      accept: (object) => (object as unknown as AgentPolicy).spec.subjects ?? [],
      handlers: { add: changed, update: changed, delete: changed },
      onFailure: (error, failures) => {
        metrics.watchFailures.inc('controller/AgentPolicy');
        log.warn({ error, failures, informer: 'controller/AgentPolicy' }, 'a watch failed and is begun anew');
      },
    });
  }

  /** Something that it is made from has changed. */
  lookAgain(): void {
    if (this.#written !== undefined) this.#queue.add(KEY);
  }

  /** Works until the signal aborts; resolves when nothing more will be written. The configuration stays: agents stay governed. */
  async run(signal: AbortSignal): Promise<void> {
    this.#subjects.start();
    const aborted = new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
    await Promise.race([aborted, this.#subjects.whenSynced()]);
    if (!signal.aborted) this.#queue.add(KEY);
    await aborted;
    await Promise.all([this.#queue.stop(), this.#subjects.stop()]);
  }

  async #reconcile(): Promise<void> {
    const policies = [...this.#subjects.values()];
    const { configuration, log, transport } = this.#options;
    if (policies.length === 0 && this.#written === undefined) return;
    const ca = await this.#options.authorities();
    // Never before somebody answers: the API server would refuse every governed write from that moment on.
    if (this.#written === undefined) await this.#mustAnswer(ca);
    const owner = await this.#owner();
    const desired = webhookConfiguration(configuration, this.#options.namespace, ca, policies.flat(), owner);
    await transport.ask({
      verb: 'patch',
      path: {
        group: 'admissionregistration.k8s.io',
        version: 'v1',
        resource: 'validatingwebhookconfigurations',
        name: configuration.name,
      },
      // Server-side apply: what is written is what is wanted, whoever changed it meanwhile.
      query: { fieldManager: 'sallyport-controller', force: 'true' },
      patchType: 'application/apply-patch+yaml',
      body: desired,
    });
    const text = JSON.stringify(desired);
    if (text !== this.#written)
      log.info({ policies: policies.length }, 'the policy webhook is in step with the policies');
    this.#written = text;
    this.#queue.addAfter(KEY, HEAL);
  }

  async #owner(): Promise<OwnerReference | undefined> {
    const { configuration, transport } = this.#options;
    const name = configuration.ownerClusterRole;
    if (name === undefined) return undefined;
    const path = { group: 'rbac.authorization.k8s.io', version: 'v1', resource: 'clusterroles', name };
    const role = await transport.ask({ verb: 'get', path });
    if (!isStored(role)) throw new Error(`the ClusterRole ${name} could not be read`);
    return { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', name, uid: role.metadata.uid };
  }

  /** @throws Error when no replica answers there, under that CA */
  async #mustAnswer(ca: string): Promise<void> {
    const { configuration, namespace, transport } = this.#options;
    const { service, url } = configuration;
    const found = service && (await serviceAddress(transport, namespace, service.name, service.port));
    const address = found === undefined ? url! : `${found.origin}/admit`;
    const dispatcher = new Agent({
      connect: { ca, timeout: ANSWERS_WITHIN, ...(found && { servername: found.serverName }) },
      bodyTimeout: ANSWERS_WITHIN,
    });
    try {
      const { statusCode, body } = await request(address, { dispatcher, headersTimeout: ANSWERS_WITHIN });
      await body.dump();
      // A GET is refused with 405 by the webhook, and by nothing else.
      if (statusCode !== 405) throw new Error(`${address} answers ${statusCode}, which is not the webhook`);
    } finally {
      await dispatcher.destroy();
    }
  }
}

/** The object as it should be. */
export function webhookConfiguration(
  configuration: PolicyWebhookConfiguration,
  namespace: string,
  ca: string,
  subjects: readonly Subject[],
  owner?: OwnerReference,
) {
  const { name, service, url, timeoutSeconds } = configuration;
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingWebhookConfiguration',
    metadata: {
      name,
      labels: { 'app.kubernetes.io/part-of': 'sallyport' },
      ...(owner === undefined ? {} : { ownerReferences: [owner] }),
    },
    webhooks: [
      {
        name: 'policy.sallyport.dev',
        admissionReviewVersions: ['v1'],
        clientConfig: {
          ...(url === undefined ? { service: { ...service, namespace, path: '/admit' } } : { url }),
          caBundle: Buffer.from(ca).toString('base64'),
        },
        failurePolicy: 'Fail',
        matchPolicy: 'Equivalent',
        // A person is asked; of a dry run nobody is.
        sideEffects: 'NoneOnDryRun',
        timeoutSeconds,
        matchConditions: [{ name: 'governed', expression: governedExpression(subjects) }],
        rules: [
          {
            apiGroups: ['*'],
            apiVersions: ['*'],
            operations: ['CREATE', 'UPDATE', 'DELETE', 'CONNECT'],
            resources: ['*/*'],
            scope: '*',
          },
        ],
      },
    ],
  };
}
