import { SallyportError } from '../errors.ts';

/**
 * One constant message per class, so that an answer tells an attacker nothing about how far a credential got.
 * The cause goes to the log; it names what failed and holds no credential.
 */
export function notAuthenticated(cause: string): SallyportError {
  return new SallyportError('SP_NOT_AUTHENTICATED', 'the credential was not accepted', {
    cause: new Error(cause),
  });
}

/** Only after the credential was proven genuine: an unverified `exp` says nothing. */
export function credentialExpired(cause: string): SallyportError {
  return new SallyportError('SP_CREDENTIAL_EXPIRED', 'the credential has expired: sign in again', {
    cause: new Error(cause),
  });
}

/** Who calls cannot be known just now, because the issuer or the API server does not answer: refused, worth a retry. */
export function identityUnavailable(cause: string): SallyportError {
  return new SallyportError('SP_IDENTITY_UNAVAILABLE', 'the credential could not be checked just now: try again', {
    cause: new Error(cause),
    retryAfter: 5,
  });
}
