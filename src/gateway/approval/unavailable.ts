import { SallyportError } from '../../errors.ts';

/** The API server did not take, or give, what an approval needs. Its own words go to the log. */
export function unavailable(what: string, cause: unknown): SallyportError {
  return new SallyportError('SP_APPROVAL_UNAVAILABLE', `${what}; nothing was done: try again`, {
    cause,
    retryAfter: 2,
  });
}
