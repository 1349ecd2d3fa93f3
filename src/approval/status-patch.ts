import type { ApprovalRequestStatus } from './approval-request.generated.ts';

/**
 * The merge patch (RFC 7396) that makes one status of another: a member that is gone must be named as null, or it would
 * stay, an input that was taken in among them.
 */
export function statusPatch(
  before: ApprovalRequestStatus | undefined,
  next: ApprovalRequestStatus,
): Readonly<Record<string, unknown>> {
  const patch: Record<string, unknown> = { ...next };
  for (const name of Object.keys(before ?? {})) if (!(name in next)) patch[name] = null;
  return patch;
}
