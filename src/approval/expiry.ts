import type { ApprovalRequest, ApprovalRequestStatus } from './approval-request.generated.ts';
import { conditionOf, endOf, isOver, timestamp, withCondition, withoutDecision } from './condition.ts';

/**
 * The next status of a request whose time is over; undefined where nothing is to be written.
 * @param now Unix milliseconds
 */
export function expire(object: ApprovalRequest, now: number): ApprovalRequestStatus | undefined {
  if (endOf(object) !== undefined || !isOver(object, now)) return undefined;
  const status = withoutDecision(object.status);
  if (conditionOf(object, 'Approved') === undefined) {
    return withCondition(status, 'Expired', 'NotDecided', 'nobody decided in time', now);
  }
  if (status.grantDuration !== undefined) {
    return withCondition(status, 'Expired', 'GrantEnded', 'the time of the session grant is over', now);
  }
  const uses = status.uses?.length ?? 0;
  if (uses > 0)
    return withCondition(status, 'Expired', 'TimeEnded', `used ${uses} of ${object.spec.maxUses} times`, now);
  return withCondition(status, 'Expired', 'NotUsed', 'approved, and not used in time', now);
}

/** Why an approval that nobody took back is good for nothing any more. */
export type VoidReason = 'TargetChanged' | 'PolicyChanged' | 'SessionEnded';

/** The next status of a request that is void; undefined where it has ended already. */
export function voidRequest(
  object: ApprovalRequest,
  reason: VoidReason,
  message: string,
  now: number,
): ApprovalRequestStatus | undefined {
  if (endOf(object) !== undefined) return undefined;
  return withCondition(closed(withoutDecision(object.status), now), 'Expired', reason, message, now);
}

/** The status whose approval, where there is one, ends now at the latest. */
export function closed(status: ApprovalRequestStatus, now: number): ApprovalRequestStatus {
  const { grantExpirationTime } = status;
  if (grantExpirationTime === undefined || Date.parse(grantExpirationTime) <= now) return status;
  return { ...status, grantExpirationTime: timestamp(now) };
}
