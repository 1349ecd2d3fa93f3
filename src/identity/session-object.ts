import { createHash } from 'node:crypto';
import type { AgentSessionSpec, AgentSessionStatus } from './agent-session.generated.ts';

export type { AgentSessionSpec, AgentSessionStatus } from './agent-session.generated.ts';

/** AgentSession (crds/agentsessions.yaml), as far as the gateway reads it. */
export interface AgentSession {
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  /** Unix milliseconds. */
  readonly createdAt: number;
  readonly spec: AgentSessionSpec;
  readonly status: AgentSessionStatus;
}

/** An AgentSession that does not fit its schema: known only as something to be refused. */
export interface UnreadableSession {
  readonly name: string;
  readonly uid: string;
  readonly unreadable: true;
}

/** AgentFreeze (crds/agentfreezes.yaml): while one exists, its agent gets nothing through the gate. */
export interface AgentFreeze {
  readonly name: string;
  /** An agent's name, or `*`: every caller. */
  readonly agent: string;
  readonly reason: string;
  readonly frozenBy: string;
}

/** Where sessions are kept. Every method may throw; the callers fail closed. */
export interface SessionStore {
  /** @throws when an object of that name exists. */
  create(name: string, labels: Readonly<Record<string, string>>, spec: AgentSessionSpec): Promise<AgentSession>;
  /** Undefined only when the API server says that there is none. */
  get(name: string): Promise<AgentSession | undefined>;
  /** A consistent read (no cache), so that a count includes every session created before it. */
  listByLabel(label: string, value: string): Promise<readonly AgentSession[]>;
  /** Merge patch of the status subresource. */
  patchStatus(name: string, status: AgentSessionStatus): Promise<AgentSession>;
  /** Deletes the object of exactly this uid; one that is gone already is no error. */
  delete(name: string, uid: string): Promise<void>;
}

/** Label by which one person's sessions are found with one list. */
export const PERSON_LABEL = 'sallyport.dev/person';

/** Label values are short and plain; a name is neither, so its digest stands there. */
export function personLabel(issuer: string, subject: string): string {
  return createHash('sha256')
    .update(JSON.stringify([issuer, subject]))
    .digest('hex')
    .slice(0, 40);
}

/**
 * Reads an AgentSession as the API server gives it. The CRD's schema has checked it, but a CRD can be changed under a
 * running gateway: what does not fit is refused, not guessed.
 * @returns undefined when a required part is missing, or a part is not what it should be.
 */
export function readAgentSession(object: unknown): AgentSession | undefined {
  const { metadata, spec, status } = (object ?? {}) as {
    metadata?: Record<string, unknown>;
    spec?: Record<string, unknown>;
    status?: Record<string, unknown>;
  };
  if (metadata === undefined || spec === undefined) return undefined;
  const required = [
    metadata['name'],
    metadata['uid'],
    spec['agent'],
    spec['onBehalfOf'],
    spec['issuer'],
    spec['subject'],
  ];
  if (!required.every((value) => typeof value === 'string' && value !== '')) return undefined;
  const createdAt = milliseconds(metadata['creationTimestamp']);
  if (createdAt === undefined || milliseconds(spec['expirationTime']) === undefined) return undefined;
  const { groups, uid, authTime } = spec;
  if (uid !== undefined && typeof uid !== 'string') return undefined;
  if (authTime !== undefined && milliseconds(authTime) === undefined) return undefined;
  if (groups !== undefined && !(Array.isArray(groups) && groups.every((group) => typeof group === 'string'))) {
    return undefined;
  }
  // A revocation in a form of its own ("true") is one that cannot be read, not none.
  if (status?.['revoked'] !== undefined && typeof status['revoked'] !== 'boolean') return undefined;
  return {
    name: metadata['name'] as string,
    uid: metadata['uid'] as string,
    resourceVersion: String(metadata['resourceVersion'] ?? ''),
    createdAt,
    spec: { ...spec, expirationTime: timestamp(spec['expirationTime']) } as unknown as AgentSessionSpec,
    status: (status ?? {}) as AgentSessionStatus,
  };
}

/** For a watch, which must go on: what cannot be read is told as such. @throws Error for what has not even a name */
export function watchedAgentSession(object: unknown): AgentSession | UnreadableSession {
  const session = readAgentSession(object);
  if (session !== undefined) return session;
  const { name, uid } = ((object ?? {}) as { metadata?: { name?: unknown; uid?: unknown } }).metadata ?? {};
  if (typeof name !== 'string' || typeof uid !== 'string' || name === '' || uid === '') {
    throw new Error('an AgentSession without a name or uid');
  }
  return { name, uid, unreadable: true };
}

/** Reads an AgentFreeze; one that cannot be read freezes everyone, since someone meant to stop something. */
export function readAgentFreeze(object: unknown): AgentFreeze {
  const { metadata, spec } = (object ?? {}) as { metadata?: { name?: string }; spec?: Record<string, unknown> };
  const text = (value: unknown) => (typeof value === 'string' ? value : '');
  return {
    name: text(metadata?.name),
    agent: text(spec?.['agent']) || '*',
    reason: text(spec?.['reason']),
    frozenBy: text(spec?.['frozenBy']),
  };
}

/** Clients hand times over as text or as Date. */
function milliseconds(time: unknown): number | undefined {
  const value = time instanceof Date ? time.getTime() : typeof time === 'string' ? Date.parse(time) : Number.NaN;
  return Number.isNaN(value) ? undefined : value;
}

function timestamp(time: unknown): string {
  return time instanceof Date ? time.toISOString() : (time as string);
}
