import type { ErrorCode } from '../errors.ts';
import type { ApprovalRequest, ApprovalRequestStatus, ApprovalRequestStatusUse } from './approval-request.generated.ts';
import { conditionOf, endOf, isOver, timestamp, withCondition, withoutDecision, withPhase } from './condition.ts';
import { expire, voidRequest } from './expiry.ts';

/** One forward that wants to use an approval. */
export interface Use {
  /** The whole digest of the request at hand. */
  readonly digest: string;
  readonly leg: 'Gateway' | 'Admission';
  /** Event id. */
  readonly requestID: string;
  /** What the request would change, as it is now. */
  readonly target?: { readonly uid?: string; readonly resultDigest?: string };
}

export interface UseRefusal {
  readonly code: ErrorCode;
  readonly message: string;
}

/**
 * Takes one use of an approval. The status must have been written, under the resourceVersion of `object`, before the
 * first byte goes upstream: of any number of gateways that try, one succeeds and the others get a 409 and look again.
 * @param now Unix milliseconds
 * @returns the status with the use; or why not, with a status where the refusal itself is to be written down
 */
export function takeUse(
  object: ApprovalRequest,
  use: Use,
  now: number,
):
  | { readonly status: ApprovalRequestStatus; readonly refusal?: undefined }
  | { readonly status: ApprovalRequestStatus | undefined; readonly refusal: UseRefusal } {
  const { spec, metadata } = object;
  const no = (code: ErrorCode, message: string, status?: ApprovalRequestStatus) => ({
    status,
    refusal: { code, message: `${metadata.name} ${message}` },
  });
  if (spec.digest !== use.digest || spec.leg !== use.leg) return no('SP_APPROVAL_REQUIRED', 'is about another request');
  const denial = conditionOf(object, 'Denied');
  if (denial !== undefined) return no('SP_APPROVAL_DENIED', `was denied ${denial.message}`);
  const end = endOf(object);
  if (end !== undefined) return no('SP_APPROVAL_EXPIRED', `has ended (${end.reason})`);
  if (isOver(object, now)) return no('SP_APPROVAL_EXPIRED', 'has expired', expire(object, now));
  if (conditionOf(object, 'Approved') === undefined) return no('SP_APPROVAL_REQUIRED', 'is not approved yet');
  // A revocation that the controller has not yet taken in is one: who may deny, the API server has checked.
  if (object.status?.decision?.type === 'Denied') return no('SP_APPROVAL_DENIED', 'is just being revoked');
  const uses = object.status?.uses ?? [];
  // A session grant lets requests through by what they are, and is never used up.
  if (object.status?.grantDuration !== undefined) return no('SP_APPROVAL_REQUIRED', 'is a grant to another session');
  if (uses.length >= spec.maxUses) return no('SP_APPROVAL_EXPIRED', 'is used up');
  if (uses.some(({ requestID }) => requestID === use.requestID)) {
    return no('SP_APPROVAL_EXPIRED', 'was used by this very request before');
  }
  const changed = targetChange(spec.target ?? {}, use.target ?? {});
  if (changed !== undefined) {
    return no('SP_APPROVAL_VOID', `is void: ${changed}`, voidRequest(object, 'TargetChanged', changed, now));
  }
  const next = {
    ...withoutDecision(object.status),
    uses: [...uses, { requestID: use.requestID, time: timestamp(now) }],
  };
  if (next.uses.length < spec.maxUses) return { status: withPhase(next) };
  return { status: withCondition(next, 'Consumed', 'Used', `${spec.maxUses} of ${spec.maxUses}`, now) };
}

type Target = NonNullable<Use['target']>;

/** Why what a request would change is not what was asked about; undefined where it is. */
export function targetChange(asked: Target, found: Target): string | undefined {
  if (asked.uid !== found.uid) return 'the object is not the one it was when this was asked';
  if (asked.resultDigest !== found.resultDigest) return 'the request would have another result than when it was asked';
  return undefined;
}

/**
 * What came of a use; written once. After `Unknown` nothing may be run again under this approval.
 * @returns undefined where there is nothing to write
 */
export function recordOutcome(
  object: ApprovalRequest,
  requestID: string,
  outcome: NonNullable<ApprovalRequestStatusUse['outcome']>,
  now: number,
  code?: number,
): ApprovalRequestStatus | undefined {
  const uses = object.status?.uses ?? [];
  const use = uses.find((one) => one.requestID === requestID);
  if (use === undefined || use.outcome !== undefined) return undefined;
  const done = { ...use, outcome, ...(code === undefined ? {} : { code }) };
  const status = { ...object.status, uses: uses.map((one) => (one === use ? done : one)) };
  if (outcome !== 'Unknown' || conditionOf(object, 'OutcomeUnknown') !== undefined) return status;
  const message = `a gateway ended after request ${requestID} was forwarded, or was about to be; look at the object`;
  return withCondition(withoutDecision(status), 'OutcomeUnknown', 'GatewayEnded', message, now);
}

/**
 * The status in which every use without an outcome that was taken longer ago than `patience` (milliseconds) is
 * `Unknown`: the gateway that took it is gone.
 */
export function giveUpUses(object: ApprovalRequest, now: number, patience: number): ApprovalRequestStatus | undefined {
  let status: ApprovalRequestStatus | undefined;
  for (const use of object.status?.uses ?? []) {
    if (use.outcome !== undefined || now - Date.parse(use.time) < patience) continue;
    const current = status === undefined ? object : { ...object, status };
    status = recordOutcome(current, use.requestID, 'Unknown', now) ?? status;
  }
  return status;
}
