import type { ApprovalRequest, ApprovalRequestStatus } from '../approval/approval-request.generated.ts';
import { statusPatch } from '../approval/status-patch.ts';
import type { Own } from '../upstream/own.ts';

/** What the controller keeps of a request: all but what only people read, which can be 100 KiB of it. */
export function slim(object: ApprovalRequest): ApprovalRequest {
  const { diff: _, ...spec } = object.spec;
  const { command: __, ...operation } = spec.operation;
  return { metadata: object.metadata, spec: { ...spec, operation, summary: '' }, ...pick(object.status) };
}

function pick(status: ApprovalRequestStatus | undefined): Pick<ApprovalRequest, 'status'> | object {
  return status === undefined ? {} : { status };
}

/**
 * Writes a whole status where the object is still at the revision it was made from; what the next one lacks is taken away.
 * @throws ApiError 409 where it is not: look again
 */
export async function writeStatus(own: Own, object: ApprovalRequest, next: ApprovalRequestStatus): Promise<void> {
  const { name, namespace, uid, resourceVersion } = object.metadata;
  if (uid === undefined || resourceVersion === undefined || resourceVersion === '') {
    throw new RangeError('a status is written over a revision that was read');
  }
  await own.patchStatus('ApprovalRequest', { name, namespace }, statusPatch(object.status, next), {
    resourceVersion,
    uid,
  });
}
