import 'reflect-metadata';
import { generateKeyPair, randomBytes, webcrypto } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import * as x509 from '@peculiar/x509';

x509.cryptoProvider.set(webcrypto as never);

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const DAY = 86_400_000;
/** A cluster for tests is thrown away long before; one left running for months should still answer. */
const VALID_DAYS = 365;

export interface KeyPair {
  certPem: string;
  keyPem: string;
}

export interface CertificateSubject {
  user: string;
  groups?: string[];
}

/** Signs the certificates of one cluster. */
export class CertificateAuthority {
  readonly certPem: string;
  readonly keyPem: string;
  readonly #certificate: x509.X509Certificate;
  readonly #key: webcrypto.CryptoKey;

  private constructor(certificate: x509.X509Certificate, key: webcrypto.CryptoKey, keyPem: string) {
    this.#certificate = certificate;
    this.#key = key;
    this.certPem = certificate.toString('pem');
    this.keyPem = keyPem;
  }

  static async create(name: string): Promise<CertificateAuthority> {
    const keys = await newKeys();
    const certificate = await x509.X509CertificateGenerator.createSelfSigned({
      serialNumber: serial(),
      name: [{ CN: [name] }],
      ...validity(),
      signingAlgorithm: ALGORITHM,
      keys,
      extensions: [
        new x509.BasicConstraintsExtension(true, undefined, true),
        new x509.KeyUsagesExtension(
          x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign | x509.KeyUsageFlags.digitalSignature,
          true,
        ),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      ],
    });
    return new CertificateAuthority(certificate, keys.privateKey, await pemOf(keys.privateKey));
  }

  /** Reads `<name>.crt` and `<name>.key` as written by {@link writeKeyPair}. */
  static async read(folder: string, name: string): Promise<CertificateAuthority> {
    const keyPem = await readFile(join(folder, `${name}.key`), 'utf8');
    const der = x509.PemConverter.decodeFirst(keyPem);
    const key = await webcrypto.subtle.importKey('pkcs8', der, ALGORITHM, true, ['sign']);
    const certificate = new x509.X509Certificate(await readFile(join(folder, `${name}.crt`), 'utf8'));
    return new CertificateAuthority(certificate, key, keyPem);
  }

  /** A client certificate: Kubernetes reads the user from CN and the groups from O. */
  async client(subject: CertificateSubject): Promise<KeyPair> {
    return await this.#issue(subject, [x509.ExtendedKeyUsage.clientAuth], []);
  }

  /** A serving certificate for the given DNS names and IP addresses. */
  async server(user: string, hosts: string[], groups: string[] = []): Promise<KeyPair> {
    return await this.#issue({ user, groups }, [x509.ExtendedKeyUsage.serverAuth], hosts);
  }

  async #issue(subject: CertificateSubject, usages: x509.ExtendedKeyUsage[], hosts: string[]): Promise<KeyPair> {
    const keys = await newKeys();
    const names = hosts.map((value) => ({ type: isIP(value) === 0 ? ('dns' as const) : ('ip' as const), value }));
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: serial(),
      // Given as data, not as a string: a group may hold commas and equals signs.
      subject: [...(subject.groups ?? []).map((group) => ({ O: [group] })), { CN: [subject.user] }],
      issuer: this.#certificate.subject,
      ...validity(),
      signingAlgorithm: ALGORITHM,
      publicKey: keys.publicKey,
      signingKey: this.#key,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension(usages),
        await x509.AuthorityKeyIdentifierExtension.create(this.#certificate),
        ...(names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : []),
      ],
    });
    return { certPem: certificate.toString('pem'), keyPem: await pemOf(keys.privateKey) };
  }
}

/** The RSA key that signs service-account tokens (RS256, as clusters commonly have it). */
export async function serviceAccountKeys(): Promise<{ privatePem: string; publicPem: string }> {
  const { privateKey, publicKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 2048 });
  return {
    privatePem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    publicPem: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
  };
}

/** Writes `<name>.crt` and `<name>.key` (0600); gives their paths. */
export async function writeKeyPair(
  folder: string,
  name: string,
  pair: KeyPair,
): Promise<{ cert: string; key: string }> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const paths = { cert: join(folder, `${name}.crt`), key: join(folder, `${name}.key`) };
  await writeFile(paths.cert, pair.certPem);
  await writeFile(paths.key, pair.keyPem, { mode: 0o600 });
  return paths;
}

async function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return (await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair;
}

async function pemOf(key: webcrypto.CryptoKey): Promise<string> {
  return x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY');
}

function serial(): string {
  return `01${randomBytes(15).toString('hex')}`;
}

/** Begins an hour ago, for clocks that differ. */
function validity(): { notBefore: Date; notAfter: Date } {
  return { notBefore: new Date(Date.now() - DAY / 24), notAfter: new Date(Date.now() + VALID_DAYS * DAY) };
}
