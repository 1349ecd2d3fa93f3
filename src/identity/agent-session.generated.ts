// Generated from crds/agentsessions.yaml by `npm run generate`; do not edit.

/**
 * AgentSession is the life of one agent token: a person signed in and took a short-lived session for a named agent.
 * It lives in the gateway's namespace and is written by the gateway only. Setting status.revoked ends the session
 * on every replica within a second, its open streams too; deleting the object does the same.
 */
export interface AgentSession {
  readonly apiVersion?: 'sallyport.dev/v1alpha1';
  readonly kind?: 'AgentSession';
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
  readonly spec: AgentSessionSpec;
  readonly status?: AgentSessionStatus;
}

/** What was granted. Written once, by the gateway. */
export interface AgentSessionSpec {
  /** The agent's name, one of identity.sessions.agents in the gateway's configuration. */
  readonly agent: string;
  /** The person, by username. */
  readonly onBehalfOf: string;
  /** Who identified the person, as the gateway's configuration names it (URL, `x509` or `kubernetes`). */
  readonly issuer: string;
  /** The username under which the session calls; the person's own. */
  readonly subject: string;
  /** The person's uid, where the issuer gives one. */
  readonly uid?: string;
  /** Groups of the session, the agent's and the person's, for the record. At most 256 items. */
  readonly groups?: readonly string[];
  /** When the session's token ends. RFC 3339. */
  readonly expirationTime: string;
  /** When the person last really signed in, where the issuer says so. RFC 3339. */
  readonly authTime?: string;
}

/** What became of the session. */
export interface AgentSessionStatus {
  /** True ends the session at once and for good. */
  readonly revoked?: boolean;
  /** Why it was revoked. */
  readonly reason?: string;
  /** Who revoked it. */
  readonly revokedBy?: string;
  /**
   * When it was revoked; the person must sign in after it before another session of this agent is given. RFC 3339.
   */
  readonly revokedTime?: string;
  /** When the session was last used, to about a minute. RFC 3339. */
  readonly lastSeenTime?: string;
}
