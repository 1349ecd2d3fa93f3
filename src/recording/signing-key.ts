import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';

/** An Ed25519 key that signs manifests. */
export interface SigningKey {
  /** Hex of the SHA-256 of the public key's SubjectPublicKeyInfo (DER), its first 16 bytes. */
  readonly id: string;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

export class SigningKeyError extends Error {}

export function keyID(publicKey: KeyObject): string {
  return createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex')
    .slice(0, 32);
}

/** @param pem PKCS#8 private key. @throws SigningKeyError; its message never quotes the key */
export function readSigningKey(pem: string | Buffer): SigningKey {
  let privateKey: KeyObject;
  try {
    privateKey = createPrivateKey(pem);
  } catch {
    throw new SigningKeyError('is no private key in PEM (PKCS#8)');
  }
  if (privateKey.asymmetricKeyType !== 'ed25519') throw new SigningKeyError('is no Ed25519 key');
  const publicKey = createPublicKey(privateKey);
  return { id: keyID(publicKey), privateKey, publicKey };
}

/** A fresh key, as PEM (PKCS#8). */
export function newSigningKey(): string {
  return generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
}

/** The public half as PEM: what an auditor keeps. */
export function publicPEM(key: Pick<SigningKey, 'publicKey'>): string {
  return key.publicKey.export({ type: 'spki', format: 'pem' }) as string;
}

/**
 * Public keys by id, from PEM text that may hold several; retired keys stay in it, or what they signed cannot be checked.
 * @throws SigningKeyError
 */
export function readPublicKeys(pem: string): Map<string, KeyObject> {
  const keys = new Map<string, KeyObject>();
  for (const [block] of pem.matchAll(/-----BEGIN PUBLIC KEY-----[\s\S]*?-----END PUBLIC KEY-----/g)) {
    let key: KeyObject;
    try {
      key = createPublicKey(block);
    } catch {
      throw new SigningKeyError('holds a public key that cannot be read');
    }
    if (key.asymmetricKeyType !== 'ed25519') throw new SigningKeyError('holds a public key that is not Ed25519');
    keys.set(keyID(key), key);
  }
  if (keys.size === 0) throw new SigningKeyError('holds no public key in PEM');
  return keys;
}
