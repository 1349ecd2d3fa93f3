/**
 * What a recording holds: one JSON object a line, in the order in which things became known. docs/recording.md is the
 * format's page. Fields are named as in `audit.k8s.io/v1` where they mean the same.
 */
export type Line = SegmentLine | EventLine | FrameLine | GapLine | ResumeLine | EndLine;

/** As Kubernetes' audit levels; `None` leaves no line. */
export type Level = 'Metadata' | 'Request' | 'RequestResponse';

/** RFC 3339 in UTC with milliseconds. Wall-clock time: it may jump; what orders lines is their `seq`. */
export type Timestamp = string;

/** The first line of every segment: which recording this is, and what came before. */
export interface SegmentLine {
  readonly kind: 'Segment';
  readonly format: typeof FORMAT;
  readonly recording: RecordingIdentity;
  /** From 1. */
  readonly segment: number;
  /** Undefined in the first one. */
  readonly predecessor: { readonly name: string; readonly hash: string } | undefined;
  /** Requests whose RequestReceived is in an earlier segment and whose ResponseComplete is not. */
  readonly open: readonly string[];
  /** Of all segments before this one. */
  readonly counts: RecordingCounts;
  readonly time: Timestamp;
}

export const FORMAT = 'recording.sallyport.dev/v1';

export interface RecordingCounts {
  readonly requests: number;
  readonly denied: number;
  readonly masked: number;
  readonly dropped: number;
}

/** Whose work a recording holds; the same in every one of its segments and in its manifest. */
export interface RecordingIdentity {
  /** metadata.name of the SessionRecording; also its folder in the store. */
  readonly name: string;
  /** The gateway's replica that writes it. */
  readonly replica: string;
  readonly user: { readonly username: string; readonly uid: string };
  readonly caller: RecordedCaller;
  readonly startTime: Timestamp;
}

/** What is known of a caller beyond `user`. Members that do not apply are left out. */
export interface RecordedCaller {
  readonly method: string;
  readonly issuer: string;
  readonly agent?: string | undefined;
  readonly onBehalfOf?: string | undefined;
  /** metadata.name of the AgentSession. */
  readonly agentSession?: string | undefined;
  /** The CI run that the token was given to. */
  readonly run?: string | undefined;
}

/** One stage of one request. */
export interface EventLine {
  readonly kind: 'Event';
  readonly level: Level;
  readonly auditID: string;
  /**
   * `RequestReceived` is kept before the forward, for writes, connects, approved requests and what streams;
   * `ResponseStarted` before the first byte of a long answer; `ResponseComplete` when all is over.
   */
  readonly stage: 'RequestReceived' | 'ResponseStarted' | 'ResponseComplete';
  readonly requestReceivedTimestamp: Timestamp;
  readonly stageTimestamp: Timestamp;
  readonly requestURI: string;
  readonly verb: string;
  readonly user: { readonly username: string; readonly uid?: string | undefined; readonly groups: readonly string[] };
  /** The name under which it was forwarded. */
  readonly impersonatedUser?: { readonly username: string; readonly groups: readonly string[] } | undefined;
  readonly caller: RecordedCaller;
  readonly sourceIPs: readonly string[];
  readonly userAgent?: string | undefined;
  readonly objectRef?: ObjectReference | undefined;
  readonly dryRun?: true | undefined;
  /** exec and attach. */
  readonly exec?: RecordedCommand | undefined;
  /** Ports of a port-forward: asked for at RequestReceived, opened at ResponseComplete. */
  readonly ports?: readonly number[] | undefined;
  readonly decision?: RecordedDecision | undefined;
  readonly approval?: RecordedApproval | undefined;
  /** From level Request. Once, in the request's first line. */
  readonly requestBody?: RecordedBody | undefined;
  readonly responseStatus?: RecordedStatus | undefined;
  /** From level RequestResponse, at ResponseComplete. Of what streams (watch, log, exec) the Frame lines hold it. */
  readonly responseBody?: RecordedBody | undefined;
  /** How often what was masked, by `rule/kind`; never a value. */
  readonly masked?: Readonly<Record<string, number>> | undefined;
  readonly bytes?: { readonly request: number; readonly response: number } | undefined;
  /** Milliseconds, of a clock that never jumps. */
  readonly durations?: RecordedDurations | undefined;
  readonly outcome?: RecordedOutcome | undefined;
  /** Why the gateway refused or broke off: a code of docs/errors.md. */
  readonly error?: { readonly code: string; readonly message: string } | undefined;
}

