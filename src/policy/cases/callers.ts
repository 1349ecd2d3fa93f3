import type { Caller } from '../../identity/caller.ts';

/** A caller for cases, with what a case does not speak of left out. */
export function callerNamed(username: string, more: Partial<Caller> = {}): Caller {
  return {
    method: 'OIDC',
    issuer: 'https://idp.example',
    username,
    uid: `uid-of-${username}`,
    groups: [],
    serviceAccount: undefined,
    agent: undefined,
    onBehalfOf: undefined,
    session: undefined,
    expiresAt: Number.POSITIVE_INFINITY,
    authTime: undefined,
    ...more,
  };
}
