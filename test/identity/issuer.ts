import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from 'jose';

export interface IssuerKey {
  readonly kid: string;
  readonly alg: string;
  readonly privateKey: CryptoKey;
  readonly publicKey: CryptoKey;
  readonly jwk: JWK;
}

type CryptoKey = Awaited<ReturnType<typeof generateKeyPair>>['privateKey'];

export async function makeKey(kid: string, alg = 'ES256'): Promise<IssuerKey> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  return { kid, alg, privateKey, publicKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } };
}

/**
 * The two documents of an OIDC issuer, served on loopback, and its signature: whatever a hostile or broken issuer
 * could serve can be put in their place.
 */
export class LoopbackIssuer {
  readonly #server = createServer((request, response) => this.#answer(request, response));
  readonly keys: IssuerKey[] = [];
  /** Paths asked for, in order. */
  readonly asked: string[] = [];
  /** Answers in place of the issuer when set. */
  takeOver: ((request: IncomingMessage, response: ServerResponse) => boolean) | undefined;
  url = '';

  async listen(port = 0): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(port, '127.0.0.1', resolve));
    this.url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
    return this;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** Signs claims; `iss`, `aud`, `sub`, `iat` and `exp` are filled in, and left out again where given as undefined. */
  async sign(claims: JWTPayload = {}, header: Record<string, unknown> = {}, key = this.keys.at(-1)!): Promise<string> {
    const now = Math.floor(Date.now() / 1_000);
    const payload = { iss: this.url, aud: 'sallyport', sub: 'alice', iat: now, exp: now + 600, ...claims };
    return new SignJWT(JSON.parse(JSON.stringify(payload)) as JWTPayload)
      .setProtectedHeader({ alg: key.alg, kid: key.kid, ...header })
      .sign(key.privateKey);
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    this.asked.push(request.url ?? '');
    if (this.takeOver?.(request, response)) return;
    response.setHeader('content-type', 'application/json');
    if (request.url === '/.well-known/openid-configuration') {
      response.end(JSON.stringify({ issuer: this.url, jwks_uri: `${this.url}/jwks` }));
    } else if (request.url === '/jwks') {
      response.end(JSON.stringify({ keys: this.keys.map(({ jwk }) => jwk) }));
    } else {
      response.writeHead(404).end('{}');
    }
  }
}
