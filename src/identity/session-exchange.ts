import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SessionsConfiguration } from '../config/sessions.ts';
import { SallyportError } from '../errors.ts';
import type { Caller } from './caller.ts';
import { MAX_GROUPS, NameError, validCaller } from './name.ts';
import {
  type AgentSession,
  type AgentSessionSpec,
  PERSON_LABEL,
  personLabel,
  type SessionStore,
} from './session-object.ts';
import { frozen, type SessionRegistry } from './session-registry.ts';
import type { SessionTokens } from './session-token.ts';

/** Groups of a session travel in its token, and a token must fit into the headers that every client can send. */
const MAX_GROUP_BYTES = 6_000;

export interface IssuedSession {
  readonly token: string;
  readonly name: string;
  readonly agent: string;
  /** Unix milliseconds. */
  readonly expiresAt: number;
}

/** Why a session is refused; `oauth` is the RFC 6749 §5.2 (or RFC 9470) error of the endpoint's answer. */
export class SessionRefused extends SallyportError {
  readonly oauth: 'invalid_request' | 'invalid_target' | 'access_denied' | 'insufficient_user_authentication';

  constructor(oauth: SessionRefused['oauth'], message: string) {
    super('SP_SESSION_REFUSED', message);
    this.oauth = oauth;
  }
}

/** Over the cap. */
class Crowded extends SessionRefused {}

/** Gives agent sessions to people, lists them and ends them. */
export class SessionExchange {
  readonly #configuration: SessionsConfiguration;
  readonly #store: SessionStore;
  readonly #registry: SessionRegistry;
  readonly #tokens: SessionTokens;
  readonly #now: () => number;

  constructor(options: {
    configuration: SessionsConfiguration;
    store: SessionStore;
    registry: SessionRegistry;
    tokens: SessionTokens;
    now?: () => number;
  }) {
    this.#configuration = options.configuration;
    this.#store = options.store;
    this.#registry = options.registry;
    this.#tokens = options.tokens;
    this.#now = options.now ?? Date.now;
  }

