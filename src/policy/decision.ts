/** The outcome of a decision. Deny beats RequireApproval beats Allow; no rule matching means Deny. */
export interface Decision {
  readonly action: 'Allow' | 'RequireApproval' | 'Deny';
  /** Why, as a code of src/errors.ts when not Allow. */
  readonly code:
    | 'SP_POLICY_DENIED'
    | 'SP_NO_POLICY'
    | 'SP_BEDROCK'
    | 'SP_APPROVAL_REQUIRED'
    | 'SP_POLICY_ERROR'
    | 'SP_OBJECT_UNREADABLE'
    | undefined;
  /** Empty for free requests, bedrock and "no rule". */
  readonly policy: string;
  readonly policyUID: string;
  readonly policyGeneration: number;
  readonly rule: string;
  /** One line for people and agents: what stopped it and what to do. Hostile text in it is escaped where it is shown. */
  readonly reason: string;
  /** True for discovery, OpenAPI, version, SelfSubject reviews: counted only. */
  readonly free: boolean;
  readonly approval: ApprovalTerms | undefined;
  readonly recording: RecordingTerms;
  /** What Warn policies would have decided: each a line for a `Warning` header. */
  readonly warnings: readonly string[];
  /** What Audit (and Warn) policies would have decided, for the log and audit annotations. */
  readonly audit: readonly ShadowDecision[];
  /** Expressions that had no answer: for the log, metrics and the policy's status. May quote objects: never for callers. */
  readonly faults: readonly RuleFault[];
  /**
   * The gateway's namespace, where this is a read over all namespaces that must be forwarded with the field selector
   * `metadata.namespace!=…` added. Only with the option `allNamespaces: 'Exclude'`.
   */
  readonly excludeNamespace: string | undefined;
}

export interface RuleFault {
  readonly policy: string;
  readonly rule: string;
  readonly condition: string;
  readonly message: string;
}

export interface ShadowDecision {
  readonly enforcement: 'Warn' | 'Audit';
  readonly action: 'Deny' | 'RequireApproval';
  readonly policy: string;
  readonly rule: string;
  readonly reason: string;
}

/** AgentPolicy spec.rules[].approval; durations in seconds. */
export interface ApprovalTerms {
  readonly requiredApprovals: number;
  readonly requestTTL: number;
  readonly grantTTL: number;
  readonly maxUses: number;
  readonly waitTimeout: number;
  readonly maxGrantDuration: number;
  readonly approvers: 'Others' | 'IncludeOnBehalfOf';
  readonly impersonateGroups: readonly string[];
}

export interface RecordingTerms {
  readonly level: 'None' | 'Metadata' | 'Request' | 'RequestResponse';
  /** `ByOperation`, where no policy says: Strict for writes and connects, BestEffort for reads. */
  readonly mode: 'Strict' | 'BestEffort' | 'ByOperation';
}
