import { escapeLine } from '../errors.ts';
import type { Caller } from '../identity/caller.ts';
import type { Decision } from '../policy/decision.ts';
import type { Operation } from '../request/operation.ts';
import type { ApprovalRequest, ApprovalRequestSpec } from './approval-request.generated.ts';
import { cut, timestamp } from './condition.ts';
import { MAX_INLINE_DIFF, type ObjectDiff } from './object-diff.ts';
import { operationRecord } from './operation-record.ts';
import { summaryOf } from './summary.ts';

export interface NewRequest {
  /** From `ask`. */
  readonly name: string;
  /** The operation's; the gateway's own, where the operation has none. */
  readonly namespace: string;
  readonly caller: Caller;
  readonly operation: Operation;
  /** Of what a POST creates: its path has none. */
  readonly objectName?: string | undefined;
  /** RequireApproval, with its terms. */
  readonly decision: Decision;
  readonly digest: string;
  readonly leg: 'Gateway' | 'Admission';
  readonly target?: ApprovalRequestSpec['target'];
  /** Of a write. */
  readonly diff?: ObjectDiff;
  /** Where the store keeps a diff that is too long for the object. */
  readonly diffLocator?: string;
  /** What an approver must know of how the change was found out. */
  readonly notes?: readonly string[];
  readonly previous?: ApprovalRequest | undefined;
}

/**
 * The object that asks a person.
 * @param now Unix milliseconds
 */
export function newRequest(wanted: NewRequest, now: number): ApprovalRequest {
  const { caller, operation, decision, target } = wanted;
  const terms = decision.approval;
  if (decision.action !== 'RequireApproval' || terms === undefined) throw new TypeError('this needs no approval');
  const given = (name: 'agent' | 'onBehalfOf' | 'session') =>
    caller[name] === undefined ? {} : { [name]: caller[name] };
  const summary = summaryOf({
    caller,
    operation,
    objectName: wanted.objectName,
    policy: decision.policy,
    rule: decision.rule,
    reason: decision.reason,
    impersonateGroups: terms.impersonateGroups,
    notes: wanted.notes,
    previous: wanted.previous,
  });
  return {
    apiVersion: 'sallyport.dev/v1alpha1',
    kind: 'ApprovalRequest',
    metadata: { name: wanted.name, namespace: wanted.namespace },
    spec: {
      requester: {
        issuer: caller.issuer,
        username: caller.username,
        ...(caller.uid === '' ? {} : { uid: caller.uid }),
        ...given('agent'),
        ...given('onBehalfOf'),
        ...given('session'),
      },
      operation: operationRecord(operation, wanted.objectName),
      leg: wanted.leg,
      digest: wanted.digest,
      ...(target === undefined ? {} : { target }),
      policyRef: { name: decision.policy, uid: decision.policyUID, generation: decision.policyGeneration },
      ruleName: decision.rule,
      reason: cut(escapeLine(decision.reason), 1024),
      summary,
      ...diffFields(wanted, summary),
      expirationTime: timestamp(now + terms.requestTTL * 1000),
      requiredApprovals: terms.requiredApprovals,
      maxUses: terms.maxUses,
      grantTTL: `${Math.floor(terms.grantTTL)}s`,
      approvers: terms.approvers,
      ...(terms.impersonateGroups.length === 0 ? {} : { impersonateGroups: terms.impersonateGroups }),
      // A grant is to an agent session: without one there is none to give.
      ...(terms.maxGrantDuration > 0 && caller.session !== undefined
        ? { grant: { rule: decision.rule, maxDuration: `${Math.floor(terms.maxGrantDuration)}s` } }
        : {}),
    },
  };
}

/** Anything that is not shown in full, the summary too, needs the approver's `allowTruncated`. */
function diffFields({ diff, diffLocator }: NewRequest, summary: string): Pick<ApprovalRequestSpec, 'diff' | 'diffRef'> {
  const isSummaryCut = summary.startsWith('CUT:');
  const isLong = diff !== undefined && diff.sizeBytes > MAX_INLINE_DIFF;
  const inline = diff === undefined || isLong ? {} : { diff: diff.text };
  if (!isLong && !isSummaryCut && diff?.truncated !== true) return inline;
  const { digest, sizeBytes, truncated } = diff ?? { digest: '0'.repeat(64), sizeBytes: 0, truncated: true };
  // A long diff that no store has is not shown at all.
  const isLost = isLong && diffLocator === undefined;
  return {
    ...inline,
    diffRef: {
      digest,
      sizeBytes,
      ...(isLong && diffLocator !== undefined ? { locator: diffLocator } : {}),
      truncated: truncated || isLost || isSummaryCut,
    },
  };
}
