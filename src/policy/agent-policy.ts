/**
 * AgentPolicy as `crds/agentpolicies.yaml` declares it; that file documents and bounds every field, this one only
 * names them for TypeScript. Nothing here is trusted: `compile` checks what it reads again, because a policy may come
 * from a file that no API server has validated.
 */
export interface AgentPolicy {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: {
    readonly name: string;
    readonly uid?: string | undefined;
    readonly generation?: number | undefined;
    readonly resourceVersion?: string | undefined;
  };
  readonly spec: AgentPolicySpec;
  readonly status?: AgentPolicyStatus;
}

export interface AgentPolicySpec {
  readonly enforcement?: 'Enforce' | 'Warn' | 'Audit';
  readonly subjects: readonly Subject[];
  readonly variables?: readonly NamedExpression[];
  readonly recording?: {
    readonly level?: 'None' | 'Metadata' | 'Request' | 'RequestResponse';
    readonly mode?: 'Strict' | 'BestEffort';
  };
  readonly rules: readonly Rule[];
}

export interface Subject {
  readonly kind: 'User' | 'Group' | 'ServiceAccount' | 'Agent';
  readonly name: string;
  /** ServiceAccount only. */
  readonly namespace?: string;
}

export interface NamedExpression {
  readonly name: string;
  readonly expression: string;
}

export interface Rule {
  readonly name: string;
  readonly description?: string;
  readonly action: 'Allow' | 'RequireApproval' | 'Deny';
  readonly match: Match;
  readonly matchConditions?: readonly NamedExpression[];
  readonly message?: string;
  readonly messageExpression?: string;
  readonly approval?: Approval;
}

export interface Match {
  readonly verbs: readonly string[];
  readonly apiGroups?: readonly string[];
  readonly resources?: readonly string[];
  readonly namespaces?: readonly string[];
  readonly namespaceSelector?: LabelSelector;
  readonly resourceNames?: readonly string[];
  readonly ports?: readonly number[];
  readonly nonResourceURLs?: readonly string[];
}

export interface LabelSelector {
  readonly matchLabels?: Readonly<Record<string, string>>;
  readonly matchExpressions?: readonly {
    readonly key: string;
    readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
    readonly values?: readonly string[];
  }[];
}

/** Durations as Go writes them: `15m`, `1h30m`. */
export interface Approval {
  readonly requiredApprovals?: number;
  readonly requestTTL?: string;
  readonly grantTTL?: string;
  readonly maxUses?: number;
  readonly waitTimeout?: string;
  readonly maxGrantDuration?: string;
  readonly approvers?: 'Others' | 'IncludeOnBehalfOf';
  readonly impersonateGroups?: readonly string[];
}

export interface AgentPolicyStatus {
  readonly observedGeneration?: number;
  readonly conditions?: readonly {
    readonly type: string;
    readonly status: 'True' | 'False' | 'Unknown';
    readonly reason: string;
    readonly message: string;
    readonly lastTransitionTime: string;
    readonly observedGeneration?: number;
  }[];
  readonly ruleCount?: number;
  readonly compileErrors?: readonly {
    readonly rule?: string;
    readonly expression: string;
    readonly line?: number;
    readonly column?: number;
    readonly message: string;
  }[];
  readonly replicas?: readonly {
    readonly name: string;
    readonly loadedGeneration: number;
    readonly loadedTime: string;
  }[];
  readonly counters?: readonly {
    readonly rule: string;
    readonly matched?: number;
    readonly errors?: number;
    readonly lastErrorTime?: string;
    readonly lastError?: string;
  }[];
}
