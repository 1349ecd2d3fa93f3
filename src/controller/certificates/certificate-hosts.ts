import type { CertificatesConfiguration } from '../../config/certificates.ts';
import type { PolicyWebhookConfiguration } from '../../config/policy-webhook.ts';

/**
 * The names that the certificate is for.
 * @throws Error where there are none
 */
export function certificateHosts(
  configuration: CertificatesConfiguration,
  webhook: PolicyWebhookConfiguration | undefined,
  namespace: string,
): readonly string[] {
  const { dnsNames, ipAddresses } = configuration;
  const service = webhook?.service?.name;
  const own =
    service === undefined
      ? []
      : [
          service,
          `${service}.${namespace}`,
          `${service}.${namespace}.svc`,
          `${service}.${namespace}.svc.cluster.local`,
        ];
  const url = webhook?.url === undefined ? [] : [new URL(webhook.url).hostname.replace(/^\[(.*)\]$/, '$1')];
  const hosts = [...new Set([...own, ...url, ...dnsNames, ...ipAddresses])];
  if (hosts.length === 0) throw new Error('certificates: give dnsNames or ipAddresses, what the gateway is reached by');
  return hosts;
}
