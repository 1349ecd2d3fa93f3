import { SallyportError } from '../errors.ts';
import type { Exchange } from './exchange.ts';

/** setTimeout's own longest delay. */
const LONGEST_TIMER = 2 ** 31 - 1;

/** Everything under way, so that a revoked session, an expired token or a stopping gateway ends it. */
export class LiveExchanges {
  readonly #exchanges = new Map<Exchange, NodeJS.Timeout | undefined>();
  readonly #bySession = new Map<string, Set<Exchange>>();
  readonly #longLived = new Set<Exchange>();

  /** From here on the exchange ends when its caller's credential does. */
  add(exchange: Exchange): void {
    this.#exchanges.set(exchange, undefined);
    const session = exchange.caller!.session;
    if (session === undefined) return;
    let members = this.#bySession.get(session);
    if (members === undefined) this.#bySession.set(session, (members = new Set()));
    members.add(exchange);
  }

  /** A timer for each small GET would cost more than the GET: only what stays open gets one. */
  watchExpiry(exchange: Exchange): void {
    if (!this.#exchanges.has(exchange)) return;
    this.#longLived.add(exchange);
    const left = exchange.caller!.expiresAt - Date.now();
    if (left > LONGEST_TIMER) return;
    const timer = setTimeout(() => {
      exchange.end(new SallyportError('SP_CREDENTIAL_EXPIRED', 'the credential has expired: sign in again'));
    }, left);
    this.#exchanges.set(exchange, timer.unref());
  }

  remove(exchange: Exchange): void {
    clearTimeout(this.#exchanges.get(exchange));
    this.#longLived.delete(exchange);
    if (!this.#exchanges.delete(exchange)) return;
    const session = exchange.caller?.session;
    if (session === undefined) return;
    const members = this.#bySession.get(session);
    members?.delete(exchange);
    if (members?.size === 0) this.#bySession.delete(session);
  }

  /** Ends all that a session has under way. */
  endSession(session: string, reason: string): void {
    for (const exchange of [...(this.#bySession.get(session) ?? [])]) {
      exchange.end(new SallyportError('SP_SESSION_REFUSED', `the agent session ${session} has ended: ${reason}`));
    }
  }

  /** Ends all that an agent has under way; `*`: everyone. */
  endAgent(agent: string): void {
    for (const exchange of [...this.#exchanges.keys()]) {
      if (agent !== '*' && exchange.caller?.agent !== agent) continue;
      const what = agent === '*' ? 'everything through this gateway' : `agent ${agent}`;
      exchange.end(new SallyportError('SP_SESSION_REFUSED', `an administrator has frozen ${what}`));
    }
  }

  /** Gives long-lived exchanges until a deadline, milliseconds from now; the rest is left to end by itself. */
  endStreams(deadline: number): void {
    const end = (): void => endThem(this.#longLived, 'this replica is stopping: run the command again');
    setTimeout(end, deadline).unref();
  }

  /** Ends streams of which something is true. */
  endStreamsThat(predicate: (exchange: Exchange) => boolean, reason: string): void {
    for (const exchange of [...this.#longLived]) {
      if (predicate(exchange)) exchange.end(new SallyportError('SP_STREAM_ENDED', reason));
    }
  }

  /** Resolves when nothing is under way any more, or after `timeout` milliseconds. */
  async drained(timeout: number): Promise<void> {
    const end = performance.now() + timeout;
    while (this.#exchanges.size > 0 && performance.now() < end) {
      await new Promise((resolve) => {
        setTimeout(resolve, 25);
      });
    }
  }

  endAll(reason: string): void {
    endThem(this.#exchanges.keys(), reason);
  }

  get size(): number {
    return this.#exchanges.size;
  }
}

function endThem(exchanges: Iterable<Exchange>, reason: string): void {
  for (const exchange of [...exchanges]) exchange.end(new SallyportError('SP_SHUTTING_DOWN', reason));
}
