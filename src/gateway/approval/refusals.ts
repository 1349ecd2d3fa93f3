import type { ApprovalRequest } from '../../approval/approval-request.generated.ts';
import { type ErrorCode, SallyportError } from '../../errors.ts';
import type { Exchange } from '../exchange.ts';

/** Seconds after which a caller may look whether someone has decided. */
const LOOK_AGAIN = 15;

/** Nobody has decided yet. One line that a person understands from a CI log alone. */
export function required(exchange: Exchange, request: ApprovalRequest): SallyportError {
  const hint = cannotRepeat(exchange)
    ? unrepeatable(exchange, request.spec.grant?.maxDuration)
    : 'then run the same command again';
  return requiredOf(exchange.decision!.reason, request, hint);
}

/** Likewise, of either leg. @param reason of the decision @param hint what to do once somebody has approved */
export function requiredOf(reason: string, request: ApprovalRequest, hint: string): SallyportError {
  const { metadata, spec, status } = request;
  const approvals = new Set((status?.decisions ?? []).filter(({ type }) => type === 'Approved').map((d) => d.username));
  const missing = spec.requiredApprovals - approvals.size;
  const whom = missing > 1 ? `${missing} people` : spec.requiredApprovals > 1 ? 'another person' : 'a person';
  const message =
    `${reason}; this needs a person's approval: ask ${whom} to run ` +
    `"kubectl approve -n ${metadata.namespace} ${metadata.name}" before ${spec.expirationTime}, ${hint}`;
  return refusal('SP_APPROVAL_REQUIRED', message, request, LOOK_AGAIN);
}

/** @param message ends the line; policy and rule stand before it */
export function refusal(
  code: ErrorCode,
  message: string,
  request: ApprovalRequest,
  retryAfter: number | undefined,
): SallyportError {
  return new SallyportError(code, message, {
    ...(retryAfter === undefined ? {} : { retryAfter }),
    details: { group: 'sallyport.dev', kind: 'approvalrequests', name: request.metadata.name },
  });
}

/** Helm writes the time and a compressed manifest into each release: no two runs send the same bytes. */
function cannotRepeat({ operation, request }: Exchange): boolean {
  const agent = request.headers['user-agent'] ?? '';
  if (/^helm\b/i.test(agent)) return true;
  return operation!.resource === 'secrets' && operation!.name.startsWith('sh.helm.release.');
}

function unrepeatable(exchange: Exchange, maxGrant: string | undefined): string {
  const { caller, decision } = exchange;
  if (maxGrant !== undefined && caller!.session !== undefined) {
    return `with "--for ${maxGrant}" added, since Helm never sends the same request twice, and run the command again`;
  }
  const wait = decision!.approval!.waitTimeout;
  if (wait > 0)
    return `while this command waits (${wait} s): Helm never sends the same request twice, so running it again asks anew`;
  return (
    'and know that Helm never sends the same request twice, so running it again asks anew: ' +
    `the policy ${decision!.policy} must hold the connection (approval.waitTimeout) or let sessions be granted (maxGrantDuration)`
  );
}
