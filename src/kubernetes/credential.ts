import { createPrivateKey, X509Certificate } from 'node:crypto';
import { ReloadedFile } from './reloaded-file.ts';

/** A value that may change while the process runs, and how often it has. */
export interface Source {
  current(): string;
  readonly revision: number;
  refresh(): Promise<void>;
}

export function fixed(content: string): Source {
  return { current: () => content, revision: 0, refresh: async () => {} };
}

type OnError = (error: unknown) => void;

/** A bearer token in a file, re-read when it changes. Surrounding white space is the file's, not the token's. */
export function tokenFile(path: string, onError: OnError): Source {
  const file = new ReloadedFile(path, {
    onError,
    validate: (content) => checkToken(content.trim(), `token file ${path}`),
  });
  return {
    current: () => file.current().trim(),
    refresh: () => file.refresh(),
    get revision() {
      return file.revision;
    },
  };
}

/** A PEM bundle of CA certificates in a file. */
export function caFile(path: string, onError: OnError): Source {
  return new ReloadedFile(path, { onError, validate: (content) => checkCertificates(content, `CA file ${path}`) });
}

export function certificateFile(path: string, onError: OnError): Source {
  return new ReloadedFile(path, { onError, validate: (content) => checkCertificates(content, `certificate ${path}`) });
}

export function keyFile(path: string, onError: OnError): Source {
  return new ReloadedFile(path, { onError, validate: (content) => checkKey(content, `key ${path}`) });
}

/** The error never holds the token. */
export function checkToken(token: string, what: string): void {
  if (!/^[\x21-\x7e]{1,65536}$/.test(token))
    throw new Error(`${what}: not a bearer token (empty, too long, or with white space)`);
}

export function checkCertificates(pem: string, what: string): void {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g);
  if (blocks === null) throw new Error(`${what}: no PEM certificate in it`);
  for (const block of blocks) {
    try {
      new X509Certificate(block);
    } catch (cause) {
      throw new Error(`${what}: a certificate in it cannot be read`, { cause });
    }
  }
}

export function checkKey(pem: string, what: string): void {
  try {
    createPrivateKey(pem);
  } catch {
    // No cause: an error of the parser must not carry a piece of the key.
    throw new Error(`${what}: not a private key in PEM`);
  }
}
