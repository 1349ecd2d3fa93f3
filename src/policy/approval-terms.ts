import { parseDuration } from '../config/duration-text.ts';
import type { Approval } from './agent-policy.ts';
import type { ApprovalTerms } from './decision.ts';

/** The defaults of the CRD, for policies that no API server has filled in. */
const DEFAULTS = { requestTTL: '15m', grantTTL: '5m', waitTimeout: '0s', maxGrantDuration: '0s' } as const;
const DAY = 24 * 60 * 60 * 1000;

/** @throws Error where a value is out of its bounds, with a message for the policy's author. */
export function approvalTerms(approval: Approval = {}): ApprovalTerms {
  const seconds = (field: keyof typeof DEFAULTS): number => {
    const text = approval[field] ?? DEFAULTS[field];
    const value = typeof text === 'string' ? parseDuration(text) : undefined;
    if (value === undefined || value > DAY) throw new Error(`approval.${field} must be a duration up to 24h`);
    return value / 1000;
  };
  const count = (field: 'requiredApprovals' | 'maxUses', max: number): number => {
    const value = approval[field] ?? 1;
    if (!Number.isInteger(value) || value < 1 || value > max) throw new Error(`approval.${field} must be 1 to ${max}`);
    return value;
  };
  return {
    requiredApprovals: count('requiredApprovals', 10),
    requestTTL: seconds('requestTTL'),
    grantTTL: seconds('grantTTL'),
    maxUses: count('maxUses', 100),
    waitTimeout: seconds('waitTimeout'),
    maxGrantDuration: seconds('maxGrantDuration'),
    approvers: approval.approvers ?? 'Others',
    impersonateGroups: approval.impersonateGroups ?? [],
  };
}

/** Which terms are harder to meet: negative when `a` are. So that a lax rule cannot stand in for a strict one. */
export function compareStrictness(a: ApprovalTerms, b: ApprovalTerms): number {
  if (a.requiredApprovals !== b.requiredApprovals) return b.requiredApprovals - a.requiredApprovals;
  if (a.approvers !== b.approvers) return a.approvers === 'Others' ? -1 : 1;
  return a.impersonateGroups.length - b.impersonateGroups.length;
}
