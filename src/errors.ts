/**
 * Every error that a client can see is declared here once: a stable code, the HTTP status, the Kubernetes
 * `Status` reason and what it means. `docs/errors.md` is checked against this table.
 */
export interface ErrorDeclaration {
  /** HTTP status code. */
  readonly status: number;
  /** metav1.StatusReason. */
  readonly reason: string;
  /** What it means and what to do, for docs/errors.md. */
  readonly meaning: string;
}

function declare<const T extends Record<string, ErrorDeclaration>>(table: T): T {
  return table;
}

export const ERRORS = declare({
  SP_NOT_AUTHENTICATED: {
    status: 401,
    reason: 'Unauthorized',
    meaning: 'The credential was missing or not accepted. The cause is in the gateway log under the request id.',
  },
  SP_CREDENTIAL_EXPIRED: {
    status: 401,
    reason: 'Unauthorized',
    meaning: 'The credential was valid and has expired: sign in again.',
  },
  SP_IDENTITY_UNAVAILABLE: {
    status: 503,
    reason: 'ServiceUnavailable',
    meaning:
      'Who calls could not be established, because the issuer of the credential or the API server does not answer. Nothing is forwarded; try again.',
  },
  SP_IDENTITY_HEADER: {
    status: 400,
    reason: 'BadRequest',
    meaning:
      'The request carried an impersonation or front-proxy header (or named one in Connection). It is refused, never stripped.',
  },
  SP_NOT_THROUGH_GATE: {
    status: 403,
    reason: 'Forbidden',
    meaning:
      'The API server was asked under a name or with an extra that only the gateway sets, without proof of having come through it. Use the gateway’s kubeconfig; if you did, compare the clocks of gateway and webhook.',
  },
  SP_BAD_REQUEST: {
    status: 400,
    reason: 'BadRequest',
    meaning: 'The request line, query, headers or body could not be understood unambiguously.',
  },
  SP_BODY_TOO_LARGE: {
    status: 413,
    reason: 'RequestEntityTooLarge',
    meaning: 'The body is over the limit (3 MiB, as the API server).',
  },
  SP_UNSUPPORTED_MEDIA_TYPE: {
    status: 415,
    reason: 'UnsupportedMediaType',
    meaning: 'The body is in an encoding that could not be read where a rule needs to read it.',
  },
  SP_POLICY_DENIED: {
    status: 403,
    reason: 'Forbidden',
    meaning: 'A policy rule denies this, or no rule allows it. The message names policy, rule and the next step.',
  },
  SP_NO_POLICY: {
    status: 403,
    reason: 'Forbidden',
    meaning: 'No Enforce policy names this caller. Everyone through the gate needs one.',
  },
  SP_BEDROCK: {
    status: 403,
    reason: 'Forbidden',
    meaning: 'Bedrock: no policy can open this (see docs/policies.md).',
  },
  SP_APPROVAL_REQUIRED: {
    status: 403,
    reason: 'Forbidden',
    meaning: 'A rule asks for a person’s approval before this exact request may run.',
  },
  SP_APPROVAL_DENIED: {
    status: 403,
    reason: 'Forbidden',
    meaning:
      'A person denied this exact request, or took the approval back. The message says who and why; Retry-After, when the same can be asked again.',
  },
  SP_APPROVAL_EXPIRED: {
    status: 403,
    reason: 'Forbidden',
    meaning:
      'The approval of this exact request was not given or not used in time, or is used up. Retry-After, where there is one, says when the same can be asked again.',
  },
  SP_APPROVAL_VOID: {
    status: 403,
    reason: 'Forbidden',
    meaning:
      'This exact request was approved, and what it would change is not what it was when the person saw it. Run it again to have it asked anew.',
  },
  SP_APPROVAL_LIMIT: {
    status: 403,
    reason: 'Forbidden',
    meaning:
      'This needs a person’s approval, and too many requests of this caller (or of all) wait for one already, so nobody was asked. Have those decided first.',
  },
  SP_APPROVAL_UNAVAILABLE: {
    status: 503,
    reason: 'ServiceUnavailable',
    meaning:
      'This needs a person’s approval, and what was approved cannot be known or written down just now. Nothing passes meanwhile; try again.',
  },
  SP_POLICY_ERROR: {
    status: 403,
    reason: 'Forbidden',
    meaning: 'A rule that could have stopped this request could not be evaluated (error or budget), so it is refused.',
  },
  SP_OBJECT_UNREADABLE: {
    status: 403,
    reason: 'Forbidden',
    meaning: 'A rule reads the object of this request, and it could not be known (no dry run possible).',
  },
  SP_TOO_MANY_REQUESTS: {
    status: 429,
    reason: 'TooManyRequests',
    meaning:
      'The caller is over one of its limits (rate, parallel requests, streams, bytes held). Retry-After says when.',
  },
  SP_POLICY_NOT_LOADED: {
    status: 503,
    reason: 'ServiceUnavailable',
    meaning: 'Policies are not loaded, or the watch on them is stale beyond its limit. Nothing passes meanwhile.',
  },
  SP_RECORDING_UNAVAILABLE: {
    status: 503,
    reason: 'ServiceUnavailable',
    meaning:
      'A policy demands that this is recorded, and the recording cannot be kept: its disk is full, slow or broken, the store does not take it, or this gateway records nothing (recording.enabled: false). In all but the last case try again; the operator sees why in the log and in sallyport_recording_* metrics.',
  },
  SP_RECORDING_READ_REFUSED: {
    status: 403,
    reason: 'Forbidden',
    meaning:
      'Recordings are read by people to whom RBAC gives "list" (all) or "get" (one) on sessionrecordings/content in the gateway’s namespace; never by an agent, nor by anyone whom an AgentPolicy speaks of.',
  },
  SP_RECORDING_NOT_FOUND: {
    status: 404,
    reason: 'NotFound',
    meaning: 'The store has no such recording, or no such file of it; or this gateway records nothing.',
  },
  SP_RECORDING_STORE_UNAVAILABLE: {
    status: 503,
    reason: 'ServiceUnavailable',
    meaning: 'The store of recordings does not answer, so none can be read now. Try again.',
  },
  SP_UPSTREAM_UNREACHABLE: {
    status: 502,
    reason: 'InternalError',
    meaning: 'The API server could not be reached, or answered with something that is not HTTP as expected.',
  },
  SP_MASKING_UNREADABLE: {
    status: 502,
    reason: 'InternalError',
    meaning: 'The API server’s answer could not be read where it has to be masked, so nothing more of it is passed on.',
  },
  SP_MASKING_NOT_LOADED: {
    status: 503,
    reason: 'ServiceUnavailable',
    meaning: 'Masking rules are not loaded, or the watch on them is stale beyond its limit. Nothing passes meanwhile.',
  },
  SP_MASKING_RULE_BROKEN: {
    status: 503,
    reason: 'ServiceUnavailable',
    meaning:
      'A MaskingRule that speaks of this caller and request does not compile, so nothing that it matches passes. The message names rule and place; an administrator has to mend it.',
  },
  SP_MASKING_NOT_ACCEPTABLE: {
    status: 406,
    reason: 'NotAcceptable',
    meaning:
      'The answer has to be masked and can be given in JSON only, which the client does not accept: send "Accept: application/json".',
  },
  SP_MASKING_PLACEHOLDER: {
    status: 422,
    reason: 'Invalid',
    meaning:
      'A placeholder of a masked value stands where it does not stand for the object’s current value, or the value would be seen there. The message names the path. Leave placeholders where they were read, or write a new value.',
  },
  SP_MASKING_SHOWN: {
    status: 422,
    reason: 'Invalid',
    meaning:
      'What is written would show a masked value where it is put (another name beside it, another text around it). The message names the path. It counts as a new value over a masked one: what is refused here tells of what the value looks like.',
  },
  SP_MASKING_PLACEHOLDER_UNREADABLE: {
    status: 415,
    reason: 'UnsupportedMediaType',
    meaning:
      'What is written may hold placeholders of masked values, and is in an encoding in which they cannot be put back (protobuf, CBOR, compressed). Send JSON; client-go does so by itself after CBOR.',
  },
  SP_MASKING_PROBE: {
    status: 403,
    reason: 'Forbidden',
    meaning:
      'The request asks about a value that is masked for this caller: a JSON Patch test, copy or move on its path, or a selector on it. The message names the path.',
  },
  SP_MASKING_LITERAL_DRY_RUN: {
    status: 403,
    reason: 'Forbidden',
    meaning:
      'A dry run would write a new value over a masked one, and its answer would tell whether the two are equal. Leave the placeholder there, or write without a dry run.',
  },
  SP_MASKING_LITERAL_LIMIT: {
    status: 429,
    reason: 'TooManyRequests',
    meaning:
      'New values were written over masked ones of this object as often as the configuration allows one caller in an hour (masking.literalWrites.perHour): each write tells whether the value was the same. The message says when the next may be.',
  },
  SP_MASKING_CHANGED: {
    status: 409,
    reason: 'Conflict',
    meaning:
      'The object changed between the read of the value that a placeholder stands for and the write. Nothing was written: read the object again, and apply the change to that.',
  },
  SP_MASKING_STREAM_REFUSED: {
    status: 403,
    reason: 'Forbidden',
    meaning:
      'A MaskingRule demands masking of a stream that cannot be masked (a port-forward, an upgraded proxy connection, a compressed archive), or refuses archives (kubectl cp). The message names the rule. Read single files with exec, or ask for an exemption.',
  },
  SP_UPSTREAM_REFUSED: {
    status: 422,
    reason: 'Invalid',
    meaning:
      'The API server refused the dry run by which the resulting object was to be known. Its own answer is passed on unchanged; this code stands in the log only.',
  },
  SP_UPSTREAM_TIMEOUT: {
    status: 504,
    reason: 'Timeout',
    meaning: 'The API server did not answer in time.',
  },
  SP_UPGRADE_REFUSED: {
    status: 400,
    reason: 'BadRequest',
    meaning: 'The upgrade is not one that this gateway understands (protocol, sub-protocol or path).',
  },
  SP_STREAM_ENDED: {
    status: 504,
    reason: 'Timeout',
    meaning:
      'The gateway ended a stream: it reached the longest life that the configuration allows one, or the masking rules about it have changed. Run the command again.',
  },
  SP_SHUTTING_DOWN: {
    status: 503,
    reason: 'ServiceUnavailable',
    meaning: 'This replica is stopping: try again, another one answers.',
  },
  SP_SESSION_REFUSED: {
    status: 403,
    reason: 'Forbidden',
    meaning: 'An agent session could not be made or used: unknown agent, too many sessions, revoked or frozen.',
  },
  SP_SESSIONS_NOT_LOADED: {
    status: 503,
    reason: 'ServiceUnavailable',
    meaning: 'Agent sessions and freezes are not loaded, or the watch on them is stale. Nothing passes meanwhile.',
  },
  SP_INTERNAL: {
    status: 500,
    reason: 'InternalError',
    meaning: 'A fault of the gateway. Nothing was forwarded unless the request was already on its way.',
  },
});

