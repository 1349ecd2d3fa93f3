import { escapeLine } from '../errors.ts';
import type {
  ApprovalRequest,
  ApprovalRequestStatus,
  ApprovalRequestStatusCondition,
} from './approval-request.generated.ts';

export type ConditionType = ApprovalRequestStatusCondition['type'];
export type Phase = NonNullable<ApprovalRequestStatus['phase']>;

/** What ends a request: after any of these nothing is decided or used any more (the CRD holds that too). */
const ENDS = ['Denied', 'OutcomeUnknown', 'Consumed', 'Expired'] as const;

/** The condition, where it is True. */
export function conditionOf(object: ApprovalRequest, type: ConditionType): ApprovalRequestStatusCondition | undefined {
  return object.status?.conditions?.find((condition) => condition.type === type && condition.status === 'True');
}

/** What ended the request; undefined while it can still be decided or used, as far as the conditions say. */
export function endOf(object: ApprovalRequest): ApprovalRequestStatusCondition | undefined {
  for (const type of ENDS) {
    const condition = conditionOf(object, type);
    if (condition !== undefined) return condition;
  }
  return undefined;
}

/** Whether its time is over by the clock, whoever has or has not written so. @param now Unix milliseconds */
export function isOver(object: ApprovalRequest, now: number): boolean {
  const { spec, status } = object;
  if (conditionOf(object, 'Approved') === undefined) return !(now < Date.parse(spec.expirationTime));
  // An approval that does not say how long it is good is good for nothing; NaN compares as over.
  return !(now < Date.parse(status?.grantExpirationTime ?? ''));
}

/** The status with one condition more, without the decision that led to it, and with the phase that follows. */
export function withCondition(
  status: ApprovalRequestStatus,
  type: ConditionType,
  reason: string,
  message: string,
  now: number,
): ApprovalRequestStatus {
  const condition: ApprovalRequestStatusCondition = {
    type,
    status: 'True',
    reason,
    message: cut(escapeLine(message), 1024),
    lastTransitionTime: timestamp(now),
  };
  const others = (status.conditions ?? []).filter((other) => other.type !== type);
  return withPhase({ ...status, conditions: [...others, condition] });
}

export function withPhase(status: ApprovalRequestStatus): ApprovalRequestStatus {
  return { ...status, phase: phaseOf(status) };
}

/** For printing; the conditions are the state. */
export function phaseOf(status: ApprovalRequestStatus | undefined): Phase {
  const is = (type: ConditionType, reason?: string): boolean =>
    status?.conditions?.some(
      (condition) =>
        condition.type === type && condition.status === 'True' && (reason === undefined || condition.reason === reason),
    ) ?? false;
  if (is('Denied')) return 'Denied';
  if (is('OutcomeUnknown')) return 'OutcomeUnknown';
  // What a person has said last, though it was used up before.
  if (is('Expired', 'Revoked')) return 'Revoked';
  if (is('Consumed')) return 'Used';
  if (is('Expired')) return 'Expired';
  return is('Approved') ? 'Approved' : 'Pending';
}

export function withoutDecision(status: ApprovalRequestStatus | undefined): ApprovalRequestStatus {
  const { decision: _, ...rest } = status ?? {};
  return rest;
}

/** metav1.Time has whole seconds. Rounded down: nothing is good for longer than it was given. */
export function timestamp(now: number): string {
  return new Date(Math.floor(now / 1000) * 1000).toISOString().replace('.000Z', 'Z');
}

/** At most so many characters, as Kubernetes counts them, and never half of one. */
export function cut(text: string, length: number): string {
  if (text.length <= length) return text;
  return [...text].slice(0, length).join('');
}
