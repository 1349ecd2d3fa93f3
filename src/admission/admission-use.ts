import type { ApprovalRequestTarget } from '../approval/approval-request.generated.ts';
import { statusPatch } from '../approval/status-patch.ts';
import { takeUse } from '../approval/use.ts';
import type { ErrorCode } from '../errors.ts';
import { type ApprovalBook, type Kept, readRequest } from '../gateway/approval/book.ts';
import { unavailable } from '../gateway/approval/unavailable.ts';
import { isStatus } from '../kubernetes/api-error.ts';
import type { Own } from '../upstream/own.ts';

export interface AdmittedUse {
  readonly digest: string;
  readonly target: ApprovalRequestTarget;
  /** The review's uid. */
  readonly requestID: string;
}

export type Taken =
  | { readonly kind: 'Taken'; readonly request: Kept }
  /** It has ended, or is used up: it may be asked anew. */
  | { readonly kind: 'Gone' }
  | { readonly kind: 'Refused'; readonly code: ErrorCode; readonly message: string };

const TRIES = 8;

/**
 * Takes one use of an approval before the API server is told that it may go on. What comes of it only the API server knows,
 * so the use is written as `Admitted` at once.
 * @throws SallyportError SP_APPROVAL_UNAVAILABLE
 */
export async function takeAdmissionUse(
  { own, book }: { readonly own: Pick<Own, 'get' | 'patchStatus'>; readonly book: ApprovalBook },
  approved: Kept,
  { digest, target, requestID }: AdmittedUse,
): Promise<Taken> {
  let request = approved;
  const { namespace, name } = approved.metadata;
  for (let attempt = 1; attempt <= TRIES; attempt++) {
    const { status, refusal } = takeUse(request, { digest, leg: 'Admission', requestID, target }, Date.now());
    try {
      if (status !== undefined) {
        const uses = (status.uses ?? []).map((use) =>
          use.requestID === requestID ? { ...use, outcome: 'Admitted' as const } : use,
        );
        const next = status.uses === undefined ? status : { ...status, uses };
        const { resourceVersion, uid } = request.metadata;
        const precondition = { resourceVersion: resourceVersion!, uid: uid! };
        const patch = statusPatch(request.status, next);
        const written = readRequest(await own.patchStatus('ApprovalRequest', { namespace, name }, patch, precondition));
        book.note(written);
        if (refusal === undefined) return { kind: 'Taken', request: written };
      }
      if (refusal?.code === 'SP_APPROVAL_VOID' || refusal?.code === 'SP_APPROVAL_DENIED') {
        return { kind: 'Refused', ...refusal };
      }
      return { kind: 'Gone' };
    } catch (error) {
      // 422: the rules of the kind; somebody was faster, and so it has ended or is used.
      if (!isStatus(error, 409) && !isStatus(error, 422) && !isStatus(error, 404)) {
        throw unavailable('the use of the approval could not be written down', error);
      }
      const now = await read(own, request);
      if (now === undefined) {
        book.gone(request);
        return { kind: 'Gone' };
      }
      book.note(now);
      request = now;
    }
  }
  throw unavailable('others write the same approval all the time', undefined);
}

async function read(own: Pick<Own, 'get'>, { metadata }: Kept): Promise<Kept | undefined> {
  try {
    const read = await own.get('ApprovalRequest', { namespace: metadata.namespace, name: metadata.name });
    return read === undefined || read.metadata.uid !== metadata.uid ? undefined : readRequest(read);
  } catch (error) {
    throw unavailable('the approval could not be read', error);
  }
}
