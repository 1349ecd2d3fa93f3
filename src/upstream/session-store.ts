import { SallyportError } from '../errors.ts';
import { type AgentSession, readAgentSession, type SessionStore } from '../identity/session-object.ts';
import type { Own, OwnObject } from './own.ts';

/** AgentSessions, in the gateway's namespace. */
export function sessionStore(own: Own): SessionStore {
  return {
    async create(name, labels, spec) {
      return must(await own.create('AgentSession', { name, labels, content: { spec } }));
    },
    async get(name) {
      const object = await own.get('AgentSession', { name });
      return object === undefined ? undefined : must(object);
    },
    async listByLabel(label, value) {
      const objects = await own.list('AgentSession', { labelSelector: `${label}=${value}` });
      return objects.map(must);
    },
    async patchStatus(name, status) {
      return must(await own.patchStatus('AgentSession', { name }, { ...status }));
    },
    async delete(name, uid) {
      await own.delete('AgentSession', { name }, uid);
    },
  };
}

/** One that cannot be read must not be taken for one that is not there. */
function must(object: OwnObject): AgentSession {
  const session = readAgentSession(object);
  if (session === undefined) {
    const { name } = object.metadata;
    throw new SallyportError(
      'SP_SESSIONS_NOT_LOADED',
      `AgentSession ${name} does not fit its schema: an administrator has to delete it`,
    );
  }
  return session;
}