  /**
   * Makes a session of `agentName` for the person who calls.
   * @param requestedTTL seconds; undefined: the default.
   * @throws SessionRefused with what to do; SallyportError when it cannot be made now.
   */
  async issue(person: Caller, agentName: string, requestedTTL: number | undefined): Promise<IssuedSession> {
    this.#requirePerson(person);
    const agent = this.#configuration.agents.find((candidate) => candidate.name === agentName);
    if (agent === undefined) {
      const known = this.#configuration.agents.map((candidate) => candidate.name).join(', ') || 'none is configured';
      throw new SessionRefused('invalid_target', `there is no agent of that name here (${known})`);
    }
    // Throws when freezes cannot be known; the person may still be one whom `*` stops.
    this.#registry.admit(person);
    const freeze = this.#registry.freezeOf({ agent: agent.name });
    if (freeze !== undefined) throw frozen(freeze);
    this.#requireRoom(person, this.#live(this.#registry.sessions(), person).length);

    const groups = this.#groupsOf(person, agent.groups);
    const issuedAt = Math.floor(this.#now() / 1_000);
    const expiresAt = issuedAt + this.#lifetime(person, agent.maxTTL, requestedTTL);
    const session = await this.#create(person, agent.name, groups, expiresAt);
    const token = await this.#tokens.sign({
      session: session.name,
      sessionUID: session.uid,
      agent: agent.name,
      issuer: person.issuer,
      username: person.username,
      uid: person.uid,
      groups,
      serviceAccount: person.serviceAccount,
      issuedAt,
      expiresAt,
      authTime: person.authTime,
    });
    this.#registry.learn(session);
    return { token, name: session.name, agent: agent.name, expiresAt: expiresAt * 1_000 };
  }

  /** A person's sessions that have not expired, the newest first. */
  list(person: Caller): AgentSession[] {
    this.#requirePerson(person);
    return [...this.#registry.sessions()]
      .filter((session) => owns(person, session) && Date.parse(session.spec.expirationTime) > this.#now())
      .sort((a, b) => b.createdAt - a.createdAt);
  }

  /** One session of the caller's own; an agent session sees itself only. Undefined when it is none of theirs. */
  async find(caller: Caller, name: string): Promise<AgentSession | undefined> {
    if (caller.method === 'AgentSession' && caller.session !== name) return undefined;
    const session = this.#registry.get(name) ?? (await this.#store.get(name));
    return session !== undefined && owns(caller, session) ? session : undefined;
  }

  /** Ends a session of the caller's own, at once and for good. @returns false when it is none of theirs. */
  async revoke(caller: Caller, name: string): Promise<boolean> {
    const session = await this.find(caller, name);
    if (session === undefined) return false;
    if (session.status.revoked === true) return true;
    const revoked = await this.#store.patchStatus(name, {
      revoked: true,
      reason: caller.method === 'AgentSession' ? 'ended by the session itself' : 'ended by its person',
      revokedBy: caller.username,
      revokedTime: new Date(this.#now()).toISOString(),
    });
    this.#registry.learn(revoked);
    return true;
  }

  #requirePerson(caller: Caller): void {
    const { issuers, allowServiceAccounts } = this.#configuration;
    // An agent that could make sessions would outlive every revocation.
    if (caller.method === 'AgentSession' || caller.agent !== undefined) {
      throw new SessionRefused('access_denied', 'an agent cannot take or list sessions: a person signs in for it');
    }
    if ((caller.method === 'TokenReview' || caller.serviceAccount !== undefined) && !allowServiceAccounts) {
      throw new SessionRefused('access_denied', 'ServiceAccounts take no sessions here: they use their own token');
    }
    if (issuers.length > 0 && !issuers.includes(caller.issuer)) {
      throw new SessionRefused('access_denied', 'callers of this issuer take no sessions here');
    }
  }

  /** Seconds. Never beyond the agent's and the gateway's bound, the certificate's end, and the sign-in's greatest age. */
  #lifetime(person: Caller, agentMaxTTL: number, requested: number | undefined): number {
    const { defaultTTL, maxTTL, maxSignInAge } = this.#configuration;
    const now = this.#now();
    let milliseconds = Math.min(requested === undefined ? defaultTTL : requested * 1_000, agentMaxTTL, maxTTL);
    // An ID token is proof of a sign-in and ends within minutes; a certificate is a credential, and nothing made from
    // it may outlive it.
    if (person.method !== 'OIDC') milliseconds = Math.min(milliseconds, person.expiresAt - now);
    if (person.authTime !== undefined)
      milliseconds = Math.min(milliseconds, person.authTime * 1_000 + maxSignInAge - now);
    if (milliseconds < 1_000) {
      throw new SessionRefused('insufficient_user_authentication', 'the sign-in is too long ago: sign in again');
    }
    return Math.floor(milliseconds / 1_000);
  }

  /**
   * The person's groups stay: dropping them would also drop the Deny rules that name them. (What an agent may do is
   * bounded by rules on the agent's groups or name; Deny beats Allow.)
   */
  #groupsOf(person: Caller, agentGroups: readonly string[]): string[] {
    const groups = [...new Set([...agentGroups, ...(this.#configuration.inheritGroups ? person.groups : [])])];
    const bytes = groups.reduce((sum, group) => sum + group.length + 3, 0);
    if (groups.length > MAX_GROUPS || bytes > MAX_GROUP_BYTES) {
      throw new SessionRefused(
        'access_denied',
        `${groups.length} groups of ${bytes} bytes do not fit into a session token: have the issuer send fewer`,
      );
    }
    return groups;
  }

  async #create(person: Caller, agent: string, groups: readonly string[], expiresAt: number): Promise<AgentSession> {
    const name = `${agent}-${randomBytes(8).toString('hex')}`;
    const label = personLabel(person.issuer, person.username);
    const spec: AgentSessionSpec = {
      agent,
      onBehalfOf: person.username,
      issuer: person.issuer,
      subject: person.username,
      ...(person.uid === '' ? {} : { uid: person.uid }),
      groups,
      expirationTime: new Date(expiresAt * 1_000).toISOString(),
      ...(person.authTime === undefined ? {} : { authTime: new Date(person.authTime * 1_000).toISOString() }),
    };
    this.#requireUsable(person, spec, name, expiresAt);
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#createCounted(person, agent, name, label, spec);
      } catch (error) {
        // Two that were made at once have both given way, perhaps with room for one: try again at different times.
        if (!(error instanceof Crowded) || attempt === 4) throw error;
        await sleep(50 + Math.random() * 200 * attempt);
        this.#requireRoom(person, this.#live(await this.#store.listByLabel(PERSON_LABEL, label), person).length);
      }
    }
  }

  async #createCounted(
    person: Caller,
    agent: string,
    name: string,
    label: string,
    spec: AgentSessionSpec,
  ): Promise<AgentSession> {
    const session = await this.#store.create(name, { [PERSON_LABEL]: label }, spec);
    try {
      const all = await this.#store.listByLabel(PERSON_LABEL, label);
      this.#requireFreshSignIn(person, agent, all);
      // Counted after it was made, by a consistent read: of several replicas that make one at once, each sees the
      // others', so the cap is never passed (at worst both give way).
      this.#requireRoom(person, this.#live(all, person).filter((one) => one.uid !== session.uid).length);
    } catch (error) {
      await this.#store.delete(name, session.uid).catch(() => undefined);
      throw error;
    }
    return session;
  }

  /** The names must be ones that the gateway would accept back; better said now than at the first request. */
  #requireUsable(person: Caller, spec: AgentSessionSpec, session: string, expiresAt: number): void {
    try {
      validCaller({
        ...person,
        method: 'AgentSession',
        agent: spec.agent,
        onBehalfOf: spec.onBehalfOf,
        groups: spec.groups ?? [],
        session,
        expiresAt: expiresAt * 1_000,
      });
    } catch (error) {
      if (error instanceof NameError)
        throw new SessionRefused('access_denied', `a session cannot carry an ${error.message}`);
      throw error;
    }
  }

  /**
   * Who had a session of this agent revoked must really sign in again before the next one: a stored ID or refresh token
   * would otherwise undo a revocation within a second. An issuer that does not say when the person signed in counts as
   * "before" until the revoked session would have ended.
   */
  #requireFreshSignIn(person: Caller, agent: string, all: readonly AgentSession[]): void {
    const now = this.#now();
    for (const session of all) {
      if (session.status.revoked !== true || session.spec.agent !== agent || !owns(person, session)) continue;
      if (Date.parse(session.spec.expirationTime) <= now) continue;
      const revokedAt = Date.parse(session.status.revokedTime ?? '') || now;
      if (person.authTime !== undefined && person.authTime * 1_000 >= revokedAt) continue;
      throw new SessionRefused(
        'insufficient_user_authentication',
        `session ${session.name} was revoked: sign in anew for another one`,
      );
    }
  }

  #requireRoom(person: Caller, live: number): void {
    const { maxPerPerson } = this.#configuration;
    if (live < maxPerPerson) return;
    throw new Crowded(
      'access_denied',
      `${person.username} has ${live} live sessions of at most ${maxPerPerson}: end some ` +
        '(sallyport session list, sallyport session revoke NAME) or let them expire',
    );
  }

  #live(sessions: Iterable<AgentSession>, person: Caller): AgentSession[] {
    const now = this.#now();
    return [...sessions].filter(
      (one) => owns(person, one) && one.status.revoked !== true && Date.parse(one.spec.expirationTime) > now,
    );
  }
}

function owns(caller: Caller, session: AgentSession): boolean {
  return session.spec.subject === caller.username && session.spec.issuer === caller.issuer;
}
