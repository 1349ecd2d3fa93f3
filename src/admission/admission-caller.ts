import { SallyportError } from '../errors.ts';
import type { Caller } from '../identity/caller.ts';
import { NameError, parseServiceAccount, validCaller } from '../identity/name.ts';
import {
  EXTRA_AGENT,
  EXTRA_ON_BEHALF_OF,
  EXTRA_SESSION,
  EXTRA_VIA,
  readUpstreamUsername,
  UPSTREAM_PREFIX,
  type Via,
} from '../identity/upstream-name.ts';
import type { UserInfo } from './admission-review.ts';

/** Who asks the API server, and by which way. */
export interface AdmissionCaller {
  readonly caller: Caller;
  /** `Gate`: proven by the `via` extra to have come through the gateway. `Direct`: with a credential of the API server's own. */
  readonly way: 'Gate' | 'Direct';
}

const OWN_EXTRA = 'sallyport.dev/';

/**
 * The caller behind a review's userInfo, by the same names that policies use.
 *
 * A name under `sallyport:` is the gateway's to assert; without a MAC of this minute or the two before it somebody else
 * who may impersonate has used it. Extras under `sallyport.dev/` are the gateway's too: whoever brings some of their own is refused.
 *
 * @param now Unix milliseconds
 * @throws SallyportError SP_NOT_THROUGH_GATE
 */
export function admissionCaller(user: UserInfo, via: Via, now: number): AdmissionCaller {
  return user.username.startsWith(UPSTREAM_PREFIX)
    ? { caller: throughGate(user, via, now), way: 'Gate' }
    : { caller: direct(user), way: 'Direct' };
}

function throughGate(user: UserInfo, via: Via, now: number): Caller {
  const proof = single(user, EXTRA_VIA);
  if (proof === undefined || !via.verify(proof, user.username, user.uid, now)) {
    const why = proof === undefined ? 'carries no proof that it did' : 'carries a proof that is forged or too old';
    throw new SallyportError(
      'SP_NOT_THROUGH_GATE',
      `names under ${UPSTREAM_PREFIX} come through the gateway only, and this request ${why}: use the gateway's kubeconfig`,
    );
  }
  try {
    const named = readUpstreamUsername(user.username)!;
    return validCaller({
      method: named.serviceAccount === undefined ? 'OIDC' : 'TokenReview',
      // Which issuer it was stays at the gateway; a digest of this leg is never one of the other's.
      issuer: 'gateway',
      ...named,
      uid: user.uid,
      // The API server adds `system:authenticated` to whoever is impersonated.
      groups: user.groups
        .filter((group) => group.startsWith(UPSTREAM_PREFIX))
        .map((group) => group.slice(UPSTREAM_PREFIX.length)),
      agent: single(user, EXTRA_AGENT),
      onBehalfOf: single(user, EXTRA_ON_BEHALF_OF),
      session: single(user, EXTRA_SESSION),
      expiresAt: Number.POSITIVE_INFINITY,
      authTime: undefined,
    });
  } catch (error) {
    if (!(error instanceof NameError)) throw error;
    throw new SallyportError('SP_NOT_THROUGH_GATE', `no gateway would send this name: ${error.message}`);
  }
}

/** Not validated: the API server has authenticated this name, and policies that do not name it say nothing of it. */
function direct(user: UserInfo): Caller {
  const brought = Object.keys(user.extra).find((key) => key.startsWith(OWN_EXTRA));
  if (brought !== undefined) {
    throw new SallyportError(
      'SP_NOT_THROUGH_GATE',
      `the extra ${brought} is the gateway's to set, and this request did not come through it`,
    );
  }
  return Object.freeze({
    method: 'TokenReview',
    issuer: 'kubernetes',
    username: user.username,
    uid: user.uid,
    groups: user.groups,
    serviceAccount: parseServiceAccount(user.username),
    agent: undefined,
    onBehalfOf: undefined,
    session: undefined,
    expiresAt: Number.POSITIVE_INFINITY,
    authTime: undefined,
  });
}

/** Extras are lists; two values of one key are no value of the gateway's. */
function single({ extra }: UserInfo, key: string): string | undefined {
  const values = extra[key];
  return values?.length === 1 ? values[0] : undefined;
}
