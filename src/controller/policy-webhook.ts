import { Agent, request } from 'undici';
import type { PolicyWebhookConfiguration } from '../config/policy-webhook.ts';
import type { Informer } from '../kubernetes/informer.ts';
import { isStored, type OwnerReference } from '../kubernetes/object.ts';
import { serviceAddress } from '../kubernetes/service-address.ts';
import type { Transport } from '../kubernetes/transport.ts';
import type { Logger } from '../observe/log.ts';
import type { Own } from '../upstream/own.ts';
import type { PolicyView } from './policy-view.ts';
import { compileWebhook, policyWebhook } from './webhook-configuration.ts';
import { probeWebhook } from './webhook-probing.ts';
import { WorkQueue } from './work-queue.ts';

export interface PolicyWebhookOptions {
  readonly transport: Transport;
  readonly own: Pick<Own, 'get'>;
  readonly policies: Informer<PolicyView>;
  readonly configuration: PolicyWebhookConfiguration;
  /** PEM: what API servers accept for the webhook; while one replaces another, both. @throws Error while there is none */
  readonly authorities: () => Promise<string>;
  /** The gateway's. */
  readonly namespace: string;
  readonly log: Logger;
  /** Told whenever `proof` may be another. */
  readonly onProof: () => void;
}

/** Whether the API server calls, and for which generation of which policy. */
export interface Proof {
  /** Why not; undefined where it does. */
  readonly problem: string | undefined;
  /** Generations by uid. */
  readonly generations: ReadonlyMap<string, number>;
}

/** Milliseconds: what somebody else changed in the configuration stands so long at most. */
const HEAL = 10_000;
/** A burst of policies (`kubectl apply -f dir`) is one change. */
const SETTLE = 200;
const ANSWERS_WITHIN = 5_000;
const KEY = 'webhook';

/**
 * Owns the ValidatingWebhookConfigurations. The second leg's is written only once a replica answers on its address under
 * its authorities and a policy is there, and its one match condition is kept in step with the subjects of all policies, so that the
 * API server calls for governed identities and for nobody else. That it does call is then tried out.
 */
export class PolicyWebhook {
  readonly #options: PolicyWebhookOptions;
  readonly #queue: WorkQueue;
  #written: string | undefined;
  #proof: Proof = { problem: 'the API server has not been seen to call the webhook yet', generations: new Map() };

  constructor(options: PolicyWebhookOptions) {
    this.#options = options;
    this.#queue = new WorkQueue({
      work: () => this.#reconcile(),
      workers: 1,
      onError: (error) => {
        options.log.warn({ error }, 'the policy webhook could not be kept in step; it is tried again');
        this.#prove({
          problem: `the webhook could not be set up: ${error.message}`,
          generations: this.#proof.generations,
        });
      },
    });
  }

  get proof(): Proof {
    return this.#proof;
  }

  /** A policy has changed. */
  changed(): void {
    this.#queue.addAfter(KEY, SETTLE);
  }

  /** Something else that it is made from has changed. */
  lookAgain(): void {
    if (this.#written !== undefined) this.#queue.add(KEY);
  }

  /** Works until the signal aborts; resolves when nothing more will be written. The configuration stays: agents stay governed. */
  async run(signal: AbortSignal): Promise<void> {
    const aborted = new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
    await Promise.race([aborted, this.#options.policies.whenSynced()]);
    if (!signal.aborted) this.#queue.add(KEY);
    await aborted;
    await this.#queue.stop();
  }

  async #reconcile(): Promise<void> {
    const policies = [...this.#options.policies.values()];
    const { configuration, namespace, log } = this.#options;
    if (policies.length === 0 && this.#written === undefined) return;
    const authorities = await this.#options.authorities();
    // Never before somebody answers: the API server would refuse every governed write from that moment on.
    if (this.#written === undefined) await this.#mustAnswer(authorities);
    const terms = { configuration, namespace, authorities, owner: await this.#owner() };
    const { object, mark } = policyWebhook(
      terms,
      policies.flatMap(({ subjects }) => subjects),
    );
    await this.#apply(configuration.name, object);
    await this.#apply(compileWebhook(terms).metadata.name, compileWebhook(terms));
    const text = JSON.stringify(object);
    if (text !== this.#written)
      log.info({ policies: policies.length }, 'the policy webhook is in step with the policies');
    this.#written = text;
    const { transport, own } = this.#options;
    const problem = await probeWebhook({ transport, own, namespace }, mark);
    const generations = new Map(policies.map(({ uid, generation }) => [uid, generation]));
    this.#prove(problem === undefined ? { problem, generations } : { problem, generations: this.#proof.generations });
    this.#queue.addAfter(KEY, HEAL);
  }

  #prove(proof: Proof): void {
    this.#proof = proof;
    this.#options.onProof();
  }

  async #apply(name: string, body: object): Promise<void> {
    await this.#options.transport.ask({
      verb: 'patch',
      path: {
        group: 'admissionregistration.k8s.io',
        version: 'v1',
        resource: 'validatingwebhookconfigurations',
        name,
      },
      // Server-side apply: what is written is what is wanted, whoever changed it meanwhile.
      query: { fieldManager: 'sallyport-controller', force: 'true' },
      patchType: 'application/apply-patch+yaml',
      body,
    });
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

  /** @throws Error when no replica answers there, under those authorities */
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
