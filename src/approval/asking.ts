import type { ErrorCode } from '../errors.ts';
import type { ApprovalTerms } from '../policy/decision.ts';
import type { ApprovalRequest } from './approval-request.generated.ts';
import { conditionOf, endOf, isOver } from './condition.ts';
import { counterOf, namePrefix, requestName } from './request-name.ts';

/** Seconds after which a person is asked again about what was denied, or what nobody decided or used in time. */
const RETRY_AFTER = 600;

/** A request that a rule holds back. */
export interface Asking {
  readonly digest: string;
  readonly leg: 'Gateway' | 'Admission';
  readonly policyUID: string;
  readonly rule: string;
  readonly terms: Pick<ApprovalTerms, 'requiredApprovals' | 'maxUses' | 'approvers' | 'impersonateGroups'>;
}

export type Asked =
  /** The same request waits for a decision, or is approved and not used up. */
  | { readonly kind: 'Join'; readonly request: ApprovalRequest }
  /** Ask under this name. Where it is taken meanwhile (409), read again and ask again. */
  | { readonly kind: 'Create'; readonly name: string; readonly previous: ApprovalRequest | undefined }
  | {
      readonly kind: 'Refuse';
      readonly request: ApprovalRequest;
      readonly code: ErrorCode;
      readonly message: string;
      /** Seconds. */
      readonly retryAfter: number;
    };

/** Ends after which the same request is asked about again at once: it did run, or what was approved is not there any more. */
const AT_ONCE = new Set(['GrantEnded', 'TimeEnded', 'TargetChanged', 'PolicyChanged', 'SessionEnded']);

/**
 * Whether a request joins one that is there, is asked about under a new name, or may not be asked about yet.
 * @param requests those of the operation's namespace whose name begins with `namePrefix(digest)`; others do no harm
 * @param now Unix milliseconds
 * @param retryAfter seconds after which what was denied, or not decided or used in time, can be asked again
 */
export function ask(
  requests: readonly ApprovalRequest[],
  asking: Asking,
  now: number,
  retryAfter = RETRY_AFTER,
): Asked {
  const prefix = namePrefix(asking.digest);
  const numbered = requests
    .map((request) => ({ request, counter: counterOf(request.metadata.name, prefix) }))
    .filter(({ counter }) => counter > 0)
    .sort((a, b) => b.counter - a.counter);
  // The whole digest: a name that begins the same is another request, and only takes the number.
  const same = numbered
    .map(({ request }) => request)
    .filter(({ spec }) => spec.digest === asking.digest && spec.leg === asking.leg);
  const live = same.find((request) => isLive(request, now) && isOnTheseTerms(request, asking));
  if (live !== undefined) return { kind: 'Join', request: live };
  const ended = same.find((request) => endOf(request) !== undefined || isOver(request, now));
  const refusal = ended && refuse(ended, now, retryAfter);
  if (refusal !== undefined) return refusal;
  return { kind: 'Create', name: requestName(asking.digest, (numbered[0]?.counter ?? 0) + 1), previous: same[0] };
}

/** Whether it can still be decided or used. */
export function isLive(request: ApprovalRequest, now: number): boolean {
  return endOf(request) === undefined && !isOver(request, now);
}

/** An approval on other terms than the policy has now is none; nor is one that opened a session, since that has its own way. */
function isOnTheseTerms({ spec, status }: ApprovalRequest, { policyUID, rule, terms }: Asking): boolean {
  const groups = spec.impersonateGroups ?? [];
  return (
    status?.grantDuration === undefined &&
    spec.policyRef.uid === policyUID &&
    spec.ruleName === rule &&
    spec.requiredApprovals === terms.requiredApprovals &&
    spec.maxUses === terms.maxUses &&
    spec.approvers === terms.approvers &&
    groups.length === terms.impersonateGroups.length &&
    groups.every((group) => terms.impersonateGroups.includes(group))
  );
}

function refuse(request: ApprovalRequest, now: number, after: number): Asked | undefined {
  const { metadata, spec } = request;
  const expired = conditionOf(request, 'Expired');
  // Taken back after it was used up, too: a person has said no.
  const end = expired?.reason === 'Revoked' ? expired : endOf(request);
  if (end?.type === 'Consumed' || end?.type === 'OutcomeUnknown' || (end !== undefined && AT_ONCE.has(end.reason))) {
    return undefined;
  }
  const isApproved = conditionOf(request, 'Approved') !== undefined;
  const byClock = isApproved ? (request.status?.grantExpirationTime ?? '') : spec.expirationTime;
  const retryAfter = Math.ceil((Date.parse(end?.lastTransitionTime ?? byClock) + after * 1000 - now) / 1000);
  if (!(retryAfter > 0)) return undefined;
  const isRefusal = end !== undefined && (end.type === 'Denied' || end.reason === 'Revoked');
  const what = isRefusal
    ? `${metadata.name} was ${end.type === 'Denied' ? 'denied' : 'revoked'} ${end.message}`
    : `${metadata.name} ${isApproved ? 'was approved and not used in time' : 'was not decided in time'}`;
  return {
    kind: 'Refuse',
    request,
    code: isRefusal ? 'SP_APPROVAL_DENIED' : 'SP_APPROVAL_EXPIRED',
    message: `${what}; the same can be asked again in ${retryAfter} s`,
    retryAfter,
  };
}