export type ErrorCode = keyof typeof ERRORS;

/** An error that becomes a `Status` for the client. `message` must hold no secret; `cause` goes to the log only. */
export class SallyportError extends Error {
  readonly code: ErrorCode;
  /** Seconds for the Retry-After header. */
  readonly retryAfter: number | undefined;
  readonly details: Readonly<Record<string, unknown>> | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    options: { cause?: unknown; retryAfter?: number; details?: Record<string, unknown> } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'SallyportError';
    this.code = code;
    this.retryAfter = options.retryAfter;
    this.details = options.details;
  }

  get status(): number {
    return ERRORS[this.code].status;
  }
}

/** metav1.Status, as kubectl and client libraries read it. */
export interface Status {
  readonly kind: 'Status';
  readonly apiVersion: 'v1';
  readonly metadata: Record<string, never>;
  readonly status: 'Failure';
  readonly message: string;
  readonly reason: string;
  readonly details: Readonly<Record<string, unknown>>;
  readonly code: number;
}

/**
 * The Status of an error: one line (kubectl shows only `message`, for exec only its first line), beginning with
 * the code and ending with the request id.
 */
export function toStatus(error: SallyportError, requestID: string): Status {
  const declaration = ERRORS[error.code];
  const line = escapeLine(`${error.code}: ${error.message} (request ${requestID})`);
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: line,
    reason: declaration.reason,
    details: {
      ...error.details,
      ...(error.retryAfter === undefined ? {} : { retryAfterSeconds: Math.ceil(error.retryAfter) }),
      causes: [{ reason: error.code, message: line }],
    },
    code: declaration.status,
  };
}

/**
 * What an agent or an object's author wrote is hostile to terminals: control characters, bidirectional overrides and
 * zero-width characters are written as `\u{…}`.
 */
export function escapeLine(text: string): string {
  return text.replace(
    // All that Unicode calls ignorable (zero-width, bidi, fillers, tags, variation selectors), and half pairs.
    /[\p{Cc}\p{Cs}\p{Default_Ignorable_Code_Point}\u2028\u2029\u202a-\u202e\ufff9-\ufffb]/gu,
    (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`,
  );
}
