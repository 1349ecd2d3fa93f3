/** What a JWT says of itself. Nothing here is proven: it only chooses which verifier must judge the token. */
export interface UnverifiedClaims {
  readonly iss: string | undefined;
  readonly aud: unknown;
  readonly exp: unknown;
}

/** Reads the payload of a signed JWT (compact form, three non-empty parts); undefined for anything else. */
export function readUnverified(token: string): UnverifiedClaims | undefined {
  const parts = token.split('.', 4);
  if (parts.length !== 3 || parts.some((part) => part === '')) return undefined;
  let payload: unknown;
  try {
    payload = JSON.parse(Buffer.from(parts[1]!, 'base64url').toString('utf8'));
  } catch {
    return undefined;
  }
  if (typeof payload !== 'object' || payload === null || Array.isArray(payload)) return undefined;
  const { iss, aud, exp } = payload as Record<string, unknown>;
  return { iss: typeof iss === 'string' ? iss : undefined, aud, exp };
}
