import { Agent, request } from 'undici';
import { urlProblem } from '../config/identity.ts';

/** Bytes of a discovery document or key set at most; real ones are a few kilobytes. */
const MAX_DOCUMENT = 512 * 1024;

/**
 * Reads JSON documents of one issuer. A connection pool of its own: an issuer that hangs holds up nobody else.
 * A redirect is refused: it would let whoever answers for one path name another place for the keys.
 */
export class IssuerFetch {
  readonly #agent: Agent;
  readonly #allowLoopbackHTTP: boolean;

  /** @param options `ca` in PEM replaces the system's authorities. */
  constructor(options: { ca: string | undefined; allowLoopbackHTTP: boolean }) {
    this.#allowLoopbackHTTP = options.allowLoopbackHTTP;
    this.#agent = new Agent({
      connections: 2,
      keepAliveTimeout: 4_000,
      allowH2: false,
      connect: { timeout: 5_000, ...(options.ca === undefined ? {} : { ca: options.ca }) },
    });
  }

  /**
   * kube-apiserver serves its keys as `application/jwk-set+json` and answers 406 to whoever asks for JSON alone.
   * @throws Error for anything but a JSON object answered with 200 in time.
   */
  async json(url: string, signal: AbortSignal): Promise<Record<string, unknown>> {
    const problem = urlProblem(url, this.#allowLoopbackHTTP);
    if (problem) throw new Error(`${new URL(url).origin}: ${problem}`);
    const response = await request(url, {
      dispatcher: this.#agent,
      signal,
      headers: { accept: 'application/json, application/jwk-set+json' },
    });
    if (response.statusCode !== 200) {
      response.body.on('error', () => {}).destroy();
      throw new Error(`${new URL(url).origin} answered ${response.statusCode}`);
    }
    const chunks: Buffer[] = [];
    let length = 0;
    for await (const chunk of response.body as AsyncIterable<Buffer>) {
      length += chunk.length;
      // Leaving the loop destroys the body, and the connection with it.
      if (length > MAX_DOCUMENT) throw new Error(`${new URL(url).origin} sent more than ${MAX_DOCUMENT} bytes`);
      chunks.push(chunk);
    }
    const document: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'));
    if (typeof document !== 'object' || document === null || Array.isArray(document)) {
      throw new Error(`${new URL(url).origin} did not send a JSON object`);
    }
    return document as Record<string, unknown>;
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }
}

/**
 * Finds an issuer's keys (OpenID Connect Discovery 1.0). The document must name exactly this issuer (section 4.3), or
 * another tenant of the same host could speak for it.
 */
export async function discoverKeys(
  fetch: Pick<IssuerFetch, 'json'>,
  issuer: string,
  discoveryURL: string | undefined,
  signal: AbortSignal,
): Promise<Record<string, unknown>> {
  const document = await fetch.json(
    discoveryURL ?? `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`,
    signal,
  );
  if (document['issuer'] !== issuer) throw new Error('the discovery document names another issuer');
  const { jwks_uri: jwksURI } = document;
  if (typeof jwksURI !== 'string' || !URL.canParse(jwksURI)) {
    throw new Error('the discovery document names no jwks_uri');
  }
  return fetch.json(jwksURI, signal);
}
