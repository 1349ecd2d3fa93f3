/** kubectl ≥ 1.30 tunnels SPDY through WebSocket messages for port-forward (KEP-4006). */
export const TUNNEL_PREFIX = 'SPDY/3.1+';

/**
 * A bearer token in a sub-protocol, as browsers send it (they cannot set Authorization):
 * `base64url.bearer.authorization.k8s.io.<unpadded base64url of the token>`.
 */
const BEARER_PREFIX = 'base64url.bearer.authorization.k8s.io.';

export interface OfferedSubprotocols {
  /** What may be negotiated and forwarded, in the client's order. Never a credential. */
  readonly protocols: readonly string[];
  /** Each bearer credential, decoded. More than one is the caller's to refuse: no rule says which counts. */
  readonly bearerTokens: readonly string[];
  /** A bearer sub-protocol whose encoding cannot be read; refused like a bad token. */
  readonly malformedBearer: boolean;
}

/** Parts credentials from protocols in the tokens of `Sec-WebSocket-Protocol`. */
export function readSubprotocols(tokens: readonly string[]): OfferedSubprotocols {
  const protocols: string[] = [];
  const bearerTokens: string[] = [];
  let malformedBearer = false;
  for (const token of tokens) {
    // Any spelling of the prefix counts as a credential: it must not slip through to the API server by its case.
    if (!token.toLowerCase().startsWith(BEARER_PREFIX)) {
      protocols.push(token);
      continue;
    }
    const encoded = token.slice(BEARER_PREFIX.length);
    const decoded = /^[A-Za-z0-9_-]+$/.test(encoded) ? Buffer.from(encoded, 'base64url') : undefined;
    if (
      decoded === undefined ||
      !token.startsWith(BEARER_PREFIX) ||
      decoded.toString('base64url') !== encoded ||
      !/^[\x21-\x7e]+$/.test(decoded.toString('latin1'))
    ) {
      malformedBearer = true;
    } else {
      bearerTokens.push(decoded.toString('latin1'));
    }
  }
  return { protocols, bearerTokens, malformedBearer };
}

/** The first of the client's offers that is supported: the client's order is its preference. */
export function chooseSubprotocol<T extends string>(
  offered: readonly string[],
  supported: readonly T[],
): T | undefined {
  for (const offer of offered) {
    const found = supported.find((protocol) => protocol === offer);
    if (found !== undefined) return found;
  }
  return undefined;
}
