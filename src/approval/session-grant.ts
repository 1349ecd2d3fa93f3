import type { Caller } from '../identity/caller.ts';
import type { ApprovalRequest } from './approval-request.generated.ts';
import { conditionOf, endOf, isOver } from './condition.ts';

/** A request that a session grant may let through. */
export interface GrantQuestion {
  readonly caller: Pick<Caller, 'issuer' | 'username' | 'agent' | 'onBehalfOf' | 'session'>;
  /** The policy that asks for approval now. */
  readonly policy: { readonly uid: string; readonly generation: number };
  readonly rule: string;
  /** The operation's. */
  readonly namespace: string;
  readonly leg: 'Gateway' | 'Admission';
}

/**
 * Whether a person opened this very rule for this very agent session, and the time is not over. A grant reaches no
 * further than the namespace it was asked in: there its approver was found to be one, and nowhere else.
 * @param now Unix milliseconds
 */
export function grantCovers(object: ApprovalRequest, question: GrantQuestion, now: number): boolean {
  const { spec, status } = object;
  const { requester, policyRef, grant } = spec;
  const { caller, policy } = question;
  if (grant === undefined || status?.grantDuration === undefined) return false;
  if (conditionOf(object, 'Approved') === undefined || endOf(object) !== undefined || isOver(object, now)) return false;
  // A revocation that the controller has not yet taken in is one.
  if (status.decision?.type === 'Denied') return false;
  return (
    caller.session !== undefined &&
    requester.session === caller.session &&
    requester.issuer === caller.issuer &&
    requester.username === caller.username &&
    requester.agent === caller.agent &&
    requester.onBehalfOf === caller.onBehalfOf &&
    policyRef.uid === policy.uid &&
    policyRef.generation === policy.generation &&
    grant.rule === question.rule &&
    spec.operation.namespace === question.namespace &&
    spec.leg === question.leg
  );
}

/** Whether a grant was of a policy that is another one now: then it is void (`voidRequest`, PolicyChanged). */
export function grantIsOutdated(
  object: ApprovalRequest,
  policy: { readonly uid: string; readonly generation: number } | undefined,
): boolean {
  if (object.status?.grantDuration === undefined) return false;
  const { uid, generation } = object.spec.policyRef;
  return policy === undefined || policy.uid !== uid || policy.generation !== generation;
}
