import { createHash } from 'node:crypto';
import { type CryptoKey, errors, type JWTPayload, jwtVerify, SignJWT } from 'jose';
import { SallyportError } from '../errors.ts';
import type { Caller } from './caller.ts';
import { MAX_TOKEN_LENGTH } from './credential.ts';
import { validCaller } from './name.ts';
import { credentialExpired, identityUnavailable, notAuthenticated } from './refusal.ts';
import { SESSION_ALGORITHM, type SessionKeys } from './session-key.ts';

/** RFC 8725 §3.11: an explicit type, so that no other JWT of ours or of an issuer is ever taken for a session. */
export const SESSION_TOKEN_TYPE = 'sallyport-session+jwt';

const MAX_CACHED = 20_000;

/** What a session token says; times in Unix seconds. */
export interface SessionClaims {
  /** metadata.name of the AgentSession. */
  readonly session: string;
  /** metadata.uid of it: an object made anew under the same name is another session. */
  readonly sessionUID: string;
  readonly agent: string;
  /** The person's own issuer, username, uid and groups (the agent's groups are already among them). */
  readonly issuer: string;
  readonly username: string;
  readonly uid: string;
  readonly groups: readonly string[];
  readonly serviceAccount: { readonly namespace: string; readonly name: string } | undefined;
  readonly issuedAt: number;
  readonly expiresAt: number;
  readonly authTime: number | undefined;
}

export interface VerifiedSession {
  readonly caller: Caller & { readonly session: string; readonly agent: string };
  readonly sessionUID: string;
}

/**
 * Signs and verifies session tokens. A signature is checked once per token and remembered until it expires; whether
 * the session still stands is not a matter of the token and is asked of the registry on every request.
 */
export class SessionTokens {
  readonly #keys: SessionKeys;
  readonly #issuer: string;
  readonly #audience: string;
  readonly #now: () => number;
  readonly #verified = new Map<string, { readonly session: VerifiedSession; readonly kid: string }>();

  /** @param options `installation` tells two gateways apart (the uid of their namespace), `audience` is this gateway's. */
  constructor(options: { keys: SessionKeys; installation: string; audience: string; now?: () => number }) {
    this.#keys = options.keys;
    this.#issuer = `urn:sallyport:session:${options.installation}`;
    this.#audience = options.audience;
    this.#now = options.now ?? Date.now;
  }

