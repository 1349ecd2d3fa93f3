import { SallyportError } from '../errors.ts';
import type { Caller } from '../identity/caller.ts';

export interface Limits {
  readonly requestsPerSecond: number;
  readonly burst: number;
  readonly parallelRequests: number;
  readonly parallelStreams: number;
  readonly bytesHeld: number;
  /** Callers remembered; the longest unseen idle one is forgotten first. */
  readonly callers: number;
}

export type Limit = 'rate' | 'parallelRequests' | 'parallelStreams' | 'bytesHeld' | 'callers';

interface Account {
  tokens: number;
  refilledAt: number;
  requests: number;
  streams: number;
  held: number;
}

/** What a request has taken from its caller's allowance; `release` gives all of it back, once. */
export class Lease {
  readonly #account: Account;
  readonly #limits: Limits;
  readonly #onHit: (limit: Limit) => void;
  #kind: 'requests' | 'streams' = 'requests';
  #held = 0;
  #open = true;

  constructor(account: Account, limits: Limits, onHit: (limit: Limit) => void) {
    this.#account = account;
    this.#limits = limits;
    this.#onHit = onHit;
    account.requests += 1;
  }

  /** Counts this request as an upgraded stream from now on. @throws SP_TOO_MANY_REQUESTS */
  becomeStream(): void {
    if (!this.#open || this.#kind === 'streams') return;
    if (this.#account.streams >= this.#limits.parallelStreams) {
      this.#onHit('parallelStreams');
      throw tooMany(`more than ${this.#limits.parallelStreams} streams at once`, 1);
    }
    this.#account.requests -= 1;
    this.#account.streams += 1;
    this.#kind = 'streams';
  }

  /** Takes `bytes` of the memory that this caller may hold. @throws SP_TOO_MANY_REQUESTS */
  hold(bytes: number): void {
    if (this.#account.held + bytes > this.#limits.bytesHeld) {
      this.#onHit('bytesHeld');
      throw tooMany(`bodies under way hold more than ${this.#limits.bytesHeld} bytes`, 1);
    }
    this.#account.held += bytes;
    this.#held += bytes;
  }

  release(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#account[this.#kind] -= 1;
    this.#account.held -= this.#held;
  }
}

/** Requests per second, parallel requests and streams, and bytes held, per caller. One caller's flood is its own. */
export class CallerLimits {
  readonly #limits: Limits;
  readonly #now: () => number;
  readonly #onHit: (limit: Limit) => void;
  /** Insertion order is order of last use. */
  readonly #accounts = new Map<string, Account>();

  constructor(limits: Limits, onHit: (limit: Limit) => void = () => {}, now: () => number = () => performance.now()) {
    this.#limits = limits;
    this.#onHit = onHit;
    this.#now = now;
  }

  /** @throws SallyportError SP_TOO_MANY_REQUESTS with retryAfter in seconds. */
  admit(caller: Caller): Lease {
    const account = this.#account(callerKey(caller));
    const now = this.#now();
    const { requestsPerSecond, burst, parallelRequests } = this.#limits;
    account.tokens = Math.min(burst, account.tokens + ((now - account.refilledAt) / 1_000) * requestsPerSecond);
    account.refilledAt = now;
    if (account.tokens < 1) {
      this.#onHit('rate');
      throw tooMany(`more than ${requestsPerSecond} requests per second`, (1 - account.tokens) / requestsPerSecond);
    }
    if (account.requests >= parallelRequests) {
      this.#onHit('parallelRequests');
      throw tooMany(`more than ${parallelRequests} requests at once`, 1);
    }
    account.tokens -= 1;
    return new Lease(account, this.#limits, this.#onHit);
  }

  #account(key: string): Account {
    let account = this.#accounts.get(key);
    if (account === undefined) {
      if (this.#accounts.size >= this.#limits.callers) this.#forgetOne();
      account = { tokens: this.#limits.burst, refilledAt: this.#now(), requests: 0, streams: 0, held: 0 };
    } else {
      this.#accounts.delete(key);
    }
    this.#accounts.set(key, account);
    return account;
  }

  /** An account with something under way is never forgotten, else its limits could be shed by a flood of names. */
  #forgetOne(): void {
    let looked = 0;
    for (const [key, account] of this.#accounts) {
      if (account.requests === 0 && account.streams === 0) {
        this.#accounts.delete(key);
        return;
      }
      if (++looked === 1_000) break;
    }
    this.#onHit('callers');
    throw tooMany('too many callers at once', 5);
  }
}

/** One caller's identity for limits: the person, the tool, not the token. */
export function callerKey(caller: Caller): string {
  return `${caller.issuer}\n${caller.username}\n${caller.agent ?? ''}`;
}

function tooMany(what: string, retryAfter: number): SallyportError {
  const seconds = Math.max(1, Math.ceil(retryAfter));
  return new SallyportError('SP_TOO_MANY_REQUESTS', `${what}: try again in ${seconds} s`, { retryAfter: seconds });
}
