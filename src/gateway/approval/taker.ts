import type { ApprovalRequestStatus } from '../../approval/approval-request.generated.ts';
import { statusPatch } from '../../approval/status-patch.ts';
import { takeUse, targetChange } from '../../approval/use.ts';
import { isStatus } from '../../kubernetes/api-error.ts';
import type { Body } from '../../request/body.ts';
import type { Own } from '../../upstream/own.ts';
import type { Exchange } from '../exchange.ts';
import type { Audit } from './audit.ts';
import { type ApprovalBook, type Kept, readRequest } from './book.ts';
import { withGroups } from './identity.ts';
import type { Guarded } from './permit.ts';
import { guard } from './precondition.ts';
import { refusal } from './refusals.ts';
import type { Found, Targets } from './target.ts';
import { unavailable } from './unavailable.ts';

export interface TakerOptions {
  readonly own: Own;
  readonly book: ApprovalBook;
  readonly targets: Targets;
  readonly audit: Audit;
  /** @throws SallyportError SP_APPROVAL_UNAVAILABLE where nobody could say who wrote what an approval says */
  mustStand(): Promise<void>;
}

export interface Taken {
  readonly request: Kept;
  readonly guarded: Guarded | undefined;
}

/** Others that write the same object between a look and a try. */
const TRIES = 8;

/** Takes uses of approvals, each at most once. */
export class Taker {
  readonly #options: TakerOptions;

  constructor(options: TakerOptions) {
    this.#options = options;
  }

  /**
   * Takes one use of an approval, after what the request would change was found to be what the person saw. When this
   * resolves the use stands in the API server, and nothing has been forwarded yet.
   * @returns undefined where this approval is not to be had any more: then it is asked anew
   * @throws SallyportError SP_APPROVAL_VOID, SP_APPROVAL_DENIED, SP_APPROVAL_UNAVAILABLE
   */
  async take(exchange: Exchange, approved: Kept, digest: string, body: Body | undefined): Promise<Taken | undefined> {
    const { targets, audit, mustStand } = this.#options;
    const groups = exchange.decision!.approval!.impersonateGroups;
    const [found] = await Promise.all([
      targets.find(exchange, body, withGroups(exchange.identity!, groups), false),
      mustStand(),
    ]);
    const { target } = found;
    // What cannot be guarded is refused before it costs a use.
    const guarded = guard(exchange.operation!, body, restoredFrom(exchange, found));
    exchange.signal.throwIfAborted();
    let request = approved;
    for (let attempt = 1; attempt <= TRIES; attempt++) {
      const use = { digest, leg: 'Gateway', requestID: exchange.id, target } as const;
      const { status, refusal: refused } = takeUse(request, use, Date.now());
      const written = status === undefined ? undefined : await this.#write(request, status);
      if (written === 'Changed') {
        const now = await this.#read(request);
        if (now === undefined) return undefined;
        request = now;
        continue;
      }
      if (refused === undefined) {
        audit.tell('used', exchange, written);
        return { request: written!, guarded };
      }
      const { code, message } = refused;
      const line = `${request.spec.policyRef.name}/${request.spec.ruleName}: ${message}`;
      if (code === 'SP_APPROVAL_VOID') {
        audit.tell('voided', exchange, request, { why: message });
        throw refusal(code, `${line}; run the same command again to have it asked anew`, request, undefined);
      }
      if (code === 'SP_APPROVAL_DENIED') throw refusal(code, line, request, undefined);
      return undefined;
    }
    throw unavailable('others write the same approval all the time', undefined);
  }

  /**
   * After the API server has found another object than the one looked at: whether the request would still do what the
   * person saw. The use was taken already.
   * @throws SallyportError SP_APPROVAL_VOID
   */
  async lookAgain(exchange: Exchange, body: Body | undefined): Promise<void> {
    const { targets, audit } = this.#options;
    const permit = exchange.permit!;
    const found = await targets.find(exchange, body, exchange.identity!, false);
    const changed = targetChange(permit.request.spec.target ?? {}, found.target);
    if (changed !== undefined) {
      const { name } = permit.request.metadata;
      audit.tell('voided', exchange, permit.request, { why: changed });
      const message = `${name} is void: ${changed}; run the same command again to have it asked anew`;
      throw refusal('SP_APPROVAL_VOID', message, permit.request, undefined);
    }
    permit.guarded = guard(exchange.operation!, body, restoredFrom(exchange, found));
  }

  async #write(request: Kept, status: ApprovalRequestStatus): Promise<Kept | 'Changed'> {
    const { own, book } = this.#options;
    const { namespace, name, resourceVersion, uid } = request.metadata;
    try {
      const patch = statusPatch(request.status, status);
      const precondition = { resourceVersion: resourceVersion!, uid: uid! };
      const written = readRequest(
        await own.patchStatus('ApprovalRequest', { namespace, name: name! }, patch, precondition),
      );
      book.note(written);
      return written;
    } catch (error) {
      // 422: the rules of the kind; another gateway or person was faster, and so it has ended or is used.
      if (isStatus(error, 409) || isStatus(error, 422)) return 'Changed';
      if (isStatus(error, 404)) {
        book.gone(request);
        return 'Changed';
      }
      throw unavailable('the use of the approval could not be written down', error);
    }
  }

  async #read(request: Kept): Promise<Kept | undefined> {
    const { own, book } = this.#options;
    const { namespace, name, uid } = request.metadata;
    try {
      const read = await own.get('ApprovalRequest', { namespace, name });
      if (read === undefined || read.metadata.uid !== uid) {
        book.gone(request);
        return undefined;
      }
      const now = readRequest(read);
      book.note(now);
      return now;
    } catch (error) {
      throw unavailable('the approval could not be read', error);
    }
  }
}

/** Bound to the revision that values were put back from, where any were: on a later one they could be old. */
function restoredFrom({ restoration }: Exchange, found: Found): Found {
  const revision = restoration?.revision;
  return revision === undefined ? found : { ...found, target: { ...found.target, resourceVersion: revision } };
}
