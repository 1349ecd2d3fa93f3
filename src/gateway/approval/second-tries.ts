import type { Exchange } from '../exchange.ts';

/** Milliseconds within which kubectl tries again the other way. */
const AT_ONCE = 10_000;
/** Requests that are remembered; nobody needs more than the holds of all callers. */
const MAX_KNOWN = 10_000;

/**
 * Where a WebSocket is refused, kubectl tries SPDY at once. Who has waited for a person over the one way has waited for
 * the other too, and is told so now.
 */
export class SecondTries {
  /** By digest: how many waits over WebSocket have run out, and until when a second try belongs to them. */
  readonly #due = new Map<string, { count: number; until: number }>();

  /** The wait of this exchange has run out. */
  expect({ request }: Exchange, digest: string): void {
    if (request.headers.upgrade?.toLowerCase() !== 'websocket') return;
    const now = performance.now();
    for (const [known, { until }] of this.#due) {
      if (until > now && this.#due.size < MAX_KNOWN) break;
      this.#due.delete(known);
    }
    const count = (this.#due.get(digest)?.count ?? 0) + 1;
    // The map keeps the order in which they end.
    this.#due.delete(digest);
    this.#due.set(digest, { count, until: now + AT_ONCE });
  }

  /** Whether this is the second try of a command whose first has waited; one each. */
  take({ request }: Exchange, digest: string): boolean {
    if (!/^spdy\//i.test(request.headers.upgrade ?? '')) return false;
    const due = this.#due.get(digest);
    if (due === undefined || due.until <= performance.now()) return false;
    due.count -= 1;
    if (due.count === 0) this.#due.delete(digest);
    return true;
  }
}
