import type { ApprovalRequest, ApprovalRequestSpec, ApprovalRequestStatus } from './approval-request.generated.ts';

/** Noon, in Unix milliseconds. For tests. */
export const NOON = Date.parse('2026-06-01T12:00:00Z');
export const MINUTE = 60_000;
export const DIGEST = '0123456789abcdef'.repeat(4);

/** A request asked at noon, which can be decided for a quarter of an hour and then used for five minutes. For tests. */
export function requestOf(spec: Partial<ApprovalRequestSpec> = {}, status?: ApprovalRequestStatus): ApprovalRequest {
  const requester = { issuer: 'https://login.example', username: 'alice', agent: 'cursor', onBehalfOf: 'alice' };
  return {
    metadata: { name: 'ar-04hmasw9nf-1', namespace: 'shop', uid: 'u', resourceVersion: '1' },
    spec: {
      requester: { ...requester, session: 'cursor-1' },
      operation: {
        display: 'create pods/exec shop/web',
        verb: 'create',
        apiGroup: '',
        apiVersion: 'v1',
        resource: 'pods',
        subresource: 'exec',
        namespace: 'shop',
        name: 'web',
        method: 'POST',
        path: '/api/v1/namespaces/shop/pods/web/exec',
      },
      leg: 'Gateway',
      digest: DIGEST,
      policyRef: { name: 'p', uid: 'p-1', generation: 3 },
      ruleName: 'other-exec',
      reason: 'because',
      summary: 'kubectl exec',
      expirationTime: '2026-06-01T12:15:00Z',
      requiredApprovals: 1,
      approvers: 'Others',
      maxUses: 1,
      grantTTL: '5m',
      ...spec,
    },
    ...(status === undefined ? {} : { status }),
  };
}

/** The object as it stands when a status has been written. */
export function after(object: ApprovalRequest, status: ApprovalRequestStatus | undefined): ApprovalRequest {
  return status === undefined ? object : { ...object, status };
}

/** The object with one person's word waiting in it. */
export function said(
  object: ApprovalRequest,
  type: 'Approved' | 'Denied',
  username: string,
  more: object = {},
): ApprovalRequest {
  return after(object, { ...object.status, decision: { type, username, ...more } });
}
