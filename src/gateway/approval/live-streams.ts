import { conditionOf } from '../../approval/condition.ts';
import { SallyportError } from '../../errors.ts';
import type { Exchange } from '../exchange.ts';
import type { Audit } from './audit.ts';
import { type ApprovalBook, type Kept, keyOf } from './book.ts';

/** What was let through by a person's word and is still open, so that taking the word back ends it. */
export class LiveStreams {
  readonly #audit: Audit;
  readonly #streamLimit: number;
  readonly #byKey = new Map<string, Set<Exchange>>();

  /** @param streamLimit milliseconds for which an approved shell may live */
  constructor(book: ApprovalBook, audit: Audit, streamLimit: number) {
    this.#audit = audit;
    this.#streamLimit = streamLimit;
    book.onChange((key, request) => this.#changed(key, request));
  }

  /** @returns to be called when it has ended */
  add(exchange: Exchange): () => void {
    const { request } = exchange.permit!;
    const key = keyOf(request);
    let open = this.#byKey.get(key);
    if (open === undefined) this.#byKey.set(key, (open = new Set()));
    open.add(exchange);
    const timer = isShell(exchange) ? setTimeout(() => this.#atLimit(exchange), this.#streamLimit) : undefined;
    timer?.unref();
    return () => {
      clearTimeout(timer);
      open.delete(exchange);
      if (open.size === 0 && this.#byKey.get(key) === open) this.#byKey.delete(key);
    };
  }

  #atLimit(exchange: Exchange): void {
    const { request } = exchange.permit!;
    this.#audit.tell('ended', exchange, request, { why: 'limit' });
    const minutes = Math.round(this.#streamLimit / 6_000) / 10;
    const message = `an approved shell lives for ${minutes} min; run the command again to have another one asked`;
    exchange.end(new SallyportError('SP_STREAM_ENDED', message));
  }

  #changed(key: string, request: Kept | undefined): void {
    const open = this.#byKey.get(key);
    if (open === undefined || (request !== undefined && !isTakenBack(request))) return;
    for (const exchange of [...open]) {
      this.#audit.tell('ended', exchange, exchange.permit!.request, { why: 'revoked' });
      const name = exchange.permit!.request.metadata.name;
      exchange.end(
        new SallyportError('SP_APPROVAL_DENIED', `${name}, by which this stream was opened, was taken back`),
      );
    }
  }
}

/** With input or a terminal nobody knows what will be run in it. */
function isShell({ operation }: Exchange): boolean {
  return operation!.exec !== undefined && (operation!.exec.stdin || operation!.exec.tty);
}

/** A denial that the controller has not yet taken in is one: who may deny, the API server has checked. */
function isTakenBack(request: Kept): boolean {
  if (request.status?.decision?.type === 'Denied') return true;
  const reason = conditionOf(request, 'Expired')?.reason;
  return reason === 'Revoked' || (request.status?.grantDuration !== undefined && reason !== undefined);
}
