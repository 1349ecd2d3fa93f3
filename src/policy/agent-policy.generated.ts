// Generated from crds/agentpolicies.yaml by `npm run generate`; do not edit.

/**
 * AgentPolicy says what its subjects may do through the gateway. All policies that name a caller are judged
 * together: Deny beats RequireApproval beats Allow, no rule matching means Deny, and order never matters.
 */
export interface AgentPolicy {
  readonly apiVersion?: 'sallyport.dev/v1alpha1';
  readonly kind?: 'AgentPolicy';
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
  readonly spec: AgentPolicySpec;
  readonly status?: AgentPolicyStatus;
}

/** What is governed, and how. */
export interface AgentPolicySpec {
  /**
   * Enforce decides. Warn and Audit never allow and never block: what they would have decided is attached to the
   * answer as a warning (Warn) and to the log (both). Default: "Enforce".
   */
  readonly enforcement?: 'Enforce' | 'Warn' | 'Audit';
  /** Whom the policy governs. A caller is governed where any of these names them. At most 64 items. */
  readonly subjects: readonly AgentPolicySubject[];
  /**
   * Expressions with a name, used as variables.NAME in those after them and in all rules. Each is worked out at its
   * first use, once for a request. At most 32 items.
   */
  readonly variables?: readonly AgentPolicyVariable[];
  /**
   * How much is kept of what the subjects do. Of several Enforce policies the highest level holds, and Strict
   * before what is left out before BestEffort. Default: {}.
   */
  readonly recording?: AgentPolicyRecording;
  /**
   * What is allowed, denied, or asked a person about. A rule applies where its match and all its matchConditions
   * hold. At most 64 items.
   */
  readonly rules: readonly AgentPolicyRule[];
}

/** One user, group, ServiceAccount or agent, by its exact name. */
export interface AgentPolicySubject {
  /**
   * User is a name as the gateway's issuers give it, Group one of the caller's groups, ServiceAccount an account of
   * this cluster, Agent the tool that calls (as in an agent session).
   */
  readonly kind: 'User' | 'Group' | 'ServiceAccount' | 'Agent';
  /** The exact name. There are no wildcards in subjects. */
  readonly name: string;
  /** The namespace of a ServiceAccount; required there, refused elsewhere. */
  readonly namespace?: string;
}

/** One variable. */
export interface AgentPolicyVariable {
  /** A CEL identifier, unique in the policy. */
  readonly name: string;
  /** A CEL expression of any type. It may use the variables before it. */
  readonly expression: string;
}

/**
 * How much is kept of what the subjects do. Of several Enforce policies the highest level holds, and Strict before
 * what is left out before BestEffort. Default: {}.
 */
export interface AgentPolicyRecording {
  /**
   * None keeps nothing, Metadata who did what when, Request also bodies and input of streams, RequestResponse also
   * answers and output of streams. Default: "Metadata".
   */
  readonly level?: 'None' | 'Metadata' | 'Request' | 'RequestResponse';
  /**
   * Strict refuses a request that cannot be recorded. BestEffort lets it pass. Left out: Strict for writes, exec
   * and the other connects, BestEffort for reads.
   */
  readonly mode?: 'Strict' | 'BestEffort';
}

/** One rule. */
export interface AgentPolicyRule {
  /** Unique in the policy. Messages name a rule as POLICY/RULE. */
  readonly name: string;
  /** For people who read the policy. It decides nothing. */
  readonly description?: string;
  /**
   * Allow lets the request pass unless another rule stops it. RequireApproval holds it for a person. Deny refuses
   * it, whatever others allow.
   */
  readonly action: 'Allow' | 'RequireApproval' | 'Deny';
  /**
   * What is asked, and where; all that is given must hold. Either apiGroups and resources, or nonResourceURLs. Of a
   * request that may touch several objects (list, watch, deletecollection), Allow matches only if every one of them
   * is inside, Deny and RequireApproval if any could be.
   */
  readonly match: AgentPolicyRuleMatch;
  /**
   * CEL expressions that must all be true. A false one beats an error in another; an error that remains refuses the
   * request in a Deny or RequireApproval rule and is no match in an Allow rule. What cannot be known of a read (its
   * object) counts the same way: matched in Deny and RequireApproval, not in Allow. At most 16 items.
   */
  readonly matchConditions?: readonly AgentPolicyRuleMatchCondition[];
  /** What a refused caller reads, in one line. Say what to do instead. */
  readonly message?: string;
  /**
   * A CEL expression that gives the message, of at most 512 characters. Where it has no answer, message is used. It
   * reads the same variables as the conditions, and whoever is refused reads what it says.
   */
  readonly messageExpression?: string;
  /** How a person's approval works; for RequireApproval only. */
  readonly approval?: AgentPolicyRuleApproval;
}

