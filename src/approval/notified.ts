import { escapeLine } from '../errors.ts';
import type {
  ApprovalRequest,
  ApprovalRequestStatus,
  ApprovalRequestStatusCondition,
} from './approval-request.generated.ts';
import { cut, timestamp } from './condition.ts';

/** What the channels have said so far. */
export interface Told {
  readonly sent: readonly string[];
  readonly failing: readonly { readonly channel: string; readonly error: string }[];
  readonly done: boolean;
}

/** Whether people were told, by every channel; for ever, once it is so. */
export function isNotified({ status }: ApprovalRequest): boolean {
  return status?.conditions?.some(({ type, status: is }) => type === 'Notified' && is === 'True') ?? false;
}

/**
 * The status that says how far people were told. It is no part of the state: nothing waits for it.
 * @returns undefined where there is nothing to write
 */
export function withNotified(object: ApprovalRequest, told: Told, now: number): ApprovalRequestStatus | undefined {
  if (isNotified(object) || (!told.done && told.failing.length === 0)) return undefined;
  const sent = told.sent.length === 0 ? [] : [`sent by ${[...told.sent].sort().join(', ')}`];
  const failing = told.failing.map(({ channel, error }) => `${channel}: ${error}; it is tried again`);
  const next: ApprovalRequestStatusCondition = {
    type: 'Notified',
    status: told.done ? 'True' : 'False',
    reason: told.done ? 'Sent' : 'Failing',
    message: cut(escapeLine([...sent, ...failing].join('; ')), 1024),
    lastTransitionTime: timestamp(now),
  };
  const conditions = object.status?.conditions ?? [];
  const before = conditions.find(({ type }) => type === 'Notified');
  if (before?.status === next.status && before.message === next.message) return undefined;
  const since = before?.status === next.status ? { lastTransitionTime: before.lastTransitionTime } : {};
  return {
    ...object.status,
    conditions: [...conditions.filter(({ type }) => type !== 'Notified'), { ...next, ...since }],
  };
}
