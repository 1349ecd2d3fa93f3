import { setTimeout as sleep } from 'node:timers/promises';
import type { ApprovalRequestStatusUse } from '../../approval/approval-request.generated.ts';
import { statusPatch } from '../../approval/status-patch.ts';
import { recordOutcome } from '../../approval/use.ts';
import { isStatus } from '../../kubernetes/api-error.ts';
import type { Own } from '../../upstream/own.ts';
import type { Audit } from './audit.ts';
import { type ApprovalBook, type Kept, readRequest } from './book.ts';

export type OutcomeOfUse = NonNullable<ApprovalRequestStatusUse['outcome']>;

/** Milliseconds between tries; after the last one the use is left without an outcome, which becomes OutcomeUnknown. */
const PAUSES = [0, 100, 250, 500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000];

/** Writes down what came of uses, behind the request's back: its client does not wait for that. */
export class Outcomes {
  readonly #own: Own;
  readonly #book: ApprovalBook;
  readonly #audit: Audit;
  readonly #onFailure: (error: unknown, request: Kept) => void;
  readonly #writing = new Set<Promise<void>>();
  readonly #stopping = new AbortController();

  constructor(own: Own, book: ApprovalBook, audit: Audit, onFailure: (error: unknown, request: Kept) => void) {
    this.#own = own;
    this.#book = book;
    this.#audit = audit;
    this.#onFailure = onFailure;
  }

  record(request: Kept, requestID: string, outcome: OutcomeOfUse, code: number | undefined): void {
    const writing = this.#record(request, requestID, outcome, code).finally(() => this.#writing.delete(writing));
    this.#writing.add(writing);
  }

  /** Resolves when what is under way is written, or will not be. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#writing);
  }

  async #record(first: Kept, requestID: string, outcome: OutcomeOfUse, code: number | undefined): Promise<void> {
    let request: Kept | undefined = first;
    let fault: unknown;
    for (const pause of PAUSES) {
      // A gateway that stops does not wait for an API server that does not answer.
      if (pause > 0 && !this.#stopping.signal.aborted) {
        await sleep(pause, undefined, { signal: this.#stopping.signal }).catch(() => {});
      }
      try {
        request ??= await this.#read(first);
        if (request === undefined) return;
        const status = recordOutcome(request, requestID, outcome, Date.now(), code);
        if (status === undefined) return;
        const { namespace, name, resourceVersion, uid } = request.metadata;
        const precondition = { resourceVersion: resourceVersion!, uid: uid! };
        const patch = statusPatch(request.status, status);
        const written = readRequest(
          await this.#own.patchStatus('ApprovalRequest', { namespace, name }, patch, precondition),
        );
        this.#book.note(written);
        this.#audit.step('outcome', written, { requestID, outcome, code });
        return;
      } catch (error) {
        fault = error;
        if (isStatus(error, 404)) return;
        request = undefined;
      }
    }
    this.#onFailure(fault, first);
  }

  async #read(first: Kept): Promise<Kept | undefined> {
    const { namespace, name, uid } = first.metadata;
    const read = await this.#own.get('ApprovalRequest', { namespace, name });
    return read === undefined || read.metadata.uid !== uid ? undefined : readRequest(read);
  }
}
