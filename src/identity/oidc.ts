import { errors, type JWTPayload, jwtVerify } from 'jose';
import type { OIDCIssuer } from '../config/identity.ts';
import { SallyportError } from '../errors.ts';
import type { Caller } from './caller.ts';
import { ClaimError, callerFromClaims, type ForeignPrefixes } from './claims.ts';
import { type KeySet, KeysUnavailable } from './jwks.ts';
import { NameError } from './name.ts';
import { credentialExpired, identityUnavailable, notAuthenticated } from './refusal.ts';
import { TokenCache } from './token-cache.ts';

/** Milliseconds after which a remembered token is verified again even if nothing about its issuer has changed. */
const RECHECK = 600_000;
/** Milliseconds for which a refused token is refused without a look at its signature. */
const REFUSAL_TTL = 10_000;

interface Verified {
  readonly caller: Caller;
  readonly generation: number;
  readonly until: number;
}

/**
 * Verifies the tokens of one OIDC issuer. A verified one is remembered until it expires, its issuer's keys change or
 * can no longer be believed, or ten minutes are over; meeting it again costs a hash and a look-up.
 */
export class OIDCVerifier {
  readonly #options: OIDCIssuer;
  readonly #keys: KeySet;
  readonly #foreign: ForeignPrefixes;
  readonly #now: () => number;
  readonly #cache: TokenCache<Verified>;

  constructor(options: OIDCIssuer, keys: KeySet, foreign: ForeignPrefixes, now: () => number) {
    this.#options = options;
    this.#keys = keys;
    this.#foreign = foreign;
    this.#now = now;
    this.#cache = new TokenCache({
      capacity: 10_000,
      refusals: 2_000,
      refusalTTL: REFUSAL_TTL,
      isUsable: (entry) => entry.until > now() && entry.generation === keys.generation && keys.usable,
      now,
    });
  }

  get cached(): TokenCache<Verified>['size'] {
    return this.#cache.size;
  }

  /** The caller of a remembered token; undefined when it has to be verified. */
  recall(digest: string): Caller | undefined {
    return this.#cache.peek(digest)?.caller;
  }

  /** @throws SP_NOT_AUTHENTICATED, SP_CREDENTIAL_EXPIRED, SP_IDENTITY_UNAVAILABLE */
  async verify(token: string, digest: string): Promise<Caller> {
    return (await this.#cache.verified(digest, () => this.#verify(token), isFinal)).caller;
  }

  async #verify(token: string): Promise<Verified> {
    const { issuer } = this.#options;
    let generation = 0;
    const now = this.#now();
    try {
      const { payload, protectedHeader } = await jwtVerify(
        token,
        async (header, jws) => {
          const found = await this.#keys.key(header, jws);
          generation = found.generation;
          return found.key;
        },
        {
          algorithms: this.#options.algorithms,
          issuer,
          audience: this.#options.audiences,
          requiredClaims: ['exp', 'iat'],
          clockTolerance: this.#options.clockSkew / 1_000,
          currentDate: new Date(now),
        },
      );
      checkType(protectedHeader.typ);
      this.#checkTimes(payload, now);
      const caller = callerFromClaims(this.#options, payload, this.#foreign);
      return { caller, generation, until: Math.min(caller.expiresAt, now + RECHECK) };
    } catch (error) {
      throw refusal(issuer, error);
    }
  }

  #checkTimes(payload: JWTPayload, now: number): void {
    const { iat, exp } = payload;
    const { clockSkew, maxTokenLifetime } = this.#options;
    if (iat! * 1_000 > now + clockSkew) throw new ClaimError('issued in the future');
    if ((exp! - iat!) * 1_000 > maxTokenLifetime) throw new ClaimError('valid for longer than maxTokenLifetime');
  }
}

/** RFC 8725 section 3.11. Session tokens, logout tokens, DPoP proofs and the like carry a type of their own. */
function checkType(typ: string | undefined): void {
  if (typ === undefined) return;
  const type = typ.toLowerCase().replace(/^application\//, '');
  if (type !== 'jwt' && type !== 'at+jwt') throw new ClaimError('a token of another type');
}

/** A fresh token may name a key that has not been seen yet: that refusal is asked again next time. */
function isFinal(error: unknown): error is SallyportError {
  return (
    error instanceof SallyportError &&
    error.code === 'SP_NOT_AUTHENTICATED' &&
    !(error.cause as Error).message.includes('ERR_JWKS_NO_MATCHING_KEY')
  );
}

/** jose's own errors carry the whole payload; only their code and the name of the claim go on. */
function refusal(issuer: string, error: unknown): SallyportError {
  if (error instanceof KeysUnavailable) return identityUnavailable(`${issuer}: ${error.message}`);
  // jose looks at claims only behind a good signature, and at `exp` after issuer and audience.
  if (error instanceof errors.JWTExpired) return credentialExpired(`${issuer}: expired`);
  if (error instanceof errors.JWTClaimValidationFailed) {
    return notAuthenticated(`${issuer}: claim ${error.claim}: ${error.reason}`);
  }
  if (error instanceof errors.JOSEError) return notAuthenticated(`${issuer}: ${error.code}`);
  if (error instanceof ClaimError || error instanceof NameError) {
    return notAuthenticated(`${issuer}: ${error.message}`);
  }
  return notAuthenticated(`${issuer}: ${error instanceof Error ? error.name : 'unknown error'}`);
}
