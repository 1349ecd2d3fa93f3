import type { ApprovalRequest, ApprovalRequestStatusDecision } from '../approval/approval-request.generated.ts';
import { conditionOf, endOf } from '../approval/condition.ts';
import { takeDecision } from '../approval/deciding.ts';

/**
 * Why the controller would not take this decision in, as far as the object tells, and what to do; undefined where nothing
 * speaks against it. By the controller's own rules. Who may decide at all is for the API server to say; whether it is too
 * late, for the controller's clock.
 */
export function refusalBefore(object: ApprovalRequest, decision: ApprovalRequestStatusDecision): string | undefined {
  const deciding = takeDecision({ ...object, status: { ...object.status, decision } }, Date.now());
  if (deciding === undefined || !('refused' in deciding)) return undefined;
  const { reason, message } = deciding.refused;
  return reason === 'TooLate' ? undefined : adviceFor(object, reason, message);
}

/** @param reason as `takeDecision` gives it */
export function adviceFor(object: ApprovalRequest, reason: string, message: string): string {
  const { spec, status } = object;
  const again = 'to have it asked anew, the agent runs its command again';
  switch (reason) {
    case 'Ended': {
      const end = endOf(object);
      if (end?.type === 'Denied') return `it was denied already, ${end.message}; nothing is decided any more`;
      if (end?.type === 'Consumed') return `it was approved and has run; ${again}`;
      if (end?.type === 'OutcomeUnknown')
        return `it was approved, and nobody knows whether it ran (${end.message}); ${again}`;
      return `it has ended (${end?.reason}${end?.message ? `: ${end.message}` : ''}); ${again}`;
    }
    case 'TooLate':
      return `nobody decided until ${spec.expirationTime}; ${again}`;
    case 'ApprovedAlready':
      return `it was approved already, ${conditionOf(object, 'Approved')?.message}, until ${status?.grantExpirationTime}; "kubectl deny" takes that back`;
    case 'DecidedAlready': {
      const approvals = (status?.decisions ?? []).filter(({ type }) => type === 'Approved').length;
      return `you have said so already; ${approvals} of ${spec.requiredApprovals} approvals are there, and the next has to be another person’s`;
    }
    case 'OwnRequest':
      return message.includes('someone else')
        ? 'the agent asks on your behalf, and the policy wants someone else to decide'
        : 'nobody decides on their own request: ask somebody else';
    case 'NotAPerson':
      return 'only a person decides: use your own kubeconfig, not an account’s';
    case 'SignInTooOld':
      return (
        'it is your own agent that asks, so this takes a fresh sign-in: sign in anew and try again. (The API server must map ' +
        'the claim auth_time to the extra sallyport.dev/auth-time: docs/approvals.md)'
      );
    case 'NotShownInFull':
      return 'the change is not shown in full: to approve it all the same add --allow-truncated';
    case 'NotGrantable':
      return spec.grant === undefined
        ? 'the policy does not let anyone open this rule for a session: approve without --for'
        : `the policy lets a session grant last ${spec.grant.maxDuration} at most`;
    default:
      return message;
  }
}
