import { createPrivateKey, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import type { KeyPair } from './certificate-authority.ts';

const PEM = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/** Each certificate of a PEM text that can be read. */
export function certificatesIn(pem: string | undefined): readonly X509Certificate[] {
  return (pem?.match(PEM) ?? []).flatMap((text) => {
    try {
      return [new X509Certificate(text)];
    } catch {
      return [];
    }
  });
}

/** A pair as it was stored; undefined where it is none, or one whose halves do not fit. */
export function heldPair(cert: string | undefined, key: string | undefined): HeldPair | undefined {
  const [certificate] = certificatesIn(cert);
  if (certificate === undefined || key === undefined) return undefined;
  try {
    if (!certificate.checkPrivateKey(createPrivateKey(key))) return undefined;
  } catch {
    return undefined;
  }
  return { pair: { cert: cert!, key }, certificate };
}

export interface HeldPair {
  readonly pair: KeyPair;
  readonly certificate: X509Certificate;
}

/** Milliseconds that it is still good for. */
export const remaining = ({ certificate }: HeldPair, now: number): number => certificate.validToDate.getTime() - now;

/** Whether exactly these names are in it. */
export function isFor({ certificate }: HeldPair, hosts: readonly string[]): boolean {
  const names = (certificate.subjectAltName ?? '').split(', ').filter((name) => name !== '');
  return names.length === hosts.length && hosts.every((host) => isNamed(certificate, host));
}

const isNamed = (certificate: X509Certificate, host: string): boolean =>
  isIP(host) === 0
    ? (certificate.subjectAltName ?? '').split(', ').includes(`DNS:${host}`)
    : certificate.checkIP(host) !== undefined;

export const isSignedBy = ({ certificate }: HeldPair, authority: HeldPair): boolean =>
  certificate.checkIssued(authority.certificate) && certificate.verify(authority.certificate.publicKey);
