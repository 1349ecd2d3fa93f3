import { SallyportError } from '../errors.ts';
import type { Caller } from './caller.ts';
import { notAuthenticated } from './refusal.ts';
import type { AgentFreeze, AgentSession, AgentSessionSpec } from './session-object.ts';
import type { VerifiedSession } from './session-token.ts';

/** What must stop now: everything of one session, or of one agent (`*`: of everyone). */
export type Ended =
  | { readonly session: string; readonly reason: 'Revoked' | 'Deleted' | 'Unreadable' }
  | { readonly agent: string; readonly reason: 'Frozen' };

/** A session just created on another replica may be on its way through the watch; a hole in the answer is kept shortly. */
const ABSENT_FOR = 2_000;
const MAX_ABSENT = 10_000;
const PROVISIONAL_FOR = 30_000;

/**
 * Which sessions stand, live: fed by the watches on AgentSessions and AgentFreezes, asked on every request in O(1).
 * It never says yes for lack of news: a stale watch refuses, a session it has not heard of is read once, directly.
 */
export class SessionRegistry {
  readonly #lookup: (name: string) => Promise<AgentSession | undefined>;
  readonly #isFresh: () => boolean;
  readonly #now: () => number;
  readonly #sessions = new Map<string, AgentSession>();
  /** uids that are over for good: no late answer of a read or a lagging watch brings them back. */
  readonly #ended = new Map<string, number>();
  readonly #provisional = new Map<string, number>();
  readonly #absent = new Map<string, number>();
  readonly #reading = new Map<string, Promise<AgentSession | undefined>>();
  readonly #lastSeen = new Map<string, number>();
  readonly #matched = new WeakSet<VerifiedSession>();
  readonly #freezes = new Map<string, AgentFreeze>();
  readonly #listeners = new Set<(ended: Ended) => void>();

  /**
   * @param options `lookup` reads one session from the API server, undefined when it says that there is none;
   * `isFresh` is false as soon as either watch has been silent for longer than configured, or has not begun.
   */
  constructor(options: {
    lookup: (name: string) => Promise<AgentSession | undefined>;
    isFresh: () => boolean;
    now?: () => number;
  }) {
    this.#lookup = options.lookup;
    this.#isFresh = options.isFresh;
    this.#now = options.now ?? Date.now;
  }

  // ---- fed by the watches

  /** One session as the watch shows it, added or changed. */
  applySession(session: AgentSession): void {
    this.#provisional.delete(session.name);
    this.#take(session);
  }

