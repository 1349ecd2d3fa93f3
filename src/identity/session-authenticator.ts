import type { Caller } from './caller.ts';
import type { SessionRegistry } from './session-registry.ts';
import type { SessionTokens } from './session-token.ts';

/** Judges bearer tokens that call themselves agent sessions: genuine, and still standing. */
export class SessionAuthenticator {
  readonly #tokens: SessionTokens;
  readonly #registry: SessionRegistry;

  constructor(tokens: SessionTokens, registry: SessionRegistry) {
    this.#tokens = tokens;
    this.#registry = registry;
  }

  /** Whether this token is this authenticator's to judge; says nothing of its worth. */
  claims(token: string): boolean {
    return this.#tokens.claims(token);
  }

  /** @throws SallyportError: 401, or 503 when the state of sessions cannot be known. Freezes are `admit`'s to judge. */
  async authenticate(token: string): Promise<Caller> {
    const verified = await this.#tokens.verify(token);
    const waiting = this.#registry.check(verified);
    if (waiting !== undefined) await waiting;
    return verified.caller;
  }
}
