import { type SessionsConfiguration, sessions as schema } from '../../src/config/sessions.ts';
import type { Caller } from '../../src/identity/caller.ts';
import { SessionAuthenticator } from '../../src/identity/session-authenticator.ts';
import { SessionExchange } from '../../src/identity/session-exchange.ts';
import { type SecretStore, SessionKeys, type StoredSecret } from '../../src/identity/session-key.ts';
import type {
  AgentSession,
  AgentSessionSpec,
  AgentSessionStatus,
  SessionStore,
} from '../../src/identity/session-object.ts';
import { SessionRegistry } from '../../src/identity/session-registry.ts';
import { SessionTokens } from '../../src/identity/session-token.ts';

/** Secrets with the API server's optimistic concurrency, in memory. `pause` lets races happen where a network would. */
export class MemorySecrets implements SecretStore {
  readonly secrets = new Map<string, StoredSecret>();
  readonly pause: () => Promise<void>;
  reads = 0;
  conflicts = 0;
  broken = false;
  #version = 0;

  constructor(pause: () => Promise<void> = async () => {}) {
    this.pause = pause;
  }

  async get(name: string): Promise<StoredSecret | undefined> {
    this.reads += 1;
    await this.pause();
    if (this.broken) throw new Error('the API server does not answer');
    return this.secrets.get(name);
  }

  async create(name: string, data: Readonly<Record<string, string>>): Promise<StoredSecret | 'Conflict'> {
    await this.pause();
    if (this.secrets.has(name)) return this.#conflict();
    return this.#write(name, data);
  }

  async update(name: string, data: Readonly<Record<string, string>>, resourceVersion: string) {
    await this.pause();
    if (this.secrets.get(name)?.resourceVersion !== resourceVersion) return this.#conflict();
    return this.#write(name, data);
  }

  #conflict(): 'Conflict' {
    this.conflicts += 1;
    return 'Conflict';
  }

  #write(name: string, data: Readonly<Record<string, string>>): StoredSecret {
    this.#version += 1;
    const stored = { data, resourceVersion: String(this.#version) };
    this.secrets.set(name, stored);
    return stored;
  }
}

/** AgentSessions in memory; `watchers` see every change, as a watch would. */
export class MemorySessions implements SessionStore {
  readonly objects = new Map<string, { session: AgentSession; labels: Readonly<Record<string, string>> }>();
  readonly watchers: SessionRegistry[] = [];
  readonly now: () => number;
  reads = 0;
  writes = 0;
  broken = false;
  #version = 0;

  constructor(now: () => number) {
    this.now = now;
  }

  async create(name: string, labels: Readonly<Record<string, string>>, spec: AgentSessionSpec): Promise<AgentSession> {
    this.#mayBreak();
    if (this.objects.has(name)) throw new Error('AlreadyExists');
    const uid = crypto.randomUUID();
    return this.#put(labels, { name, uid, resourceVersion: '', createdAt: this.now(), spec, status: {} });
  }

  async get(name: string): Promise<AgentSession | undefined> {
    this.reads += 1;
    this.#mayBreak();
    return this.objects.get(name)?.session;
  }

  async listByLabel(label: string, value: string): Promise<AgentSession[]> {
    this.#mayBreak();
    return [...this.objects.values()].filter((one) => one.labels[label] === value).map((one) => one.session);
  }

  async patchStatus(name: string, status: AgentSessionStatus): Promise<AgentSession> {
    this.#mayBreak();
    const { session, labels } = this.objects.get(name)!;
    return this.#put(labels, { ...session, status: { ...session.status, ...status } });
  }

  async delete(name: string, uid: string): Promise<void> {
    this.#mayBreak();
    if (this.objects.get(name)?.session.uid !== uid) return;
    this.writes += 1;
    this.objects.delete(name);
    for (const watcher of this.watchers) watcher.deleteSession({ name, uid });
  }

  #put(labels: Readonly<Record<string, string>>, session: AgentSession): AgentSession {
    this.writes += 1;
    this.#version += 1;
    const stored = { ...session, resourceVersion: String(this.#version) };
    this.objects.set(session.name, { session: stored, labels });
    for (const watcher of this.watchers) watcher.applySession(stored);
    return stored;
  }

  #mayBreak(): void {
    if (this.broken) throw new Error('the API server does not answer');
  }
}

export function person(changes: Partial<Caller> = {}): Caller {
  return {
    method: 'OIDC',
    issuer: 'https://login.example',
    username: 'alice@example.com',
    uid: 'u-1',
    groups: ['developers'],
    serviceAccount: undefined,
    agent: undefined,
    onBehalfOf: undefined,
    session: undefined,
    expiresAt: Number.POSITIVE_INFINITY,
    authTime: undefined,
    ...changes,
  };
}

export function configuration(changes: object = {}): SessionsConfiguration {
  return schema.parse({
    agents: [
      { name: 'cursor', groups: ['ai-agents'] },
      { name: 'brief', maxTTL: '5m' },
    ],
    ...changes,
  });
}

/** One replica's session room over the stores given. */
export function replica(options: {
  secrets: SecretStore;
  store: SessionStore;
  clock: { now: number };
  configuration?: SessionsConfiguration;
  isFresh?: () => boolean;
  audience?: string;
  installation?: string;
}) {
  const now = () => options.clock.now;
  const config = options.configuration ?? configuration();
  const keys = new SessionKeys({
    store: options.secrets,
    secret: 'keys',
    rotateAfter: config.keyRotation,
    longestToken: 43_200_000,
    now,
  });
  const { store } = options;
  const registry = new SessionRegistry({
    lookup: (name) => store.get(name),
    isFresh: options.isFresh ?? (() => true),
    now,
  });
  const tokens = new SessionTokens({
    keys,
    installation: options.installation ?? 'here',
    audience: options.audience ?? 'sallyport',
    now,
  });
  return {
    keys,
    registry,
    tokens,
    store,
    authenticator: new SessionAuthenticator(tokens, registry),
    exchange: new SessionExchange({ configuration: config, store, registry, tokens, now }),
  };
}