  /**
   * A session known before the watch showed it: just created here, or read directly. It is believed for half a minute;
   * a deletion that a relist swallowed must not leave it standing.
   */
  learn(session: AgentSession): void {
    if (this.#sessions.get(session.name)?.uid !== session.uid) this.#provisional.set(session.name, this.#now());
    this.#take(session);
  }

  #take(session: AgentSession): void {
    if (this.#ended.has(session.uid)) return;
    const before = this.#sessions.get(session.name);
    if (before !== undefined && before.uid !== session.uid) this.#end(before, 'Deleted');
    this.#absent.delete(session.name);
    this.#sessions.set(session.name, session);
    if (session.status.revoked === true) this.#end(session, 'Revoked');
  }

  deleteSession(session: { readonly name: string; readonly uid: string }): void {
    const before = this.#sessions.get(session.name);
    if (before?.uid === session.uid) this.#sessions.delete(session.name);
    this.#provisional.delete(session.name);
    this.#lastSeen.delete(session.name);
    this.#end(before?.uid === session.uid ? before : session, 'Deleted');
  }

  /**
   * A session that does not fit its schema any more: whether it was revoked, and what it grants, nobody can read. It ends,
   * alone and for good; everyone else's are as they were.
   */
  quarantine(session: { readonly name: string; readonly uid: string }): void {
    const before = this.#sessions.get(session.name);
    if (before !== undefined && before.uid !== session.uid) this.#end(before, 'Deleted');
    this.#sessions.delete(session.name);
    this.#provisional.delete(session.name);
    this.#lastSeen.delete(session.name);
    this.#end(session, 'Unreadable');
  }

  applyFreeze(freeze: AgentFreeze): void {
    this.#freezes.set(freeze.name, freeze);
    this.#emit({ agent: freeze.agent, reason: 'Frozen' });
  }

  deleteFreeze(name: string): void {
    this.#freezes.delete(name);
  }

  // ---- asked by the gateway

  /**
   * Whether a caller may pass now, whatever way they were identified: call it on every request, after authentication.
   * @throws SallyportError SP_SESSION_REFUSED when their agent, or everyone, is frozen; SP_SESSIONS_NOT_LOADED when
   * nobody can know.
   */
  admit(caller: Caller): void {
    this.#requireFresh();
    const freeze = this.freezeOf(caller);
    if (freeze !== undefined) throw frozen(freeze);
  }

  /** The freeze that stops a caller, if one does. */
  freezeOf(caller: Pick<Caller, 'agent'>): AgentFreeze | undefined {
    for (const freeze of this.#freezes.values()) if (concerns(freeze, caller)) return freeze;
    return undefined;
  }

  /**
   * Whether the session of a verified token stands. Answers at once for a session that the watch has shown.
   * @throws SallyportError 401 when it is over or unknown, SP_SESSIONS_NOT_LOADED when nobody can know.
   */
  check(verified: VerifiedSession): void | Promise<void> {
    this.#requireFresh();
    const { session: name } = verified.caller;
    const known = this.#sessions.get(name);
    const learned = this.#provisional.size === 0 ? undefined : this.#provisional.get(name);
    if (known !== undefined && (learned === undefined || this.#now() - learned < PROVISIONAL_FOR)) {
      this.#judge(known, verified);
      return;
    }
    return this.#checkUnknown(name, verified);
  }

  async #checkUnknown(name: string, verified: VerifiedSession): Promise<void> {
    if (this.#ended.has(verified.sessionUID)) throw notAuthenticated(`session ${name} has ended`);
    const absentSince = this.#absent.get(name);
    if (absentSince !== undefined && this.#now() - absentSince < ABSENT_FOR) {
      throw notAuthenticated(`session ${name} does not exist`);
    }
    let found: AgentSession | undefined;
    try {
      found = await this.#read(name);
    } catch (error) {
      throw notLoaded(`session ${name} could not be read`, error);
    }
    if (found === undefined) throw notAuthenticated(`session ${name} does not exist`);
    this.#judge(found, verified);
  }

  #judge(session: AgentSession, verified: VerifiedSession): void {
    const { caller, sessionUID } = verified;
    if (session.uid !== sessionUID) throw notAuthenticated(`session ${session.name} is another one of that name`);
    if (this.#ended.has(session.uid) || session.status.revoked === true) {
      throw notAuthenticated(`session ${session.name} was revoked`);
    }
    if (!this.#matched.has(verified)) {
      if (!grants(session.spec, caller)) {
        throw notAuthenticated(`session ${session.name} was not granted what its token says`);
      }
      // Both are immutable from here on: the spec by the CRD's rule for this uid, the token by its signature.
      this.#matched.add(verified);
    }
    this.#lastSeen.set(session.name, this.#now());
  }

  /**
   * Tells what must stop: open streams and requests under way of a session or agent. Expiry is not told; it stands in
   * `caller.expiresAt`.
   * @returns a function that ends the subscription.
   */
  onEnded(listener: (ended: Ended) => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  /** Sessions as the watch shows them, newest state; for listing and counting. */
  sessions(): IterableIterator<AgentSession> {
    return this.#sessions.values();
  }

  get(name: string): AgentSession | undefined {
    return this.#sessions.get(name);
  }

  /** When each session was last used on this replica (Unix milliseconds), since the last call. */
  takeLastSeen(): ReadonlyMap<string, number> {
    const seen = new Map(this.#lastSeen);
    this.#lastSeen.clear();
    return seen;
  }

  #requireFresh(): void {
    if (!this.#isFresh()) throw notLoaded('the watch on agent sessions is stale');
  }

  /** One read at a time for a name, however many requests wait for it. */
  #read(name: string): Promise<AgentSession | undefined> {
    let reading = this.#reading.get(name);
    if (reading === undefined) {
      reading = this.#lookup(name)
        .then((found) => {
          if (found !== undefined) {
            this.#provisional.set(name, this.#now());
            this.#take(found);
          } else {
            const before = this.#sessions.get(name);
            if (before !== undefined) this.deleteSession(before);
            if (this.#absent.size >= MAX_ABSENT) this.#absent.clear();
            this.#absent.set(name, this.#now());
          }
          return found;
        })
        .finally(() => this.#reading.delete(name));
      this.#reading.set(name, reading);
    }
    return reading;
  }

  #end(session: { readonly name: string; readonly uid: string }, reason: 'Revoked' | 'Deleted' | 'Unreadable'): void {
    if (this.#ended.has(session.uid)) return;
    // Kept as long as any token of it could live (a day is twice that), so the map stays as small as revocations are.
    const now = this.#now();
    for (const [uid, at] of this.#ended) {
      if (now - at < 86_400_000) break;
      this.#ended.delete(uid);
    }
    this.#ended.set(session.uid, now);
    this.#emit({ session: session.name, reason });
  }

  #emit(ended: Ended): void {
    for (const listener of this.#listeners) listener(ended);
  }
}

/**
 * Whether a session covers what its token says. A signature alone is not enough: whoever has the signing key would
 * otherwise add a group to a session that someone else holds, or years to its life.
 */
function grants(spec: AgentSessionSpec, caller: VerifiedSession['caller']): boolean {
  const groups = spec.groups ?? [];
  return (
    spec.agent === caller.agent &&
    spec.subject === caller.username &&
    spec.onBehalfOf === caller.onBehalfOf &&
    spec.issuer === caller.issuer &&
    (spec.uid ?? '') === caller.uid &&
    caller.expiresAt <= Date.parse(spec.expirationTime) &&
    seconds(spec.authTime) === (caller.authTime === undefined ? undefined : Math.floor(caller.authTime)) &&
    groups.length === caller.groups.length &&
    groups.every((group, index) => group === caller.groups[index])
  );
}

function seconds(time: string | undefined): number | undefined {
  return time === undefined ? undefined : Math.floor(Date.parse(time) / 1_000);
}

/** `*` stops everyone who comes through the gate: a CI job or a person's own token may drive an agent as well. */
function concerns(freeze: AgentFreeze, caller: Pick<Caller, 'agent'>): boolean {
  return freeze.agent === '*' || freeze.agent === caller.agent;
}

export function frozen(freeze: AgentFreeze): SallyportError {
  const what = freeze.agent === '*' ? 'everything through this gateway' : `agent ${freeze.agent}`;
  const why = freeze.reason === '' ? '' : `: ${freeze.reason}`;
  return new SallyportError('SP_SESSION_REFUSED', `an administrator has frozen ${what}${why}`);
}

function notLoaded(message: string, cause?: unknown): SallyportError {
  return new SallyportError('SP_SESSIONS_NOT_LOADED', `agent sessions cannot be checked now: ${message}`, {
    retryAfter: 2,
    ...(cause === undefined ? {} : { cause }),
  });
}
