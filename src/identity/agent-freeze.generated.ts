// Generated from crds/agentfreezes.yaml by `npm run generate`; do not edit.

/**
 * AgentFreeze stops an agent, or everyone who comes through the gate, on every replica within a second and for as
 * long as the object exists: requests are refused, open streams end, no new session is given. It lives in the
 * gateway's namespace. `sallyport freeze` makes it, `sallyport unfreeze` (or deleting it) lifts it; sessions that
 * have not expired meanwhile work again.
 */
export interface AgentFreeze {
  readonly apiVersion?: 'sallyport.dev/v1alpha1';
  readonly kind?: 'AgentFreeze';
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
  readonly spec: AgentFreezeSpec;
}

/** Whom it stops. To change it, make another one. */
export interface AgentFreezeSpec {
  /** The agent's name, or `*` for every caller through the gate, agents, CI jobs and people. */
  readonly agent: string;
  /** Shown to whoever is stopped. */
  readonly reason?: string;
  /** Who froze it, as they say; the API server's audit log knows for certain. */
  readonly frozenBy?: string;
}