/**
 * `Unknown`: the gateway ended between RequestReceived and ResponseComplete; whether the API server carried it out
 * cannot be told from here.
 */
export type RecordedOutcome = 'Complete' | 'Refused' | 'Failed' | 'ClientLeft' | 'Ended' | 'Unknown';

export interface ObjectReference {
  readonly resource: string;
  readonly subresource?: string | undefined;
  readonly namespace?: string | undefined;
  readonly name?: string | undefined;
  readonly apiGroup?: string | undefined;
  readonly apiVersion: string;
}

export interface RecordedCommand {
  readonly command: readonly string[];
  readonly container: string;
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly tty: boolean;
}

export interface RecordedDecision {
  readonly action: 'Allow' | 'RequireApproval' | 'Deny';
  readonly policy?: string | undefined;
  readonly policyUID?: string | undefined;
  readonly policyGeneration?: number | undefined;
  readonly rule?: string | undefined;
  readonly reason?: string | undefined;
  /** What Warn and Audit policies would have decided. */
  readonly shadow?: readonly unknown[] | undefined;
}

/** Which ApprovalRequest let it through: who, when, why. */
export interface RecordedApproval {
  readonly namespace: string;
  readonly name: string;
  readonly decisions: readonly {
    readonly type: string;
    readonly username: string;
    readonly reason?: string | undefined;
    readonly time?: Timestamp | undefined;
  }[];
}

export interface RecordedStatus {
  readonly code: number;
  readonly status?: string | undefined;
  readonly reason?: string | undefined;
  readonly message?: string | undefined;
}

/** A body as it was, or its beginning and what is known of the whole. */
export interface RecordedBody {
  readonly contentType: string;
  /** Of the whole body, also where not all of it is kept. */
  readonly bytes: number;
  /** Hex, of the whole body as it passed, where not all of it is kept: what is kept the line's own hash covers. */
  readonly sha256?: string | undefined;
  /** Only the beginning is kept. */
  readonly truncated?: true | undefined;
  /** `base64` where the bytes are no UTF-8. */
  readonly encoding?: 'base64' | undefined;
  /** Left out where nothing of it is kept. */
  readonly data?: string | undefined;
}

export interface RecordedDurations {
  readonly total: number;
  readonly decision?: number | undefined;
  readonly approval?: number | undefined;
  readonly upstream?: number | undefined;
}

export type FrameChannel = 'stdin' | 'stdout' | 'stderr' | 'error' | 'resize' | 'log' | 'watch' | 'body';

/** A piece of a stream, as it passed (after masking). Pieces of one channel, joined, are the stream. */
export interface FrameLine {
  readonly kind: 'Frame';
  readonly auditID: string;
  readonly time: Timestamp;
  /** Milliseconds since the request was received, of a clock that never jumps. */
  readonly elapsed: number;
  readonly channel: FrameChannel;
  readonly encoding?: 'base64' | undefined;
  /** For `resize` the JSON that the client sent, e.g. `{"Width":80,"Height":24}`. */
  readonly data: string;
}

/** Lines that could not be kept (mode BestEffort), so that a loss is no silence. */
export interface GapLine {
  readonly kind: 'Gap';
  readonly time: Timestamp;
  readonly dropped: number;
  readonly reason: string;
}

/** The writer was gone and goes on. */
export interface ResumeLine {
  readonly kind: 'Resume';
  readonly time: Timestamp;
  /** Bytes of an unfinished last line, which nobody had been told was kept. */
  readonly truncatedBytes: number;
}

/** The last line of a recording that was ended in order. */
export interface EndLine {
  readonly kind: 'End';
  readonly time: Timestamp;
  readonly reason: 'Idle' | 'SessionEnded' | 'Stopped' | 'Full' | 'Cap';
}

/** The data of a body or frame: text where it is UTF-8, else base64. */
export function encodeData(bytes: Buffer, isText: boolean): { data: string; encoding?: 'base64' } {
  return isText ? { data: bytes.toString('utf8') } : { data: bytes.toString('base64'), encoding: 'base64' };
}

/** The bytes of a body or frame. */
export function decodeData(piece: {
  readonly data?: string | undefined;
  readonly encoding?: string | undefined;
}): Buffer {
  return Buffer.from(piece.data ?? '', piece.encoding === 'base64' ? 'base64' : 'utf8');
}
