import type { AdmissionConfiguration } from '../config/admission.ts';
import type { SecretStore } from '../identity/session-key.ts';
import type { Informer } from '../kubernetes/informer.ts';
import type { Transport } from '../kubernetes/transport.ts';
import type { Logger } from '../observe/log.ts';
import type { Metrics } from '../observe/metrics.ts';
import type { Own } from '../upstream/own.ts';
import { PolicyConditions } from './policy-conditions.ts';
import { policyViews } from './policy-view.ts';
import { PolicyWebhook } from './policy-webhook.ts';
import { webhookAuthorities } from './webhook-authorities.ts';

export interface PoliciesOptions {
  readonly transport: Transport;
  readonly own: Own;
  readonly secrets: SecretStore;
  readonly admission: AdmissionConfiguration | undefined;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** What is kept in step with the policies by one replica for all: the webhook's configuration, and what each policy's status says of it. */
export class PolicyKeeper {
  readonly #policies: ReturnType<typeof policyViews>;
  readonly #webhook: PolicyWebhook | undefined;
  readonly #conditions: PolicyConditions;

  constructor(options: PoliciesOptions) {
    const { admission, log, metrics, own, secrets, transport } = options;
    const policies = policyViews(transport, log, metrics, ({ name }) => {
      this.#webhook?.changed();
      this.#conditions.changed(name);
    });
    this.#policies = policies;
    const { namespace } = own;
    const webhook =
      admission?.webhook &&
      new PolicyWebhook({
        transport,
        own,
        policies,
        configuration: admission.webhook,
        authorities: () => webhookAuthorities(admission, secrets),
        namespace,
        log,
        onProof: () => this.#conditions.allChanged(),
      });
    this.#webhook = webhook;
    const proof = webhook && (() => webhook.proof);
    this.#conditions = new PolicyConditions({ own, policies, proof, log, metrics });
  }

  get informers(): readonly Informer<unknown>[] {
    return [this.#policies] as readonly Informer<unknown>[];
  }

  /** The authorities of the webhook may be others. */
  lookAgain(): void {
    this.#webhook?.lookAgain();
  }

  /** Works until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    this.#policies.start();
    await Promise.all([this.#webhook?.run(signal), this.#conditions.run(signal)]);
    await this.#policies.stop();
  }
}