  /**
   * True when a bearer token calls itself a session token. Nothing about it is verified: it only says which verifier
   * must judge it, and this one accepts nothing unsigned.
   */
  claims(token: string): boolean {
    const end = token.indexOf('.');
    if (end < 1 || end > 1_024) return false;
    try {
      const header = JSON.parse(Buffer.from(token.slice(0, end), 'base64url').toString('utf8')) as {
        typ?: unknown;
      } | null;
      return (
        typeof header?.typ === 'string' && header.typ.toLowerCase().replace(/^application\//, '') === SESSION_TOKEN_TYPE
      );
    } catch {
      return false;
    }
  }

  async sign(claims: SessionClaims): Promise<string> {
    const { kid, key } = await this.#keys.signingKey();
    return new SignJWT({
      agent: claims.agent,
      on_behalf_of: claims.username,
      person_iss: claims.issuer,
      person_uid: claims.uid,
      session_uid: claims.sessionUID,
      groups: [...claims.groups],
      ...(claims.serviceAccount === undefined ? {} : { service_account: claims.serviceAccount }),
      ...(claims.authTime === undefined ? {} : { auth_time: claims.authTime }),
    })
      .setProtectedHeader({ alg: SESSION_ALGORITHM, typ: SESSION_TOKEN_TYPE, kid })
      .setIssuer(this.#issuer)
      .setAudience(this.#audience)
      .setSubject(claims.username)
      .setJti(claims.session)
      .setIssuedAt(claims.issuedAt)
      .setExpirationTime(claims.expiresAt)
      .sign(key);
  }

  /**
   * Checks type, algorithm, signature, issuer, audience and expiry.
   * @throws SallyportError SP_CREDENTIAL_EXPIRED for a token of ours that has ended, else SP_NOT_AUTHENTICATED.
   */
  async verify(token: string): Promise<VerifiedSession> {
    if (token.length > MAX_TOKEN_LENGTH) throw notAuthenticated(`a session token of ${token.length} bytes`);
    // Digests, not tokens, lie in memory: a heap dump gives nobody a session.
    const digest = createHash('sha256').update(token).digest('base64');
    const known = this.#verified.get(digest);
    if (known !== undefined && this.#keys.has(known.kid)) {
      if (known.session.caller.expiresAt > this.#now()) return known.session;
      this.#verified.delete(digest);
      throw credentialExpired(`session ${known.session.caller.session} has expired`);
    }
    const { session, kid } = await this.#verifySignature(token);
    if (this.#verified.size >= MAX_CACHED) this.#verified.delete(this.#verified.keys().next().value!);
    this.#verified.set(digest, { session, kid });
    return session;
  }

  async #verifySignature(token: string): Promise<{ session: VerifiedSession; kid: string }> {
    let kid = '';
    let payload: JWTPayload;
    try {
      ({ payload } = await jwtVerify(
        token,
        async (header) => {
          kid = header.kid ?? '';
          const key = kid === '' ? undefined : await this.#verificationKey(kid);
          if (key === undefined) throw new errors.JWKSNoMatchingKey();
          return key;
        },
        {
          algorithms: [SESSION_ALGORITHM],
          typ: SESSION_TOKEN_TYPE,
          issuer: this.#issuer,
          audience: this.#audience,
          requiredClaims: ['sub', 'jti', 'iat', 'exp'],
          currentDate: new Date(this.#now()),
        },
      ));
    } catch (error) {
      if (error instanceof SallyportError) throw error;
      // jose checks the signature before the claims, so this one was ours.
      if (error instanceof errors.JWTExpired)
        throw credentialExpired(`session ${String(error.payload.jti)} has expired`);
      throw notAuthenticated(error instanceof Error ? `session token: ${error.message}` : 'session token');
    }
    return { session: readClaims(payload), kid };
  }

  async #verificationKey(kid: string): Promise<CryptoKey | undefined> {
    try {
      return await this.#keys.verificationKey(kid);
    } catch (error) {
      throw identityUnavailable(`session keys: ${(error as Error).message}`);
    }
  }
}

function readClaims(payload: JWTPayload): VerifiedSession {
  const { sub, jti, exp, aud, agent, groups, person_iss: issuer, person_uid: uid, session_uid: sessionUID } = payload;
  const account = payload['service_account'] as Caller['serviceAccount'];
  const authTime = payload['auth_time'];
  const texts = [sub, jti, aud, agent, issuer, sessionUID];
  // Only our own signature reaches this line; it holds a gateway of another version to the same shape.
  if (
    !texts.every((value) => typeof value === 'string' && value !== '') ||
    typeof uid !== 'string' ||
    payload['on_behalf_of'] !== sub ||
    !Array.isArray(groups) ||
    !groups.every((group) => typeof group === 'string' && group !== '')
  ) {
    throw notAuthenticated('a session token without the claims of one');
  }
  try {
    const caller = validCaller({
      method: 'AgentSession',
      issuer: issuer as string,
      username: sub!,
      uid,
      groups: groups as string[],
      serviceAccount: account,
      agent: agent as string,
      onBehalfOf: sub,
      session: jti!,
      expiresAt: exp! * 1_000,
      authTime: typeof authTime === 'number' ? authTime : undefined,
    });
    return { sessionUID: sessionUID as string, caller: caller as VerifiedSession['caller'] };
  } catch (error) {
    throw notAuthenticated(`a session token with an ${(error as Error).message}`);
  }
}
