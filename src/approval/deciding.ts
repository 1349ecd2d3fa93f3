import { parseDuration } from '../config/duration-text.ts';
import { escapeLine } from '../errors.ts';
import type {
  ApprovalRequest,
  ApprovalRequestStatus,
  ApprovalRequestStatusDecision,
  ApprovalRequestStatusDecisionsItem,
} from './approval-request.generated.ts';
import { conditionOf, cut, endOf, isOver, timestamp, withCondition, withoutDecision, withPhase } from './condition.ts';
import { closed, expire } from './expiry.ts';

type Taken = ApprovalRequestStatusDecisionsItem;

/** `status` is to be written in any case: the input is cleared whether it was taken in or not. */
export type Deciding =
  | { readonly status: ApprovalRequestStatus; readonly accepted: Taken }
  | { readonly status: ApprovalRequestStatus; readonly refused: { readonly reason: string; readonly message: string } };

export interface DecidingOptions {
  /** How old the sign-in of a person may be who approves what their own agent asked; seconds. */
  readonly maxSignInAge?: number;
}

/**
 * Moves one person's word from `status.decision` into `status.decisions`, and draws the conclusion. What the guard in the
 * API server has checked is checked again where the object can tell, and what needs a clock is checked here alone.
 * @param now Unix milliseconds
 * @returns undefined where no word waits
 */
export function takeDecision(
  object: ApprovalRequest,
  now: number,
  options: DecidingOptions = {},
): Deciding | undefined {
  const decision = object.status?.decision;
  if (decision === undefined) return undefined;
  const refused = refusalOf(object, decision, now, options.maxSignInAge ?? 3600);
  const status = withoutDecision(object.status);
  if (refused !== undefined) return { status: expire(object, now) ?? withPhase(status), refused };
  const accepted = taken(object, decision, now);
  const next = { ...status, decisions: [...(status.decisions ?? []), accepted] };
  return { status: decision.type === 'Denied' ? denied(object, next, now) : approved(object, next, now), accepted };
}

function refusalOf(
  object: ApprovalRequest,
  decision: ApprovalRequestStatusDecision,
  now: number,
  maxSignInAge: number,
): { reason: string; message: string } | undefined {
  const { spec, status } = object;
  const { requester } = spec;
  const no = (reason: string, message: string) => ({ reason, message });
  // What is used up can be taken back as long as anyone likes: a stream that was opened by it may still live.
  if (decision.type !== 'Denied' || !isOnlyUsedUp(object)) {
    const end = endOf(object);
    if (end !== undefined) return no('Ended', `it has ended (${end.type})`);
    if (isOver(object, now)) return no('TooLate', 'its time was over when the decision was taken in');
  }
  const approves = decision.type === 'Approved';
  if (approves && conditionOf(object, 'Approved') !== undefined) return no('ApprovedAlready', 'it is approved already');
  const same = (other: { username: string; uid?: string }): boolean =>
    other.username === decision.username || (other.uid !== undefined && other.uid === decision.uid);
  if (status?.decisions?.some((other) => other.type === decision.type && same(other))) {
    return no('DecidedAlready', 'the same person has said so before; another one is needed');
  }
  if (/^(?:sallyport|system:serviceaccount|system:node):/.test(decision.username)) {
    return no('NotAPerson', 'only a person decides');
  }
  const isPersonBehind = requester.agent !== undefined && requester.onBehalfOf === decision.username;
  if (same(requester) && !isPersonBehind) return no('OwnRequest', 'nobody decides on their own request');
  if (requester.onBehalfOf === decision.username) {
    if (spec.approvers !== 'IncludeOnBehalfOf') return no('OwnRequest', 'the policy wants someone else');
    const age = now / 1000 - (decision.authTime ?? Number.NEGATIVE_INFINITY);
    // A clock may be a minute ahead of the issuer's or behind it.
    if (approves && !(age <= maxSignInAge && age >= -60)) return no('SignInTooOld', 'it takes a fresh sign-in');
  }
  if (!approves) return undefined;
  if (spec.diffRef?.truncated === true && decision.allowTruncated !== true) {
    return no('NotShownInFull', 'the change was not shown in full, and the approval does not say that this is known');
  }
  if (decision.grantDuration !== undefined) {
    const asked = parseDuration(decision.grantDuration) ?? 0;
    const most = parseDuration(spec.grant?.maxDuration ?? '') ?? 0;
    if (asked <= 0 || asked > most) return no('NotGrantable', 'the policy does not let anyone grant that');
    if (requester.session === undefined) return no('NoSession', 'there is no agent session to grant it to');
  }
  return undefined;
}

function isOnlyUsedUp(object: ApprovalRequest): boolean {
  const ends = ['Denied', 'OutcomeUnknown', 'Expired'] as const;
  return conditionOf(object, 'Consumed') !== undefined && ends.every((type) => conditionOf(object, type) === undefined);
}

function taken(object: ApprovalRequest, decision: ApprovalRequestStatusDecision, now: number): Taken {
  const { type, username, uid, reason, grantDuration } = decision;
  const { requester } = object.spec;
  return {
    type,
    username,
    ...(uid === undefined ? {} : { uid }),
    ...(reason === undefined ? {} : { reason: cut(escapeLine(reason), 4096) }),
    ...(grantDuration === undefined ? {} : { grantDuration }),
    ...(requester.onBehalfOf === username ? { onBehalfOf: true } : {}),
    time: timestamp(now),
  };
}

/** A denial ends what waits; of what is approved already it takes back the rest, since Approved is for ever. */
function denied(object: ApprovalRequest, status: ApprovalRequestStatus, now: number): ApprovalRequestStatus {
  const { username, reason } = status.decisions!.at(-1)!;
  const message = `by ${username}${reason === undefined ? '' : `: ${reason}`}`;
  if (conditionOf(object, 'Approved') === undefined) return withCondition(status, 'Denied', 'Denied', message, now);
  return withCondition(closed(status, now), 'Expired', 'Revoked', message, now);
}

function approved(object: ApprovalRequest, status: ApprovalRequestStatus, now: number): ApprovalRequestStatus {
  const { spec } = object;
  const approvals = (status.decisions ?? []).filter(({ type }) => type === 'Approved');
  const missing = spec.requiredApprovals - new Set(approvals.map(({ username }) => username)).size;
  if (missing > 0) return withPhase(status);
  // A whole session is opened only where everyone who was needed said so, and for the shortest time that anyone said.
  const grants = approvals.map(({ grantDuration }) => grantDuration);
  const shortest = grants.every((grant) => grant !== undefined)
    ? grants.reduce((a, b) => ((parseDuration(a) ?? 0) <= (parseDuration(b) ?? 0) ? a : b))
    : undefined;
  const good = parseDuration(shortest ?? spec.grantTTL) ?? 0;
  const by = approvals.map(({ username }) => username).join(' and ');
  return withCondition(
    {
      ...status,
      grantExpirationTime: timestamp(now + good),
      ...(shortest === undefined ? {} : { grantDuration: shortest }),
    },
    'Approved',
    shortest === undefined ? 'Approved' : 'Granted',
    `by ${by}`,
    now,
  );
}
