import type { Caller } from './caller.ts';

/** Characters of a user, group, uid, agent or person at most. */
export const MAX_NAME_LENGTH = 256;
/** Groups of one caller at most; each becomes a header line upstream. */
export const MAX_GROUPS = 256;

const SERVICE_ACCOUNT =
  /^system:serviceaccount:([a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?):([a-z0-9](?:[-.a-z0-9]{0,251}[a-z0-9])?)$/;
/** Groups that the API server gives to ServiceAccounts, the only names under `system:` that a caller may carry. */
const SERVICE_ACCOUNT_GROUP = /^system:(?:authenticated|serviceaccounts(?::[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)?)$/;

/**
 * Whether `name` may stand for someone: non-empty, printable ASCII, no outer white space, at most 256 characters.
 *
 * Go trims header values, so `"system:masters "` would arrive as system:masters, and an empty `Impersonate-User` runs
 * as the gateway itself; non-ASCII bytes change on their way. What fails here is refused: never trimmed, never repaired.
 */
export function validName(name: unknown): name is string {
  return typeof name === 'string' && name.length <= MAX_NAME_LENGTH && /^[!-~](?:[ -~]*[!-~])?$/.test(name);
}

/**
 * Namespaces that no issuer and no certificate may speak for. `system:` is the cluster's; `sa:` is where
 * ServiceAccounts live upstream (`sallyport:sa:<ns>:<name>`), so a person called `sa:ci:deployer` would be one of them;
 * `sallyport:` is what only the gateway asserts.
 */
export function isReservedName(name: string): boolean {
  return /^(?:system|sa|sallyport):/i.test(name);
}

/** Reads `system:serviceaccount:<namespace>:<name>`; undefined for any other name. */
export function parseServiceAccount(username: string): { namespace: string; name: string } | undefined {
  const match = SERVICE_ACCOUNT.exec(username);
  return match ? { namespace: match[1]!, name: match[2]! } : undefined;
}

/** A name that no caller may have. The message says which part, never its value: that may be anything, a token too. */
export class NameError extends Error {
  constructor(part: string) {
    super(`invalid ${part}`);
    this.name = 'NameError';
  }
}

/**
 * Checks and freezes a caller; every way of identification ends here, so an invalid name never gets further.
 * Groups are a set: repeated ones are kept once.
 * @throws NameError
 */
export function validCaller(caller: Caller): Caller {
  const { serviceAccount } = caller;
  if (serviceAccount) {
    const parsed = parseServiceAccount(caller.username);
    if (!parsed || parsed.namespace !== serviceAccount.namespace || parsed.name !== serviceAccount.name) {
      throw new NameError('service account');
    }
  } else if (!validName(caller.username) || isReservedName(caller.username)) throw new NameError('username');
  if (caller.issuer === '') throw new NameError('issuer');
  if (caller.uid !== '' && !validName(caller.uid)) throw new NameError('uid');
  if (caller.agent !== undefined && !validName(caller.agent)) throw new NameError('agent');
  if (caller.onBehalfOf !== undefined && !validName(caller.onBehalfOf)) throw new NameError('onBehalfOf');
  if (caller.session !== undefined && !validName(caller.session)) throw new NameError('session');
  if (caller.run !== undefined && !validName(caller.run)) throw new NameError('run');
  if (caller.groups.length > MAX_GROUPS) throw new NameError(`groups: more than ${MAX_GROUPS}`);
  for (const group of caller.groups) {
    if (!validName(group)) throw new NameError('group');
    if (isReservedName(group) && !(serviceAccount && SERVICE_ACCOUNT_GROUP.test(group))) throw new NameError('group');
  }
  if (Number.isNaN(caller.expiresAt)) throw new NameError('expiry');
  return Object.freeze({
    ...caller,
    groups: Object.freeze([...new Set(caller.groups)]),
    serviceAccount: serviceAccount && Object.freeze({ ...serviceAccount }),
  });
}
