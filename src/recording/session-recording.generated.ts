// Generated from crds/sessionrecordings.yaml by `npm run generate`; do not edit.

/**
 * SessionRecording says that there is a recording, whose, where, and how it ended; the recording itself is in the
 * store. It lives in the gateway's namespace and is written by the gateway only. Deleting it deletes nothing of the
 * recording.
 */
export interface SessionRecording {
  readonly apiVersion?: 'sallyport.dev/v1alpha1';
  readonly kind?: 'SessionRecording';
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
  readonly spec: SessionRecordingSpec;
  readonly status?: SessionRecordingStatus;
}

/** Whose work is recorded. Written once, by the gateway. */
export interface SessionRecordingSpec {
  /** Who called. */
  readonly user: SessionRecordingUser;
  /** What else is known of the caller. */
  readonly caller: SessionRecordingCaller;
  /** The gateway's replica that began it. */
  readonly replica: string;
  /** When it began. RFC 3339. */
  readonly startTime: string;
}

/** Who called. */
export interface SessionRecordingUser {
  /** As policies see it. */
  readonly username: string;
  /** Where the issuer gives one. */
  readonly uid?: string;
}

/** What else is known of the caller. */
export interface SessionRecordingCaller {
  /** How it was identified. */
  readonly method: string;
  /** Who identified it. */
  readonly issuer: string;
  /** Which tool called. */
  readonly agent?: string;
  /** The person on whose behalf an agent called. */
  readonly onBehalfOf?: string;
  /** The AgentSession. */
  readonly agentSession?: string;
  /** The CI run that the token was given to. */
  readonly run?: string;
}

/** What is in it, and where it is. */
export interface SessionRecordingStatus {
  /**
   * Open while it is written; Sealed once its manifest is signed and stored; Incomplete where its replica was gone
   * and another one sealed what the store had.
   */
  readonly phase?: 'Open' | 'Sealed' | 'Incomplete';
  /** Stored is False while the store does not take what the gateway keeps for it. At most 4 items. */
  readonly conditions?: readonly SessionRecordingStatusCondition[];
  /** Of what is recorded. */
  readonly counts?: SessionRecordingStatusCounts;
  /** Number of the last line; of all chains together, where it has several. */
  readonly lines?: number;
  /** Hash of the last line. */
  readonly chainHead?: string;
  /** What each replica wrote of a session or CI run, by the name of its chain. Of many the youngest. */
  readonly chains?: Readonly<Record<string, SessionRecordingStatusChains>>;
  /** How often it was sealed: anew when a session goes on whose chains had all ended. */
  readonly seals?: number;
  /** Where it is, as sallyport recording takes it. */
  readonly location?: string;
  /** When it ended. RFC 3339. */
  readonly endTime?: string;
  /**
   * Why it ended: Idle, SessionEnded, Stopped, Full, Cap; ReplicaGone where another replica sealed it
   * (docs/recording.md).
   */
  readonly reason?: string;
  /** Of the manifest, once sealed. */
  readonly signature?: SessionRecordingStatusSignature;
}

export interface SessionRecordingStatusCondition {
  /** Which. */
  readonly type: 'Stored';
  /** True, False or Unknown. */
  readonly status: 'True' | 'False' | 'Unknown';
  /** In one word. */
  readonly reason?: string;
  /** For people. */
  readonly message?: string;
  /** When it changed last. RFC 3339. */
  readonly lastTransitionTime?: string;
}

/** Of what is recorded. */
export interface SessionRecordingStatusCounts {
  /** Requests that ended. */
  readonly requests?: number;
  /** Of them refused by the gateway. */
  readonly denied?: number;
  /** Values that were masked. */
  readonly masked?: number;
  /** Lines that could not be kept (mode BestEffort). */
  readonly dropped?: number;
}

/** One replica's chain of lines. */
export interface SessionRecordingStatusChains {
  /** The gateway's replica that writes it. */
  readonly replica?: string;
  /** Number of its last line. */
  readonly lines?: number;
  /** Hash of its last line. */
  readonly chainHead?: string;
  /** Of what is recorded in it. */
  readonly counts?: SessionRecordingStatusChainsCounts;
}

/** Of what is recorded in it. */
export interface SessionRecordingStatusChainsCounts {
  /** Requests that ended. */
  readonly requests?: number;
  /** Of them refused by the gateway. */
  readonly denied?: number;
  /** Values that were masked. */
  readonly masked?: number;
  /** Lines that could not be kept (mode BestEffort). */
  readonly dropped?: number;
}

/** Of the manifest, once sealed. */
export interface SessionRecordingStatusSignature {
  /** By which key. */
  readonly keyID: string;
  /** Ed25519, base64. */
  readonly value: string;
  /** Of the manifest's file. */
  readonly manifestSHA256: string;
}
