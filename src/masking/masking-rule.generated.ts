// Generated from crds/maskingrules.yaml by `npm run generate`; do not edit.

/**
 * MaskingRule says what its subjects must not see in answers, logs and streams, beyond what is masked without any
 * rule; or, with exempt, whom the defaults spare.
 */
export interface MaskingRule {
  readonly apiVersion?: 'sallyport.dev/v1alpha1';
  readonly kind?: 'MaskingRule';
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
  readonly spec: MaskingRuleSpec;
  readonly status?: MaskingRuleStatus;
}

/** What is masked, for whom and where. */
export interface MaskingRuleSpec {
  /** Whose answers are masked. At most 64 items. */
  readonly subjects: readonly MaskingRuleSubject[];
  /** Which answers. */
  readonly match: MaskingRuleMatch;
  /** Fields that are masked wherever they are, whatever they hold. At most 64 items. */
  readonly fields?: readonly MaskingRuleField[];
  /** Families of kinds that are recognised in all text. At most 6 items. */
  readonly detectors?: readonly ('credentials' | 'private-keys' | 'tokens-by-name' | 'payment-cards' | 'bank-accounts' | 'personal-data')[];
  /** Own kinds, in RE2 syntax, which cannot run away. At most 1000 items. */
  readonly patterns?: readonly MaskingRulePattern[];
  /**
   * Redact writes a placeholder that does not depend on the value. Partial adds the last four characters at most,
   * and a quarter of the value at most. Hash writes one that is equal for equal values of the same object and path.
   * Drop leaves the field out. Default: "Redact".
   */
  readonly action?: 'Redact' | 'Partial' | 'Hash' | 'Drop';
  /**
   * Installation makes hashes comparable everywhere: whoever can write values can ask whether one equals another.
   * It is not applied to kinds with few possible values (cards, accounts, numbers, passwords). Default: "Object".
   */
  readonly hashScope?: 'Object' | 'Installation';
  /**
   * What becomes of files that are copied out of a container (kubectl cp, which is tar over exec). Mask, the
   * default, masks the archive in place: what is written for a secret has the secret's length, so the archive stays
   * whole. Refuse refuses commands that make an archive. A port-forward, an upgraded proxy connection and a
   * compressed archive cannot be masked, and are refused where a rule that masks speaks of them, whatever this
   * says.
   */
  readonly copies?: 'Mask' | 'Refuse';
  /** The subjects see what is matched as it is; nothing is masked there, not by defaults either. */
  readonly exempt?: boolean;
}

/** One user, group, ServiceAccount or agent, by its exact name. */
export interface MaskingRuleSubject {
  /** As in AgentPolicy. */
  readonly kind: 'User' | 'Group' | 'ServiceAccount' | 'Agent';
  /** The exact name. There are no wildcards in subjects. */
  readonly name: string;
  /** The namespace of a ServiceAccount; required there, refused elsewhere. */
  readonly namespace?: string;
}

/** Which answers. */
export interface MaskingRuleMatch {
  /** API groups; "" is the core group, * any. At most 64 items. */
  readonly apiGroups: readonly string[];
  /**
   * Resources in the plural, with subresources as pods/log and pods/exec; * is any resource, *\/* any subresource
   * too. At most 64 items.
   */
  readonly resources: readonly string[];
  /**
   * Namespaces, with * for any run of characters. None named means all, and cluster-scoped objects. At most 64
   * items.
   */
  readonly namespaces?: readonly string[];
  /** Names of objects, with * for any run of characters. At most 64 items. */
  readonly resourceNames?: readonly string[];
}

export interface MaskingRuleField {
  /**
   * Where the field is: spec.credentials.password, data.*, spec.**.token,
   * metadata.annotations["example.dev/token"], spec.containers[name=app].env[*].value. Metadata other than labels
   * and annotations cannot be masked.
   */
  readonly path: string;
  /** What is done with the field, if not what the rule says. */
  readonly action?: 'Redact' | 'Partial' | 'Hash' | 'Drop';
}

export interface MaskingRulePattern {
  /** The kind's name, in metrics and in explanations. */
  readonly name: string;
  /** An RE2 expression. It must not match the empty text. */
  readonly regex: string;
  /**
   * The expression is tried on lines with any of these only, whatever their case. Without keywords, on every line.
   * At most 16 items.
   */
  readonly keywords?: readonly string[];
  /** The group of the expression that is the secret; 0 is the whole match. Default: 0. From 0 to 16. */
  readonly group?: number;
  /** Bits a character below which a match is passed over, as a decimal such as "3.5". */
  readonly minEntropy?: string;
}

/** Whether the gateway has loaded the rule. */
export interface MaskingRuleStatus {
  /** The generation that the conditions speak of. */
  readonly observedGeneration?: number;
  /** Ready is False where the rule does not compile; what it matches is refused then. At most 8 items. */
  readonly conditions?: readonly MaskingRuleStatusCondition[];
}

export interface MaskingRuleStatusCondition {
  /** Ready. */
  readonly type: string;
  /** Whether it holds. */
  readonly status: 'True' | 'False' | 'Unknown';
  /** Of the rule. */
  readonly observedGeneration?: number;
  /** When status changed. RFC 3339. */
  readonly lastTransitionTime: string;
  /** One word. */
  readonly reason: string;
  /** What a reader should know. */
  readonly message: string;
}
