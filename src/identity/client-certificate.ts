import { X509Certificate } from 'node:crypto';
import type { ClientCertificateOptions } from '../config/identity.ts';
import type { Caller } from './caller.ts';
import { validCaller } from './name.ts';
import { credentialExpired, notAuthenticated } from './refusal.ts';
import { RereadFile } from './reread-file.ts';

/** id-kp-clientAuth, RFC 5280 section 4.2.1.12. */
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';

/** What is read of a TLS socket; node's TLSSocket, or an HTTP/2 session's proxy of it. */
export interface PeerSocket {
  readonly authorized: boolean;
  getPeerX509Certificate(): X509Certificate | undefined;
}

interface Seen {
  readonly certificate: X509Certificate | undefined;
  /** Of the files it was judged by; -1 when it has not been. */
  revision: number;
  caller: Caller | undefined;
}

/**
 * Callers by client certificate. TLS does not verify again when it resumes a session, so a certificate is judged here
 * for every connection, resumed ones too, by the authorities and the denylist as they are now; and its end, and a
 * change of either file, are looked at for every request.
 */
export class ClientCertificates {
  readonly #options: ClientCertificateOptions;
  readonly #authorities: RereadFile<readonly X509Certificate[]>;
  readonly #denied: RereadFile<ReadonlySet<string>> | undefined;
  readonly #now: () => number;
  readonly #foreign: { readonly usernames: readonly string[]; readonly groups: readonly string[] };
  readonly #seen = new WeakMap<object, Seen>();

  /** @throws when a file is missing or holds something else. */
  constructor(
    options: ClientCertificateOptions,
    foreign: { readonly usernames: readonly string[]; readonly groups: readonly string[] },
    now: () => number,
    onFileError: (path: string, error: unknown) => void,
    interval?: number,
  ) {
    const { caFile, denylistFile } = options;
    this.#options = options;
    this.#foreign = foreign;
    this.#now = now;
    this.#authorities = new RereadFile(caFile, parseAuthorities, (error) => onFileError(caFile, error), interval);
    if (denylistFile !== undefined) {
      this.#denied = new RereadFile(denylistFile, parseDenylist, (error) => onFileError(denylistFile, error), interval);
    }
  }

  /** Whether the client sent a certificate at all, good or not. */
  presents(socket: PeerSocket): boolean {
    return this.#see(socket).certificate !== undefined;
  }

  /** @throws SP_NOT_AUTHENTICATED, SP_CREDENTIAL_EXPIRED */
  identify(socket: PeerSocket): Caller {
    const seen = this.#see(socket);
    const { certificate } = seen;
    if (certificate === undefined) throw notAuthenticated('no client certificate');
    const authorities = this.#authorities.current;
    const denied = this.#denied?.current;
    const revision = this.#authorities.revision + (this.#denied?.revision ?? 0);
    if (seen.caller === undefined || seen.revision !== revision) {
      seen.caller = undefined;
      seen.caller = this.#judge(certificate, socket, authorities, denied);
      seen.revision = revision;
    }
    if (seen.caller.expiresAt <= this.#now()) throw credentialExpired('client certificate: expired');
    return seen.caller;
  }

  #see(socket: PeerSocket): Seen {
    let seen = this.#seen.get(socket);
    if (seen === undefined) {
      seen = { certificate: socket.getPeerX509Certificate(), revision: -1, caller: undefined };
      this.#seen.set(socket, seen);
    }
    return seen;
  }

  #judge(
    certificate: X509Certificate,
    socket: PeerSocket,
    authorities: readonly X509Certificate[],
    denied: ReadonlySet<string> | undefined,
  ): Caller {
    const now = this.#now();
    // A resumed session has no chain, only the leaf: so the leaf's own issuer must be one of the authorities.
    const issued = authorities.some(
      (authority) =>
        isWithin(authority, now) && certificate.checkIssued(authority) && certificate.verify(authority.publicKey),
    );
    if (!issued) throw notAuthenticated('client certificate: not issued by an authority of the CA file');
    if (denied?.has(normalSerial(certificate.serialNumber))) throw notAuthenticated('client certificate: denied');
    if (certificate.ca) throw notAuthenticated('client certificate: an authority’s own');
    if (!certificate.keyUsage?.includes(CLIENT_AUTH)) throw notAuthenticated('client certificate: not for clientAuth');
    if (certificate.validToDate.getTime() <= now) throw credentialExpired('client certificate: expired');
    if (!isWithin(certificate, now)) throw notAuthenticated('client certificate: not valid yet');
    // Last, since it is false for an expired one too: what TLS itself said, on signature strength for instance.
    if (!socket.authorized) throw notAuthenticated('client certificate: refused by TLS');
    const { usernamePrefix, groupsPrefix } = this.#options;
    const { commonName, organizations } = readSubject(certificate);
    if (
      (usernamePrefix === '' && this.#foreign.usernames.some((prefix) => commonName.startsWith(prefix))) ||
      (groupsPrefix === '' && organizations.some((name) => this.#foreign.groups.some((p) => name.startsWith(p))))
    ) {
      throw notAuthenticated('client certificate: a name that begins like those of an issuer');
    }
    try {
      return validCaller({
        method: 'ClientCertificate',
        issuer: 'x509',
        username: usernamePrefix + commonName,
        uid: '',
        groups: organizations.map((name) => groupsPrefix + name),
        serviceAccount: undefined,
        agent: undefined,
        onBehalfOf: undefined,
        session: undefined,
        expiresAt: certificate.validToDate.getTime(),
        authTime: undefined,
      });
    } catch (error) {
      throw notAuthenticated(`client certificate: ${(error as Error).message}`);
    }
  }
}

function isWithin(certificate: X509Certificate, now: number): boolean {
  return certificate.validFromDate.getTime() <= now && now < certificate.validToDate.getTime();
}

/**
 * As the API server reads it: one common name, any number of organisations. From node's parsed subject, never from its
 * printed form, where a value with a line break could stand for two attributes.
 */
function readSubject(certificate: X509Certificate): { commonName: string; organizations: readonly string[] } {
  const subject = certificate.toLegacyObject().subject as unknown as Record<string, string | string[] | undefined>;
  const { CN, O } = subject;
  if (typeof CN !== 'string' || CN === '') throw notAuthenticated('client certificate: not exactly one common name');
  const organizations = O === undefined ? [] : typeof O === 'string' ? [O] : O;
  if (organizations.includes('')) throw notAuthenticated('client certificate: an empty organisation');
  return { commonName: CN, organizations };
}

function parseAuthorities(text: string): readonly X509Certificate[] {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  const authorities = blocks.map((block) => new X509Certificate(block));
  if (authorities.length === 0) throw new Error('no certificate in the CA file');
  if (authorities.some((authority) => !authority.ca)) throw new Error('a certificate that is no authority');
  return authorities;
}

function parseDenylist(text: string): ReadonlySet<string> {
  const serials = new Set<string>();
  for (const [index, line] of text.split('\n').entries()) {
    const serial = line.replace(/#.*/, '').trim();
    if (serial === '') continue;
    if (!/^(0x)?[0-9a-f]+(:[0-9a-f]{2})*$/i.test(serial)) throw new Error(`line ${index + 1} is no serial number`);
    serials.add(normalSerial(serial));
  }
  return serials;
}

function normalSerial(serial: string): string {
  return serial
    .toUpperCase()
    .replaceAll(':', '')
    .replace(/^0X/, '')
    .replace(/^0+(?=.)/, '');
}
