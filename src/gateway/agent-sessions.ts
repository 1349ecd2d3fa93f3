import { createHmac } from 'node:crypto';
import { parseDuration } from '../config/duration-text.ts';
import { LONGEST_SESSION, type SessionsConfiguration } from '../config/sessions.ts';
import type { SessionVerifier } from '../identity/authenticator.ts';
import type { Caller } from '../identity/caller.ts';
import { SessionAuthenticator } from '../identity/session-authenticator.ts';
import { SessionEndpoint } from '../identity/session-endpoint.ts';
import { SessionExchange } from '../identity/session-exchange.ts';
import { SessionKeys } from '../identity/session-key.ts';
import {
  type AgentFreeze,
  type AgentSession,
  readAgentFreeze,
  type UnreadableSession,
  watchedAgentSession,
} from '../identity/session-object.ts';
import { type Ended, SessionRegistry } from '../identity/session-registry.ts';
import { SessionTokens } from '../identity/session-token.ts';
import { SessionUpkeep } from '../identity/session-upkeep.ts';
import { boundsFor, Informer } from '../kubernetes/informer.ts';
import type { Transport } from '../kubernetes/transport.ts';
import type { Own } from '../upstream/own.ts';
import { OWN_KINDS } from '../upstream/own-kinds.ts';
import { secretStore } from '../upstream/secret-store.ts';
import { sessionStore } from '../upstream/session-store.ts';
import type { EndpointHandler } from './endpoints.ts';
import { type WatchFailureOptions, watchFailure } from './watch-failure.ts';

export interface AgentSessionsOptions extends WatchFailureOptions {
  readonly configuration: SessionsConfiguration;
  readonly audience: string;
  readonly installationKey: Buffer;
  readonly transport: Transport;
  readonly own: Own;
}

/** Agent sessions as the gateway runs them: the watches that feed the registry, the endpoint, the upkeep. */
export class AgentSessions {
  readonly verifier: SessionVerifier;
  readonly endpoint: EndpointHandler;
  readonly informers: readonly Informer<unknown>[];
  readonly #registry: SessionRegistry;
  readonly #upkeep: SessionUpkeep;
  readonly #staleAfter: number;

  constructor(options: AgentSessionsOptions) {
    const { configuration, own, log } = options;
    this.#staleAfter = configuration.staleAfter;
    const store = sessionStore(own);
    const apply = (session: AgentSession | UnreadableSession): void => {
      if ('unreadable' in session) {
        const { name, uid } = session;
        log.error({ session: name, uid }, 'an AgentSession does not fit its schema: it is refused. Delete it');
        this.#registry.quarantine(session);
      } else this.#registry.applySession(session);
    };
    const sessions = watchOwn(options, 'AgentSession', watchedAgentSession, {
      add: apply,
      update: apply,
      delete: (session) => this.#registry.deleteSession(session),
    });
    const freezes: Informer<AgentFreeze> = watchOwn(options, 'AgentFreeze', readAgentFreeze, {
      add: (freeze) => this.#registry.applyFreeze(freeze),
      update: (freeze) => this.#registry.applyFreeze(freeze),
      delete: (freeze) => this.#registry.deleteFreeze(freeze.name),
    });
    this.informers = [sessions as Informer<unknown>, freezes as Informer<unknown>];
    this.#registry = new SessionRegistry({
      lookup: (name) => store.get(name),
      isFresh: () => Math.max(sessions.age(), freezes.age()) < configuration.staleAfter,
    });
    const keys = new SessionKeys({
      store: secretStore(own),
      secret: configuration.keySecret,
      rotateAfter: configuration.keyRotation,
      // Not today's maximum: a token given under a longer one must still verify.
      longestToken: parseDuration(LONGEST_SESSION)!,
    });
    const tokens = new SessionTokens({
      keys,
      installation: installationID(options.installationKey),
      audience: options.audience,
    });
    const authenticator = new SessionAuthenticator(tokens, this.#registry);
    this.verifier = {
      claims: (token) => authenticator.claims(token),
      verify: (token) => authenticator.authenticate(token),
    };
    const exchange = new SessionExchange({ configuration, store, registry: this.#registry, tokens });
    const endpoint = new SessionEndpoint(exchange, configuration, options.audience);
    this.endpoint = (request) => endpoint.handle(request);
    this.#upkeep = new SessionUpkeep({
      registry: this.#registry,
      store,
      keys,
      retention: configuration.retention,
      onError: (error, what) => log.warn({ error, what }, 'upkeep of agent sessions failed; it is tried again'),
    });
  }

  async start(): Promise<void> {
    for (const informer of this.informers) informer.start();
    await Promise.all(this.informers.map((informer) => informer.whenSynced()));
    this.#upkeep.start();
  }

  async stop(): Promise<void> {
    await this.#upkeep.stop();
    await Promise.all(this.informers.map((informer) => informer.stop()));
  }

  /** @throws SallyportError where the caller's agent, or everyone, is frozen, or that cannot be known. */
  admit(caller: Caller): void {
    this.#registry.admit(caller);
  }

  /** For readiness. */
  check(): true | string {
    for (const informer of this.informers) {
      if (!informer.synced) return `${informer.name}: not loaded yet`;
      if (informer.age() > this.#staleAfter) return `${informer.name}: the watch is stale`;
    }
    return true;
  }

  onEnded(listener: (ended: Ended) => void): void {
    this.#registry.onEnded(listener);
  }
}

type Handlers<T> = { add(object: T): void; update(object: T): void; delete(object: T): void };

function watchOwn<T>(
  options: AgentSessionsOptions,
  kind: 'AgentSession' | 'AgentFreeze',
  accept: (object: unknown) => T,
  handlers: Handlers<T>,
): Informer<T> {
  const { group, version, resource } = OWN_KINDS[kind];
  return new Informer<T>(options.transport, {
    name: kind,
    path: { group, version, resource, namespace: options.own.namespace },
    bounds: boundsFor(options.configuration.staleAfter),
    accept,
    handlers,
    onFailure: watchFailure(options, kind),
  });
}

/** Tells two gateways apart in their tokens, and gives away nothing of the key. */
function installationID(key: Buffer): string {
  return createHmac('sha256', key).update('installation').digest('hex').slice(0, 16);
}
