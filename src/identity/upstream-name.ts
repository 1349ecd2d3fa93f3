import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Caller } from './caller.ts';
import { isReservedName, NameError, parseServiceAccount, validCaller, validName } from './name.ts';

/** Stands before every user and group upstream. RBAC for agents hangs on it, and only the gateway can assert it. */
export const UPSTREAM_PREFIX = 'sallyport:';

/** Extra keys are lower-case: the API server lower-cases them, and would merge two that differ in case only. */
export const EXTRA_AGENT = 'sallyport.dev/agent';
export const EXTRA_ON_BEHALF_OF = 'sallyport.dev/on-behalf-of';
export const EXTRA_SESSION = 'sallyport.dev/session';
export const EXTRA_VIA = 'sallyport.dev/via';

/** Whom the API server sees: the values of `Impersonate-User`, `-Uid`, `-Group` and `-Extra-*`. */
export interface UpstreamName {
  readonly username: string;
  /** Empty: send no `Impersonate-Uid`. */
  readonly uid: string;
  readonly groups: readonly string[];
  readonly extra: Readonly<Record<string, readonly string[]>>;
}

const names = new WeakMap<Caller, UpstreamName>();

/**
 * The name of a caller upstream: `sallyport:<user>`, `sallyport:sa:<ns>:<name>` for ServiceAccounts, `sallyport:<group>`.
 * Computed once per caller; never `system:*`, never empty, and no two usernames share one.
 * @throws NameError if the caller would not pass `validCaller`
 */
export function upstreamName(caller: Caller): UpstreamName {
  const known = names.get(caller);
  if (known) return known;
  const valid = validCaller(caller);
  const extra: Record<string, readonly string[]> = {};
  if (valid.agent !== undefined) extra[EXTRA_AGENT] = [valid.agent];
  if (valid.onBehalfOf !== undefined) extra[EXTRA_ON_BEHALF_OF] = [valid.onBehalfOf];
  if (valid.session !== undefined) extra[EXTRA_SESSION] = [valid.session];
  const account = valid.serviceAccount;
  const name: UpstreamName = Object.freeze({
    username: UPSTREAM_PREFIX + (account ? `sa:${account.namespace}:${account.name}` : valid.username),
    uid: valid.uid,
    groups: valid.groups.map((group) => UPSTREAM_PREFIX + group),
    extra: Object.freeze(extra),
  });
  names.set(caller, name);
  return name;
}

/** Whom an upstream username stands for, as admission reads it; undefined for one that is not governed. @throws NameError */
export function readUpstreamUsername(username: string): Pick<Caller, 'username' | 'serviceAccount'> | undefined {
  if (!username.startsWith(UPSTREAM_PREFIX)) return undefined;
  const rest = username.slice(UPSTREAM_PREFIX.length);
  if (rest.startsWith('sa:')) {
    const full = `system:serviceaccount:${rest.slice(3)}`;
    const serviceAccount = parseServiceAccount(full);
    if (!serviceAccount) throw new NameError('upstream service account');
    return { username: full, serviceAccount };
  }
  if (!validName(rest) || isReservedName(rest)) throw new NameError('upstream username');
  return { username: rest, serviceAccount: undefined };
}

const MINUTE = 60_000;

/**
 * The value of `sallyport.dev/via`: `<minute>.<HMAC-SHA-256>` over (username, uid, minute), by which admission knows
 * that a request came through the gate. The same for a whole minute, so that the API server's caches keep working.
 */
export class Via {
  readonly #key: Uint8Array;
  readonly #memo = new WeakMap<UpstreamName, { minute: number; value: string }>();

  /** @param key the installation key, at least 32 bytes, the same on every replica and in the webhook. */
  constructor(key: Uint8Array) {
    if (key.length < 32) throw new RangeError('the key of the via extra needs at least 32 bytes');
    this.#key = key;
  }

  /** @param now Unix milliseconds */
  of(name: UpstreamName, now: number): string {
    const minute = Math.floor(now / MINUTE);
    const memo = this.#memo.get(name);
    if (memo?.minute === minute) return memo.value;
    const value = `${minute}.${this.#mac(name.username, name.uid, minute).toString('base64url')}`;
    this.#memo.set(name, { minute, value });
    return value;
  }

  /** Whether `value` was made for this user within the last `minutes` minutes (one of them for clocks that differ). */
  verify(value: string, username: string, uid: string, now: number, minutes = 2): boolean {
    const match = /^(\d{1,12})\.([A-Za-z0-9_-]{43})$/.exec(value);
    if (!match) return false;
    const minute = Number(match[1]);
    const current = Math.floor(now / MINUTE);
    if (minute > current + 1 || minute < current - minutes) return false;
    return timingSafeEqual(Buffer.from(match[2]!, 'base64url'), this.#mac(username, uid, minute));
  }

  #mac(username: string, uid: string, minute: number): Buffer {
    // JSON keeps the three apart whatever they hold.
    return createHmac('sha256', this.#key)
      .update(JSON.stringify(['sallyport.dev/via', username, uid, minute]))
      .digest();
  }
}
