import { compactVerify, errors } from 'jose';
import { type KeySet, KeysUnavailable } from './jwks.ts';
import { notAuthenticated } from './refusal.ts';

/** What kube-apiserver signs ServiceAccount tokens with (KEP-740's external signers use the same). */
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'ES256', 'ES384', 'ES512'];

/** `Genuine`: the cluster has signed it. `Unknown`: its published keys say neither yes nor no. */
export type Proof = 'Genuine' | 'Unknown';

/**
 * What the cluster's own published keys say of a token, before the API server is asked about it. Whether its account
 * still stands only the API server knows; but a token that it never signed needs no question, and a flood of them must
 * not stand in the way of those that it did.
 */
export class ClusterSignature {
  readonly #keys: KeySet;

  constructor(keys: KeySet) {
    this.#keys = keys;
  }

  /** Whether keys are known, so that a token of the cluster's can be told from others. */
  get usable(): boolean {
    return this.#keys.usable;
  }

  /**
   * @returns `Unknown` too for a key that is not published: a new one may not have been read yet, and an external
   * signer's may never be.
   * @throws SP_NOT_AUTHENTICATED for a signature that is not the named key's
   */
  async check(token: string): Promise<Proof> {
    try {
      await compactVerify(token, async (header, jws) => (await this.#keys.key(header, jws)).key, {
        algorithms: ALGORITHMS,
      });
      return 'Genuine';
    } catch (error) {
      if (error instanceof KeysUnavailable) return 'Unknown';
      if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys)
        return 'Unknown';
      throw notAuthenticated(
        `TokenReview: not asked: ${error instanceof errors.JOSEError ? error.code : 'no token that can be read'}`,
      );
    }
  }
}
