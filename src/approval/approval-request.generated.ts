// Generated from crds/approvalrequests.yaml by `npm run generate`; do not edit.

/**
 * ApprovalRequest asks a person about one exact request that a policy holds back. It lives in the operation's
 * namespace (the gateway's, where the operation is cluster-scoped). The gateway writes it; an approver sets
 * status.decision and nothing else. Everything that an agent wrote stands in it escaped, and what must not be seen
 * is hidden.
 */
export interface ApprovalRequest {
  readonly apiVersion?: 'sallyport.dev/v1alpha1';
  readonly kind?: 'ApprovalRequest';
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid?: string;
    readonly generation?: number;
    readonly resourceVersion?: string;
    readonly creationTimestamp?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec: ApprovalRequestSpec;
  readonly status?: ApprovalRequestStatus;
}

/** What is asked. Written once, by the gateway. */
export interface ApprovalRequestSpec {
  /** Who asked. An approval is good for this caller only. */
  readonly requester: ApprovalRequestRequester;
  /** What was asked, in Kubernetes terms. */
  readonly operation: ApprovalRequestOperation;
  /** Where it was asked. An approval of one leg is never taken for the other. */
  readonly leg: 'Gateway' | 'Admission';
  /**
   * HMAC-SHA-256 over all of the request that matters, keyed by the installation. A request passes only where the
   * whole digest is the same.
   */
  readonly digest: string;
  /**
   * What the request would change, as it was when it was asked. Another one at the time of use voids the approval.
   */
  readonly target?: ApprovalRequestTarget;
  /** The policy that asked. */
  readonly policyRef: ApprovalRequestPolicyRef;
  /** The rule that asked. */
  readonly ruleName: string;
  /** Why the rule asked, escaped. */
  readonly reason: string;
  /** For people. What exactly would run, for whom and why, a fact a line, escaped, values hidden. */
  readonly summary: string;
  /**
   * Unified diff between the live object and the dry run's result, escaped, values hidden. Left out for reads and
   * connects, and where it is over 64 KiB.
   */
  readonly diff?: string;
  /** Where the diff is that was too long to stand here, or that it was cut. */
  readonly diffRef?: ApprovalRequestDiffRef;
  /** Until when it can be decided. RFC 3339. */
  readonly expirationTime: string;
  /** How many different people must approve. From 1 to 10. */
  readonly requiredApprovals: number;
  /**
   * Others is anyone who may approve but the person behind the request. IncludeOnBehalfOf lets that person approve
   * what their agent asked, after a fresh sign-in.
   */
  readonly approvers: 'Others' | 'IncludeOnBehalfOf';
  /** How often the approval can be used. From 1 to 100. */
  readonly maxUses: number;
  /** How long the approval can be used, counted from the last one given. */
  readonly grantTTL: string;
  /** Groups with which the approved request would be forwarded, beyond the caller's own. At most 8 items. */
  readonly impersonateGroups?: readonly string[];
  /** What an approver may open for the caller's whole agent session instead of this one request. */
  readonly grant?: ApprovalRequestGrant;
}

/** Who asked. An approval is good for this caller only. */
export interface ApprovalRequestRequester {
  /** Who identified the caller, as the gateway's configuration names it (URL, `x509` or `kubernetes`). */
  readonly issuer: string;
  /** As policies see it, without the upstream prefix. */
  readonly username: string;
  /** The uid, where the issuer gives one. */
  readonly uid?: string;
  /** Which tool called, where that is known. */
  readonly agent?: string;
  /** The person on whose behalf the agent called. */
  readonly onBehalfOf?: string;
  /** Name of the AgentSession, where there is one. */
  readonly session?: string;
}

/** What was asked, in Kubernetes terms. */
export interface ApprovalRequestOperation {
  /** One short line, as for example `create pods/exec shop/web`. */
  readonly display: string;
  /** As RBAC names it. */
  readonly verb: string;
  /** Empty for the core group. */
  readonly apiGroup: string;
  /** Without the group. */
  readonly apiVersion: string;
  /** The plural name. */
  readonly resource: string;
  /** Empty where there is none. */
  readonly subresource: string;
  /**
   * Empty for cluster-scoped operations and for all namespaces at once. Approvers need the verb approve on the
   * policy here; where it is empty, in the whole cluster.
   */
  readonly namespace: string;
  /** Empty for collections and for creates by POST. */
  readonly name: string;
  /** The HTTP method. */
  readonly method: string;
  /** The canonical path, escaped for terminals. */
  readonly path: string;
  /**
   * argv of an exec, in order, each element escaped and with what follows options for secrets hidden. At most 1024
   * items.
   */
  readonly command?: readonly string[];
  /** Of an exec or attach. */
  readonly container?: string;
  /** Whether an exec or attach takes input: then nobody knows what will be run in it. */
  readonly stdin?: boolean;
  /** Whether an exec or attach has a terminal. */
  readonly tty?: boolean;
  /** Ports of a port-forward, as far as they are known. At most 64 items. */
  readonly ports?: readonly number[];
  /** Whether the API server takes it for a dry run. */
  readonly dryRun?: boolean;
}

/**
 * What the request would change, as it was when it was asked. Another one at the time of use voids the approval.
 */
