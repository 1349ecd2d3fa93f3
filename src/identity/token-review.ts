import type { TokenReviewOptions } from '../config/identity.ts';
import { SallyportError } from '../errors.ts';
import type { Caller } from './caller.ts';
import type { ClusterSignature } from './cluster-signature.ts';
import { parseServiceAccount, validCaller } from './name.ts';
import { credentialExpired, identityUnavailable, notAuthenticated } from './refusal.ts';
import { ReviewRoom } from './review-room.ts';
import { TokenCache } from './token-cache.ts';
import type { UnverifiedClaims } from './unverified.ts';

/** authentication.k8s.io/v1 TokenReviewStatus, as far as it is read here. */
export interface TokenReviewStatus {
  readonly authenticated?: boolean | undefined;
  readonly audiences?: readonly string[] | undefined;
  readonly error?: string | undefined;
  readonly user?:
    | { readonly username?: string; readonly uid?: string; readonly groups?: readonly string[] }
    | undefined;
}

/** Creates a TokenReview in the gateway's own name. Rejects when the API server gives no answer. */
export type ReviewToken = (
  token: string,
  audiences: readonly string[],
  signal: AbortSignal,
) => Promise<TokenReviewStatus>;

/** Milliseconds by which a genuine token must be over before that is told without asking: clocks differ. */
const EXPIRED_FOR = 60_000;

interface Reviewed {
  readonly caller: Caller;
  readonly until: number;
}

/**
 * Asks the API server about ServiceAccount tokens. Only tokens made for the gateway, and for nothing else, are asked
 * about: one that the API server takes too would let its holder go around the gate (promise 3). And, where the cluster's
 * keys are known, only those that it has signed: it is spared the rest.
 */
export class TokenReviewer {
  readonly #options: TokenReviewOptions;
  readonly #review: ReviewToken;
  readonly #now: () => number;
  readonly #cache: TokenCache<Reviewed>;
  readonly #signature: ClusterSignature | undefined;
  readonly #room: ReviewRoom;

  /** @param signature undefined: every token is one that might be the cluster's */
  constructor(options: TokenReviewOptions, review: ReviewToken, now: () => number, signature?: ClusterSignature) {
    this.#options = options;
    this.#review = review;
    this.#now = now;
    this.#signature = signature;
    this.#room = new ReviewRoom(options.maxConcurrent);
    this.#cache = new TokenCache({
      capacity: 10_000,
      refusals: 2_000,
      refusalTTL: options.cacheTTL,
      isUsable: (entry) => entry.until > now(),
      now,
    });
  }

  recall(digest: string): Caller | undefined {
    return this.#cache.peek(digest)?.caller;
  }

  /**
   * @param claims what the token says of itself; the API server verifies the same bytes.
   * @param source the client's address, so that one client's made-up tokens are not everyone's wait
   * @throws SP_NOT_AUTHENTICATED, SP_CREDENTIAL_EXPIRED, SP_IDENTITY_UNAVAILABLE
   */
  async verify(token: string, digest: string, claims: UnverifiedClaims, source?: string): Promise<Caller> {
    const { audience } = this.#options;
    const audiences: readonly unknown[] = Array.isArray(claims.aud) ? claims.aud : [claims.aud];
    if (!audiences.includes(audience)) throw notAuthenticated('TokenReview: a token for another audience');
    if (audiences.some((other) => other !== audience)) {
      throw notAuthenticated(
        `TokenReview: the token has audiences beside "${audience}", so it may work without the gateway; make one for it alone`,
      );
    }
    const isFinal = (error: unknown) =>
      error instanceof SallyportError && ['SP_NOT_AUTHENTICATED', 'SP_CREDENTIAL_EXPIRED'].includes(error.code);
    const reviewed = await this.#cache.verified(
      digest,
      () => this.#ask(token, claims.exp, source),
      isFinal as (error: unknown) => error is SallyportError,
    );
    return reviewed.caller;
  }

  async #ask(token: string, exp: unknown, source: string | undefined): Promise<Reviewed> {
    const { audience, cacheTTL, timeout } = this.#options;
    const signature = this.#signature;
    const genuine = (await signature?.check(token)) === 'Genuine';
    if (genuine && typeof exp === 'number' && exp * 1_000 + EXPIRED_FOR < this.#now()) {
      throw credentialExpired('TokenReview: not asked: expired');
    }
    // A flood of made-up tokens must not become a flood of reviews.
    const leave = this.#room.take(genuine, signature?.usable === true, source);
    if (leave === undefined) throw identityUnavailable('TokenReview: too many under way');
    const askedAt = this.#now();
    let status: TokenReviewStatus;
    try {
      status = await withDeadline((signal) => this.#review(token, [audience], signal), timeout);
    } catch (error) {
      // The error of a client may quote the request, and the request holds the token: only its name goes on.
      throw identityUnavailable(`TokenReview: no answer (${error instanceof Error ? error.name : 'unknown error'})`);
    } finally {
      leave();
    }
    const caller = callerFromReview(status, audience, exp);
    // Counted from the question, so that a deleted account is out in time even if the answer was slow.
    return { caller, until: Math.min(caller.expiresAt, askedAt + cacheTTL) };
  }
}

/** @throws SP_NOT_AUTHENTICATED unless every part of the status says yes. */
function callerFromReview(status: TokenReviewStatus, audience: string, exp: unknown): Caller {
  // CVE-2023-48312: an answer that is no clear yes, an empty one for instance, is a no.
  if (status?.authenticated !== true) throw notAuthenticated('TokenReview: not authenticated');
  if (status.error !== undefined && status.error !== '') throw notAuthenticated('TokenReview: answered with an error');
  // An authenticator that knows no audiences leaves them out; its yes then means the API server's own.
  if (!status.audiences?.includes(audience)) throw notAuthenticated('TokenReview: not for this audience');
  const username = status.user?.username ?? '';
  const serviceAccount = parseServiceAccount(username);
  if (!serviceAccount) throw notAuthenticated('TokenReview: not a ServiceAccount');
  try {
    return validCaller({
      method: 'TokenReview',
      issuer: 'kubernetes',
      username,
      uid: status.user?.uid ?? '',
      groups: status.user?.groups ?? [],
      serviceAccount,
      agent: undefined,
      onBehalfOf: undefined,
      session: undefined,
      expiresAt: typeof exp === 'number' && Number.isFinite(exp) ? exp * 1_000 : Number.POSITIVE_INFINITY,
      authTime: undefined,
    });
  } catch (error) {
    throw notAuthenticated(`TokenReview: ${(error as Error).message}`);
  }
}

/** Also ends the wait for a client that does not mind its signal. */
async function withDeadline<T>(run: (signal: AbortSignal) => Promise<T>, timeout: number): Promise<T> {
  const controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      controller.abort();
      reject(new DOMException('no answer in time', 'TimeoutError'));
    }, timeout);
  });
  try {
    return await Promise.race([run(controller.signal), deadline]);
  } finally {
    clearTimeout(timer);
  }
}
