import { X509Certificate } from 'node:crypto';
import type { CertificatesConfiguration } from '../../config/certificates.ts';
import type { PolicyWebhookConfiguration } from '../../config/policy-webhook.ts';
import type { SecretStore } from '../../identity/session-key.ts';
import { BackOff, pause } from '../../kubernetes/back-off.ts';
import type { Logger } from '../../observe/log.ts';
import type { Metrics } from '../../observe/metrics.ts';
import { certificateHosts } from './certificate-hosts.ts';
import { rotate, type SecretData } from './rotation.ts';

export interface CertificatesOptions {
  readonly configuration: CertificatesConfiguration;
  readonly webhook: PolicyWebhookConfiguration | undefined;
  /** The gateway's. */
  readonly namespace: string;
  readonly secrets: SecretStore;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Told of each change once it is stored. */
  readonly onChange: () => void;
}

/** Milliseconds: a Secret that somebody deletes is made anew within. */
const INTERVAL = 10_000;

/** Keeps the own authority and the certificate that it signs: one replica at a time, and a write that lost a race is no harm. */
export class Certificates {
  readonly #options: CertificatesOptions;
  readonly #hosts: readonly string[];

  constructor(options: CertificatesOptions) {
    this.#options = options;
    this.#hosts = certificateHosts(options.configuration, options.webhook, options.namespace);
  }

  /** Works until the signal aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const backOff = new BackOff(500, INTERVAL);
    while (!signal.aborted) {
      try {
        const next = await this.#reconcile();
        backOff.reset();
        await pause(Math.min(next, INTERVAL), signal);
      } catch (error) {
        this.#options.log.warn({ error }, 'the certificates could not be looked after; it is tried again');
        await pause(backOff.next(), signal);
      }
    }
  }

  async #reconcile(): Promise<number> {
    const { configuration, secrets, log, metrics } = this.#options;
    const { secretName, authoritySecretName } = configuration;
    const [authority, serving] = await Promise.all([secrets.get(authoritySecretName), secrets.get(secretName)]);
    const held = { authority: authority?.data, serving: serving?.data };
    const step = await rotate(held, { ...configuration, hosts: this.#hosts }, Date.now());
    // The key first: a certificate whose authority nobody keeps could never be followed by another of the same.
    const stored = [
      await this.#store(authoritySecretName, step.authority, authority),
      await this.#store(secretName, step.serving, serving),
    ];
    if (stored.includes('Conflict')) return 0;
    if (stored.some((one) => one !== 'Unchanged')) this.#options.onChange();
    for (const what of step.done) log.info({ secretName, authoritySecretName }, `certificates: ${what}`);
    const signer = step.authority['tls.crt'];
    if (signer !== undefined) {
      metrics.certificateExpiry.set(new X509Certificate(signer).validToDate.getTime() / 1_000, 'authority');
    }
    return step.next;
  }

  async #store(name: string, data: SecretData, held: { data: SecretData; resourceVersion: string } | undefined) {
    const { secrets } = this.#options;
    if (held === undefined) return await secrets.create(name, data);
    if (isSame(held.data, data)) return 'Unchanged';
    return await secrets.update(name, data, held.resourceVersion);
  }
}

function isSame(a: SecretData, b: SecretData): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}
