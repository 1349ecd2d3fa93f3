import { readFile } from 'node:fs/promises';
import type { ServingTLS } from '../config/tls.ts';
import type { SecretStore } from '../identity/session-key.ts';

/** PEM texts of a server. */
export interface CertificateMaterial {
  readonly cert: string;
  readonly key: string;
}

export interface CertificateSource {
  /** For errors: which files, or which Secret. */
  readonly description: string;
  /** @returns undefined while there is none yet, of a source that somebody fills. @throws Error */
  read(): Promise<CertificateMaterial | undefined>;
}

/** What the configuration names: files, or a Secret. */
export function certificateSource(tls: ServingTLS, secrets: Pick<SecretStore, 'get'>): CertificateSource {
  const { secretName, certFile, keyFile } = tls;
  return secretName === undefined ? fromFiles(certFile!, keyFile!) : fromSecret(secretName, secrets);
}

function fromFiles(certFile: string, keyFile: string): CertificateSource {
  return {
    description: `the certificate in ${certFile} and the key in ${keyFile}`,
    async read() {
      const [cert, key] = await Promise.all([readFile(certFile, 'utf8'), readFile(keyFile, 'utf8')]);
      return { cert, key };
    },
  };
}

function fromSecret(name: string, secrets: Pick<SecretStore, 'get'>): CertificateSource {
  return {
    description: `tls.crt and tls.key of the Secret ${name}`,
    async read() {
      const data = (await secrets.get(name))?.data;
      const [cert, key] = [data?.['tls.crt'], data?.['tls.key']];
      // cert-manager makes the Secret before it is filled.
      return cert && key ? { cert, key } : undefined;
    },
  };
}
