import type { ApprovalRequest, ApprovalRequestStatusDecision } from '../approval/approval-request.generated.ts';
import { conditionOf } from '../approval/condition.ts';
import { takeDecision } from '../approval/deciding.ts';
import type { ApprovalInbox } from './approval-inbox.ts';
import { CommandError } from './command-io.ts';
import { adviceFor } from './decision-refusal.ts';

export type Outcome =
  | { readonly kind: 'Written'; readonly object: ApprovalRequest }
  | { readonly kind: 'Missing'; readonly missing: number }
  | { readonly kind: 'Approved' | 'Denied' | 'Revoked' }
  | { readonly kind: 'Granted'; readonly until: string };

/** Milliseconds; a controller that takes over from a killed one needs a quarter of a minute. */
const PATIENCE = 20_000;

/**
 * What became of a decision that was written.
 * @throws CommandError where the controller turned it down; it is still `Written` where no controller looks at it in time
 */
export async function takenIn(
  inbox: ApprovalInbox,
  asked: ApprovalRequest,
  decision: ApprovalRequestStatusDecision,
): Promise<Outcome> {
  const { namespace = '', name } = asked.metadata;
  const end = Date.now() + PATIENCE;
  for (let wait = 20; ; wait = Math.min(500, wait * 2)) {
    const object = await inbox.get(namespace, name);
    const waits =
      object.status?.decision?.username === decision.username && object.status.decision.type === decision.type;
    const isTaken = object.status?.decisions?.some(
      ({ type, username }) => type === decision.type && username === decision.username,
    );
    if (isTaken === true) return outcomeOf(object, decision);
    if (!waits) throw new CommandError(whyNot(object, asked, decision));
    if (Date.now() > end) return { kind: 'Written', object };
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}

function outcomeOf(object: ApprovalRequest, { type }: ApprovalRequestStatusDecision): Outcome {
  const { spec, status } = object;
  if (type === 'Denied') return { kind: conditionOf(object, 'Denied') === undefined ? 'Revoked' : 'Denied' };
  if (conditionOf(object, 'Approved') === undefined) {
    const approvals = (status?.decisions ?? []).filter((one) => one.type === 'Approved').length;
    return { kind: 'Missing', missing: spec.requiredApprovals - approvals };
  }
  if (status?.grantDuration !== undefined) return { kind: 'Granted', until: status.grantExpirationTime ?? '' };
  return { kind: 'Approved' };
}

/** The controller keeps its reason to its log; its rules are the same here. */
function whyNot(object: ApprovalRequest, asked: ApprovalRequest, decision: ApprovalRequestStatusDecision): string {
  const now = Math.max(Date.now(), Date.parse(asked.spec.expirationTime));
  for (const candidate of [object, { ...asked, status: { ...asked.status } }]) {
    const deciding = takeDecision({ ...candidate, status: { ...candidate.status, decision } }, now);
    if (deciding !== undefined && 'refused' in deciding) {
      const { reason, message } = deciding.refused;
      const isTooLate =
        reason === 'TooLate' ||
        (reason === 'Ended' && object.status?.conditions?.some((one) => one.reason === 'NotDecided'));
      return `the decision was not taken in: ${adviceFor(object, isTooLate ? 'TooLate' : reason, message)}`;
    }
  }
  return 'the decision was not taken in; the controller’s log says why';
}
