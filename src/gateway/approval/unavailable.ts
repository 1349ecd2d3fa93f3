import { SallyportError } from '../../errors.ts';
import type { Guard } from '../../upstream/guard.ts';

/** The API server did not take, or give, what an approval needs. Its own words go to the log. */
export function unavailable(what: string, cause: unknown): SallyportError {
  return new SallyportError('SP_APPROVAL_UNAVAILABLE', `${what}; nothing was done: try again`, {
    cause,
    retryAfter: 2,
  });
}

/** Milliseconds that a look at the guard is good for. */
const GUARD_LOOK = 5_000;

/**
 * Without the guard in the API server nobody has checked who wrote what an approval says.
 * @throws SallyportError SP_APPROVAL_UNAVAILABLE
 */
export async function mustStand(guard: Guard): Promise<void> {
  await guard.fresh(guard.stands ? GUARD_LOOK : 0);
  if (guard.stands) return;
  throw unavailable(
    'what guards approvals in the API server is not in force (kubectl apply -f crds/guards.yaml)',
    undefined,
  );
}
