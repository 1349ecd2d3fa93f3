import type { JWTPayload } from 'jose';
import type { OIDCIssuer } from '../config/identity.ts';
import type { Caller } from './caller.ts';
import { MAX_GROUPS, validCaller } from './name.ts';

/** A verified token whose claims do not make a caller. Names the claim, never its value. */
export class ClaimError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ClaimError';
  }
}

/** Prefixes of other sources of names, by which no unprefixed name of this issuer may begin. */
export interface ForeignPrefixes {
  readonly usernames: readonly string[];
  readonly groups: readonly string[];
}

/**
 * Makes a caller from the claims of a verified token: what must be there is checked, then names are mapped.
 * @throws ClaimError or NameError
 */
export function callerFromClaims(options: OIDCIssuer, claims: JWTPayload, foreign: ForeignPrefixes): Caller {
  const { username, groups, uid, agent, run } = options.claimMappings;
  for (const [claim, expected] of Object.entries(options.requiredClaims)) {
    if (!holds(own(claims, claim), expected)) throw new ClaimError(`claim ${claim} is not as required`);
  }
  requireScopes(options.requiredScopes, claims);
  // Bound to a key (RFC 7800, RFC 9449): whoever merely bears it is not its owner.
  if (own(claims, 'cnf') !== undefined) throw new ClaimError('a token bound to a key was sent as a bearer token');
  // A logout token is signed by the same keys for the same audience and names a subject; it signs nobody in.
  if (own(claims, 'events') !== undefined) throw new ClaimError('a security event token is no sign-in');
  // As Kubernetes: an address that its issuer has not verified is anybody's.
  if (username.claim === 'email' && own(claims, 'email_verified') !== undefined && claims['email_verified'] !== true) {
    throw new ClaimError('the e-mail address is not verified');
  }
  const name = prefixed(text(claims, username.claim), username.prefix, foreign.usernames);
  const authTime = own(claims, 'auth_time');
  return validCaller({
    method: 'OIDC',
    issuer: options.issuer,
    username: name,
    uid: uid === undefined ? '' : text(claims, uid.claim),
    groups: groups === undefined ? [] : readGroups(claims, groups, foreign.groups),
    serviceAccount: undefined,
    agent: agent === undefined ? undefined : 'value' in agent ? agent.value : readAgent(claims, agent),
    onBehalfOf: undefined,
    session: undefined,
    ...(run !== undefined && own(claims, run.claim) !== undefined && { run: text(claims, run.claim) }),
    // The skew belongs to it: within it the token is accepted, so within it a stream may live.
    expiresAt: claims.exp! * 1_000 + options.clockSkew,
    authTime: typeof authTime === 'number' && Number.isFinite(authTime) ? authTime : undefined,
  });
}

/** Own properties only: `constructor` and `__proto__` are claims of nobody. */
function own(claims: JWTPayload, claim: string): unknown {
  return Object.hasOwn(claims, claim) ? claims[claim] : undefined;
}

function text(claims: JWTPayload, claim: string): string {
  const value = own(claims, claim);
  if (typeof value !== 'string' || value === '') throw new ClaimError(`claim ${claim} is not a non-empty string`);
  return value;
}

function prefixed(name: string, prefix: string, foreign: readonly string[]): string {
  if (prefix === '' && foreign.some((other) => name.startsWith(other))) {
    throw new ClaimError('a name that begins like those of another issuer');
  }
  return prefix + name;
}

function readGroups(
  claims: JWTPayload,
  mapping: { claim: string; prefix: string },
  foreign: readonly string[],
): readonly string[] {
  const value = own(claims, mapping.claim);
  if (value === undefined || value === null) return [];
  const list: unknown[] = Array.isArray(value) ? value : [value];
  if (list.length > MAX_GROUPS) throw new ClaimError(`claim ${mapping.claim} has more than ${MAX_GROUPS} groups`);
  return list.map((group) => {
    if (typeof group !== 'string' || group === '')
      throw new ClaimError(`claim ${mapping.claim} holds no list of names`);
    return prefixed(group, mapping.prefix, foreign);
  });
}

function readAgent(claims: JWTPayload, mapping: { claim: string; prefix: string }): string | undefined {
  return own(claims, mapping.claim) === undefined ? undefined : mapping.prefix + text(claims, mapping.claim);
}

function holds(value: unknown, expected: OIDCIssuer['requiredClaims'][string]): boolean {
  const accepted: readonly unknown[] = Array.isArray(expected) ? expected : [expected];
  return Array.isArray(value) ? value.some((item) => accepted.includes(item)) : accepted.includes(value);
}

/** RFC 6749 section 3.3: a space-separated string; some issuers write an array, or call it `scp`. */
function requireScopes(required: readonly string[], claims: JWTPayload): void {
  if (required.length === 0) return;
  const given = own(claims, 'scope') ?? own(claims, 'scp');
  const scopes: readonly unknown[] = typeof given === 'string' ? given.split(' ') : Array.isArray(given) ? given : [];
  for (const scope of required) if (!scopes.includes(scope)) throw new ClaimError(`scope ${scope} is missing`);
}
