import { readFile } from 'node:fs/promises';
import type { AdmissionConfiguration } from '../config/admission.ts';
import type { SecretStore } from '../identity/session-key.ts';

/**
 * PEM: the authorities that API servers accept for the webhook, from the file or the Secret that the configuration names.
 * @throws Error while there are none
 */
export async function webhookAuthorities(
  { tls, webhook }: AdmissionConfiguration,
  secrets: Pick<SecretStore, 'get'>,
): Promise<string> {
  if (webhook?.caFile !== undefined) return await readFile(webhook.caFile, 'utf8');
  const pem = (await secrets.get(tls.secretName!))?.data['ca.crt'];
  if (pem === undefined || !pem.includes('-----BEGIN CERTIFICATE-----')) {
    throw new Error(`the Secret ${tls.secretName} has no ca.crt yet, which API servers need to trust the webhook`);
  }
  return pem;
}
