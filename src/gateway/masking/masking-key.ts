import { hkdfSync } from 'node:crypto';

/**
 * The key of placeholders, derived from the installation's: the same on every replica and after every restart. Whoever
 * replaces the installation key voids all placeholders that are out.
 */
export function maskingKey(installationKey: Uint8Array): Buffer {
  return Buffer.from(hkdfSync('sha256', installationKey, '', 'sallyport.dev/masking', 32));
}
