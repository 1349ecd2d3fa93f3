import 'reflect-metadata';
import { randomBytes, webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';

x509.cryptoProvider.set(webcrypto as never);

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const HOUR = 3_600_000;

export interface Authority {
  readonly certificate: string;
  readonly name: string;
  readonly keys: webcrypto.CryptoKeyPair;
}

export interface Leaf {
  /** PEM */
  readonly certificate: string;
  readonly key: string;
  readonly serial: string;
}

export interface LeafOptions {
  readonly commonName?: string | readonly string[];
  readonly organizations?: readonly string[];
  readonly clientAuth?: boolean;
  readonly serverAuth?: boolean;
  readonly authority?: boolean;
  readonly notBefore?: Date;
  readonly notAfter?: Date;
}

export async function makeAuthority(name: string, notAfter = new Date(Date.now() + HOUR)): Promise<Authority> {
  const keys = await newKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: randomBytes(8).toString('hex'),
    name: [{ CN: [name] }],
    notBefore: new Date(Date.now() - 2 * HOUR),
    notAfter,
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
    ],
  });
  return { certificate: certificate.toString('pem'), name, keys };
}

/** Signs a leaf as told, wrong ones too. */
export async function issueCertificate(authority: Authority, options: LeafOptions): Promise<Leaf> {
  const keys = await newKeys();
  const serial = `4f${randomBytes(7).toString('hex')}`;
  const usages = [
    ...(options.clientAuth ? [x509.ExtendedKeyUsage.clientAuth] : []),
    ...(options.serverAuth ? [x509.ExtendedKeyUsage.serverAuth] : []),
  ];
  const names = options.commonName === undefined ? [] : [options.commonName].flat();
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serial,
    subject: [...(options.organizations ?? []).map((O) => ({ O: [O] })), ...names.map((CN) => ({ CN: [CN] }))],
    issuer: [{ CN: [authority.name] }],
    notBefore: options.notBefore ?? new Date(Date.now() - HOUR),
    notAfter: options.notAfter ?? new Date(Date.now() + HOUR),
    signingAlgorithm: ALGORITHM,
    publicKey: keys.publicKey,
    signingKey: authority.keys.privateKey,
    extensions: [
      new x509.BasicConstraintsExtension(options.authority ?? false, undefined, true),
      ...(usages.length > 0 ? [new x509.ExtendedKeyUsageExtension(usages)] : []),
      ...(options.serverAuth
        ? [
            new x509.SubjectAlternativeNameExtension([
              { type: 'dns', value: 'localhost' },
              { type: 'ip', value: '127.0.0.1' },
            ]),
          ]
        : []),
    ],
  });
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  return { certificate: certificate.toString('pem'), key: x509.PemConverter.encode(pkcs8, 'PRIVATE KEY'), serial };
}

async function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return (await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair;
}