export interface ApprovalRequestTarget {
  /** uid of the object, or for subresources of its parent. */
  readonly uid?: string;
  /** Its version, for the precondition of the forward. */
  readonly resourceVersion?: string;
  /** Keyed digest of the dry run's result. */
  readonly resultDigest?: string;
}

/** The policy that asked. */
export interface ApprovalRequestPolicyRef {
  /** Its name; approvers need the verb approve on it. */
  readonly name: string;
  /** Its uid. */
  readonly uid: string;
  /** Its generation when it asked. */
  readonly generation: number;
}

/** Where the diff is that was too long to stand here, or that it was cut. */
export interface ApprovalRequestDiffRef {
  /** SHA-256 of the shown diff. */
  readonly digest: string;
  /** Of the shown diff. */
  readonly sizeBytes: number;
  /** Where the store keeps it. */
  readonly locator?: string;
  /** Part of the change is not shown; an approval must then say allowTruncated. */
  readonly truncated: boolean;
}

/** What an approver may open for the caller's whole agent session instead of this one request. */
export interface ApprovalRequestGrant {
  /** The rule; the one that asked. */
  readonly rule: string;
  /** The longest time for which it may be opened. */
  readonly maxDuration: string;
}

/** What became of it. Written by the gateway, but for decision. Default: {"phase":"Pending"}. */
export interface ApprovalRequestStatus {
  /** The conditions in one word, for printing only. Nothing is decided by it. */
  readonly phase?: 'Pending' | 'Approved' | 'Denied' | 'Expired' | 'Revoked' | 'Used' | 'OutcomeUnknown';
  /**
   * The state. Approved and Denied are final and exclude each other. Expired, not decided or not used in time,
   * revoked, or void. Consumed, used as often as allowed. OutcomeUnknown, a gateway ended between taking a use and
   * writing what came of it. Notified, whether people were told; no part of the state. At most 8 items.
   */
  readonly conditions?: readonly ApprovalRequestStatusCondition[];
  /**
   * The input, one person's word; the only field that an approver writes. The gateway's controller moves it into
   * decisions and clears it.
   */
  readonly decision?: ApprovalRequestStatusDecision;
  /** Who said what, in order. At most 20 items. */
  readonly decisions?: readonly ApprovalRequestStatusDecisionsItem[];
  /** Each forward that the approval was used for, written before its first byte. At most 100 items. */
  readonly uses?: readonly ApprovalRequestStatusUse[];
  /** Until when the approval can be used. RFC 3339. */
  readonly grantExpirationTime?: string;
  /** Set where the approval opened the rule for the agent session; then grantExpirationTime ends that. */
  readonly grantDuration?: string;
}

export interface ApprovalRequestStatusCondition {
  /** Which. */
  readonly type: 'Approved' | 'Denied' | 'Expired' | 'Consumed' | 'OutcomeUnknown' | 'Notified';
  /** True, False or Unknown. */
  readonly status: 'True' | 'False' | 'Unknown';
  /** One word in CamelCase. */
  readonly reason: string;
  /** For people, escaped. */
  readonly message: string;
  /** When status last changed. RFC 3339. */
  readonly lastTransitionTime: string;
}

/**
 * The input, one person's word; the only field that an approver writes. The gateway's controller moves it into
 * decisions and clears it.
 */
export interface ApprovalRequestStatusDecision {
  /** Denied also revokes what was approved and is not used up. */
  readonly type: 'Approved' | 'Denied';
  /** One's own name, as the API server knows it. */
  readonly username: string;
  /** One's own uid, as the API server knows it. */
  readonly uid?: string;
  /** Shown to whoever asked. */
  readonly reason?: string;
  /** Opens the rule for the whole agent session for so long, instead of this request alone. */
  readonly grantDuration?: string;
  /** That one approves what is not shown in full. */
  readonly allowTruncated?: boolean;
  /**
   * When one last signed in, in seconds since 1970; must be what the API server knows as the extra
   * sallyport.dev/auth-time. From 1 to 253402300799.
   */
  readonly authTime?: number;
}

export interface ApprovalRequestStatusDecisionsItem {
  /** What they said. */
  readonly type: 'Approved' | 'Denied';
  /** Who. */
  readonly username: string;
  /** Their uid, where it is known. */
  readonly uid?: string;
  /** Why, escaped. */
  readonly reason?: string;
  /** For how long they opened the rule. */
  readonly grantDuration?: string;
  /** They approved what their own agent asked. */
  readonly onBehalfOf?: boolean;
  /** When the gateway took it in. RFC 3339. */
  readonly time: string;
}

export interface ApprovalRequestStatusUse {
  /** Event id of the forward, Audit-ID at the API server. */
  readonly requestID: string;
  /** When the use was taken. RFC 3339. */
  readonly time: string;
  /**
   * Succeeded or Failed as the API server answered, NotForwarded where not one byte was sent, Admitted where the
   * webhook let it through and the API server went on with it, Unknown where nobody can say.
   */
  readonly outcome?: 'Succeeded' | 'Failed' | 'NotForwarded' | 'Admitted' | 'Unknown';
  /** HTTP status of the answer. From 100 to 599. */
  readonly code?: number;
}