/**
 * What is asked, and where; all that is given must hold. Either apiGroups and resources, or nonResourceURLs. Of a
 * request that may touch several objects (list, watch, deletecollection), Allow matches only if every one of them
 * is inside, Deny and RequireApproval if any could be.
 */
export interface AgentPolicyRuleMatch {
  /**
   * For resources get, list, watch, create, update, patch, delete, deletecollection; for URLs the HTTP method in
   * lower case; * for all. exec, attach and portforward are create. An apply or PUT that creates needs create too.
   * At most 12 items.
   */
  readonly verbs: readonly ('*' | 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch' | 'delete' | 'deletecollection' | 'head' | 'options' | 'post' | 'put')[];
  /** API groups by name, "" for the core group, * for all. At most 64 items. */
  readonly apiGroups?: readonly string[];
  /**
   * pods is the resource, pods/log one subresource, pods/* every subresource of pods (and not pods), * every
   * resource and no subresource, *\/scale that subresource of anything, *\/* every resource and subresource.
   * certificatesigningrequests, serviceaccounts/token and the subresource proxy are allowed only by an entry that
   * spells them out. At most 64 items.
   */
  readonly resources?: readonly string[];
  /**
   * Names of namespaces; * stands for any run of characters. Cluster-scoped objects are in none of them, not even
   * in *. Without this field everything matches. At most 128 items.
   */
  readonly namespaces?: readonly string[];
  /** Labels of the namespace. Cluster-scoped objects do not match. */
  readonly namespaceSelector?: AgentPolicyRuleMatchNamespaceSelector;
  /**
   * Names of objects; * stands for any run of characters. For a create the name in the object counts; one that the
   * server is to make up (generateName) is not known, and so not allowed by this. At most 128 items.
   */
  readonly resourceNames?: readonly string[];
  /** Ports of a pods/portforward; each one is judged before it opens. At most 64 items. */
  readonly ports?: readonly number[];
  /** Paths that are no resources, such as /healthz; a * at the end stands for any rest. At most 64 items. */
  readonly nonResourceURLs?: readonly string[];
}

/** Labels of the namespace. Cluster-scoped objects do not match. */
export interface AgentPolicyRuleMatchNamespaceSelector {
  /** Labels that must have these values. */
  readonly matchLabels?: Readonly<Record<string, string>>;
  /** Further requirements; all must hold. At most 16 items. */
  readonly matchExpressions?: readonly AgentPolicyRuleMatchNamespaceSelectorMatchExpression[];
}

export interface AgentPolicyRuleMatchNamespaceSelectorMatchExpression {
  /** The label's key. */
  readonly key: string;
  /** In and NotIn compare with values, Exists and DoesNotExist have none. */
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
  /** Values of In and NotIn. At most 32 items. */
  readonly values?: readonly string[];
}

export interface AgentPolicyRuleMatchCondition {
  /** Unique in the rule; messages name it. */
  readonly name: string;
  /**
   * A CEL expression that is true or false. It reads object, oldObject, target, request, caller, namespaceObject,
   * now and variables.
   */
  readonly expression: string;
}

/** How a person's approval works; for RequireApproval only. */
export interface AgentPolicyRuleApproval {
  /** How many different people must approve. Default: 1. From 1 to 10. */
  readonly requiredApprovals?: number;
  /** How long a request waits for its approvals, at most 24h. Default: "15m". */
  readonly requestTTL?: string;
  /** How long an approval can be used, counted from the last one given, at most 24h. Default: "5m". */
  readonly grantTTL?: string;
  /** How often one approval can be used for the same request. Default: 1. From 1 to 100. */
  readonly maxUses?: number;
  /**
   * How long the gateway holds the request open for an answer before it tells the caller to come back, at most 1h.
   * Default: "0s".
   */
  readonly waitTimeout?: string;
  /**
   * The longest time for which an approver may open the rule for the caller's whole session; 0s for never, at most
   * 24h. Default: "0s".
   */
  readonly maxGrantDuration?: string;
  /**
   * Others is anyone who may approve but the person behind the request. IncludeOnBehalfOf lets that person approve
   * their own agent, after a fresh sign-in. Who may approve at all is RBAC's to say, by the verb approve on
   * agentpolicies/NAME. Default: "Others".
   */
  readonly approvers?: 'Others' | 'IncludeOnBehalfOf';
  /**
   * Groups with which an approved request is forwarded, beyond the caller's own; bound in RBAC under the prefix
   * sallyport:. At most 8 items.
   */
  readonly impersonateGroups?: readonly string[];
}

/** What the gateway's replicas make of this policy. Written by them only. */
export interface AgentPolicyStatus {
  /** The generation that conditions, ruleCount and compileErrors speak of. */
  readonly observedGeneration?: number;
  /** How many rules the policy has. */
  readonly ruleCount?: number;
  /**
   * Ready is True where every expression compiles, every known replica has loaded this generation, and, where the
   * webhook is served, the API server has been seen to call for its subjects (AdmissionReady). AdmissionCoverage is
   * False where a subject exists at the gateway only. BypassPossible is True where a subject could do something at
   * the API server that the gateway would not see. At most 8 items.
   */
  readonly conditions?: readonly AgentPolicyStatusCondition[];
  /**
   * Mistakes in expressions, the first 32. A Deny or RequireApproval rule with one refuses all that its match
   * covers, an Allow rule with one matches nothing. At most 32 items.
   */
  readonly compileErrors?: readonly AgentPolicyStatusCompileError[];
  /** What each replica of the gateway has loaded. At most 32 items. */
  readonly replicas?: readonly AgentPolicyStatusReplica[];
  /**
   * How often rules matched or had no answer, summed over replicas and written at most once a minute. At most 64
   * items.
   */
  readonly counters?: readonly AgentPolicyStatusCounter[];
}

export interface AgentPolicyStatusCondition {
  /** Ready, AdmissionReady, AdmissionCoverage or BypassPossible. */
  readonly type: string;
  /** True, False or Unknown. */
  readonly status: 'True' | 'False' | 'Unknown';
  /** One word in CamelCase. */
  readonly reason: string;
  /** For people. */
  readonly message: string;
  /** When status last changed. RFC 3339. */
  readonly lastTransitionTime: string;
  /** The generation this condition speaks of. */
  readonly observedGeneration?: number;
}

export interface AgentPolicyStatusCompileError {
  /** Empty for a mistake outside the rules. */
  readonly rule?: string;
  /** Where in the rule, such as matchConditions[foreign-image]. */
  readonly expression: string;
  /** Counted from 1. */
  readonly line?: number;
  /** Counted from 1, in characters. */
  readonly column?: number;
  /** What is wrong. */
  readonly message: string;
}

export interface AgentPolicyStatusReplica {
  /** The replica's Pod. */
  readonly name: string;
  /** The generation it decides by. */
  readonly loadedGeneration: number;
  /** When it loaded it. RFC 3339. */
  readonly loadedTime: string;
}

export interface AgentPolicyStatusCounter {
  /** The rule's name. */
  readonly rule: string;
  /** Requests that it decided. */
  readonly matched?: number;
  /** Requests for which one of its conditions had no answer. */
  readonly errors?: number;
  /** When that last happened. RFC 3339. */
  readonly lastErrorTime?: string;
  /** What the expression said. */
  readonly lastError?: string;
}
