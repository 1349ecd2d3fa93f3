import type { Source } from './credential.ts';

/**
 * Where the API server is, and with which credential the gateway's own account speaks to it. Both clients use it. TLS is
 * always verified. What comes from files is re-read when they change.
 */
export interface Connection {
  /** `https:`, host and port; no path. */
  readonly server: URL;
  /** The name that the serving certificate is checked for, where it is not the host's. */
  readonly serverName: string | undefined;
  /** PEM bundle; undefined: the system's roots. */
  ca(): string | undefined;
  /** `Bearer …`, or undefined where a client certificate speaks. */
  authorization(): string | undefined;
  clientCertificate(): { readonly cert: string; readonly key: string } | undefined;
  /** Changes when `ca()` or `clientCertificate()` changed: connections made before are not to be used for new requests. */
  trustRevision(): number;
  /** Looks at the files now: after a 401, before giving up. */
  refresh(): Promise<void>;
  /** For the log: where it comes from; no secret in it. */
  readonly description: string;
}

export interface Parts {
  readonly server: URL;
  readonly serverName: string | undefined;
  readonly ca: Source | undefined;
  readonly token: Source | undefined;
  readonly certificate: { readonly cert: Source; readonly key: Source } | undefined;
  readonly description: string;
}

export function assemble(parts: Parts): Connection {
  const { ca, token, certificate } = parts;
  return {
    server: parts.server,
    serverName: parts.serverName,
    description: parts.description,
    ca: () => ca?.current(),
    authorization: () => (token === undefined ? undefined : `Bearer ${token.current()}`),
    clientCertificate: () =>
      certificate === undefined ? undefined : { cert: certificate.cert.current(), key: certificate.key.current() },
    trustRevision: () => (ca?.revision ?? 0) + (certificate?.cert.revision ?? 0) + (certificate?.key.revision ?? 0),
    refresh: async () => {
      await Promise.all([ca, token, certificate?.cert, certificate?.key].map((source) => source?.refresh()));
    },
  };
}

/** @throws unless it is https, a host, maybe a port, and nothing else: plain HTTP would hand the credential to the wire. */
export function serverURL(text: string, what: string): URL {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new Error(`${what}: not a URL`);
  }
  if (url.protocol !== 'https:') throw new Error(`${what}: must begin with https:// (TLS is always verified)`);
  if (url.username !== '' || url.password !== '') throw new Error(`${what}: a URL with a password in it is refused`);
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '') {
    throw new Error(`${what}: a path after the host is not supported; give the API server's own address`);
  }
  return url;
}
