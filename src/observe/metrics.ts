import { collectDefaultMetrics, Registry } from 'prom-client';
import { resourceLabel } from './resource-label.ts';
import { Counter, Gauge, Histogram } from './series.ts';

/** How a request was decided, for metrics; Refused: it never came to a decision. */
export type DecisionLabel = 'Allow' | 'RequireApproval' | 'Deny' | 'Free' | 'Refused';
export type AuthenticationMethod = 'OIDC' | 'TokenReview' | 'ClientCertificate' | 'AgentSession' | 'None';
export type AuthenticationResult = 'accepted' | 'expired' | 'rejected' | 'unavailable';
export type StreamKind = 'exec' | 'attach' | 'portforward' | 'proxy' | 'watch' | 'log';

/** What is measured of one request when it has ended. Times in seconds; undefined where it did not get that far. */
export interface MeasuredRequest {
  /** Kubernetes verb; '' where the request could not be described. */
  readonly verb: string;
  readonly resource: string;
  readonly subresource: string;
  readonly decision: DecisionLabel;
  /** HTTP status that the client saw. */
  readonly status: number;
  /** Long-lived (watch, followed log, upgrade): its length says nothing of speed and stays out of the histograms. */
  readonly longLived: boolean;
  readonly total: number;
  readonly decisionTime: number | undefined;
  readonly upstreamTime: number | undefined;
}

const VERBS = new Set('get list watch create update patch delete deletecollection head post put options'.split(' '));
const CODES = new Map(
  [
    101, 200, 201, 202, 204, 206, 301, 302, 304, 307, 308, 400, 401, 403, 404, 405, 406, 409, 410, 411, 413, 415, 422,
    429,
  ]
    .concat([431, 500, 501, 502, 503, 504])
    .map((code) => [code, String(code)]),
);
const TIMES = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const DECISION_TIMES = [0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5];

const WAITS = [1, 5, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 14_400, 86_400];

/** Every metric of the process, defined once; docs/metrics.md lists them. Labels take bounded sets of values only. */
export class Metrics {
  readonly registry = new Registry();
  readonly requests = this.#counter('requests_total', 'Requests that ended.', 'verb', 'resource', 'decision', 'code');
  readonly requestDuration = this.#histogram(
    'request_duration_seconds',
    'From the first byte of a request to the last of its answer; long-lived ones left out.',
    TIMES,
    'verb',
  );
  readonly decisionDuration = this.#histogram(
    'decision_duration_seconds',
    'Deciding on a request, without waiting for people.',
    DECISION_TIMES,
  );
  readonly upstreamDuration = this.#histogram(
    'upstream_duration_seconds',
    'From the forward to the first byte of the API server’s answer.',
    TIMES,
    'verb',
  );
  readonly inFlight = this.#gauge('requests_in_flight', 'Requests under way, streams among them.');
  readonly errors = this.#counter(
    'errors_total',
    'Errors answered by the gateway itself, by their code (docs/errors.md).',
    'code',
  );
  readonly streams = this.#gauge('streams', 'Long-lived streams that are open.', 'kind');
  readonly streamsOpened = this.#counter('streams_opened_total', 'Long-lived streams that were opened.', 'kind');
  readonly streamBytes = this.#counter('stream_bytes_total', 'Bytes passed in streams.', 'kind', 'direction');
  readonly authentications = this.#counter('authentications_total', 'Credentials looked at.', 'method', 'result');
  readonly tokenCache = this.#counter('token_cache_total', 'Look-ups of verified credentials.', 'method', 'result');
  readonly policies = this.#gauge('policies', 'Policies in force.', 'enforcement');
  readonly policyCompileErrors = this.#gauge(
    'policy_compile_errors',
    'Rules that do not compile; they refuse what they could have stopped.',
  );
  readonly policyLoads = this.#counter('policy_loads_total', 'Times the set of policies in force was replaced.');
  readonly policyEvaluationErrors = this.#counter(
    'policy_evaluation_errors_total',
    'Expressions that had no answer.',
    'action',
    'kind',
  );
  readonly maskingRules = this.#gauge('masking_rules', 'Masking rules in force.');
  readonly maskingRulesBroken = this.#gauge(
    'masking_rules_broken',
    'Masking rules that do not compile; what they match is refused.',
  );
  readonly maskedValues = this.#counter(
    'masked_values_total',
    'Values that were masked in answers and streams.',
    'rule',
    'kind',
  );
  readonly restoredValues = this.#counter(
    'restored_values_total',
    'Texts in writes whose placeholders were replaced by what they stand for.',
  );
  readonly auditByDefault = this.#gauge(
    'default_enforcement_audit',
    '1 while the configuration lets everything pass that bedrock does not stop (defaultEnforcement: Audit).',
  );
  readonly watchAge = this.#gauge(
    'watch_age_seconds',
    'Time since what a watch holds was last proved fresh.',
    'informer',
  );
  readonly watchSynced = this.#gauge('watch_synced', '1 once a whole list was taken in.', 'informer');
  readonly watchObjects = this.#gauge('watch_objects', 'Objects held.', 'informer');
  readonly watchFailures = this.#counter(
    'watch_failures_total',
    'Lists and watches that failed and were begun anew.',
    'informer',
  );
  readonly ownRequests = this.#counter(
    'own_requests_total',
    'Requests to the API server in the gateway’s own name.',
    'verb',
    'resource',
    'code',
  );
  readonly certificateExpiry = this.#gauge(
    'certificate_expiry_timestamp_seconds',
    'When a certificate ends, in Unix seconds: the ones that serve, and on the leading controller the own authority.',
    'certificate',
  );
  readonly policiesBypassable = this.#gauge(
    'policies_bypassable',
    'Policies with a subject that could do something at the API server that the gateway would not see (BypassPossible); on the leading controller.',
  );
  readonly leader = this.#gauge('controller_leader', '1 while this replica is the one that runs the controller.');
  readonly guardStands = this.#gauge(
    'approval_guard',
    '1 while the guard of crds/guards.yaml is found in the API server, looked for while decisions are taken in or used; without it none is.',
  );
  readonly approvalDecisions = this.#counter(
    'approval_decisions_total',
    'Words of approvers, by what became of them.',
    'type',
  );
  readonly approvalDecisionTime = this.#histogram(
    'approval_decision_seconds',
    'From the request for approval to a person’s word.',
    WAITS,
  );
  readonly approvalsEnded = this.#counter(
    'approvals_ended_total',
    'Approvals that ended without being used up.',
    'reason',
  );
  readonly approvals = this.#counter(
    'approvals_total',
    'Steps in the life of approvals that this gateway took.',
    'step',
  );
  readonly approvalsPending = this.#gauge('approvals_pending', 'Approval requests that wait for a person.');
  readonly approvalHolds = this.#gauge('approval_holds', 'Connections that wait for a person.');
  readonly approvalWait = this.#histogram(
    'approval_wait_seconds',
    'How long connections waited for a person, decided or not.',
    WAITS,
  );
  readonly admissionReviews = this.#counter('admission_reviews_total', 'Reviews that the API server sent.', 'result');
  readonly admissionDuration = this.#histogram(
    'admission_review_duration_seconds',
    'From the last byte of a review to its answer.',
    TIMES,
  );
  readonly recordingLines = this.#counter('recording_lines_total', 'Lines kept in the spool.');
  readonly recordingBytes = this.#counter('recording_bytes_total', 'Bytes of lines kept in the spool.');
  readonly recordingCommitDuration = this.#histogram(
    'recording_commit_duration_seconds',
    'One group of lines written to the spool (and to its disk, where that is asked for).',
    TIMES,
  );
  readonly recordingFailures = this.#counter(
    'recording_failures_total',
    'Groups of lines that could not be kept.',
    'fault',
  );
  readonly recordingRefused = this.#counter(
    'recording_refused_total',
    'Requests and streams that were refused or cut because they could not be recorded (mode Strict).',
  );
  readonly recordingDropped = this.#counter(
    'recording_dropped_total',
    'Lines that could not be kept and let pass (mode BestEffort).',
  );
  readonly recordingCorrupt = this.#counter(
    'recording_corrupt_total',
    'Recordings that were found in the spool not as they were written, and put aside.',
  );
  readonly recordingSpoolBytes = this.#gauge('recording_spool_bytes', 'Bytes of lines in the spool.');
  readonly recordingSpoolLimit = this.#gauge('recording_spool_limit_bytes', 'Bytes of lines that the spool may hold.');
  readonly recordingsOpen = this.#gauge('recordings_open', 'Recordings of this replica that are open.');
  readonly recordingsSealed = this.#counter('recordings_sealed_total', 'Recordings that were sealed.', 'state');
  readonly recordingShippedBytes = this.#counter('recording_shipped_bytes_total', 'Bytes that the store took, packed.');
  readonly recordingUnshippedBytes = this.#gauge(
    'recording_unshipped_bytes',
    'Bytes of lines in the spool that the store does not have.',
  );
  readonly recordingStoreFailing = this.#gauge(
    'recording_store_failing_seconds',
    'For how long the store has taken nothing that was sent to it; 0 while it does.',
  );
  readonly recordingStoreRequests = this.#counter(
    'recording_store_requests_total',
    'Requests to an S3 store.',
    'operation',
    'code',
  );
  readonly siemEvents = this.#counter(
    'siem_events_total',
    'Events for receivers outside: delivered, dropped because their queue was full or its disk did not take them, or refused by the receiver.',
    'stream',
    'result',
  );
  readonly siemFailures = this.#counter(
    'siem_failures_total',
    'Batches that a receiver did not take; tried again.',
    'stream',
  );
  readonly siemQueueBytes = this.#gauge('siem_queue_bytes', 'Bytes of events that wait for a receiver.', 'stream');
  readonly siemBehind = this.#gauge(
    'siem_behind_seconds',
    'Time since a receiver last had everything; 0 while it has.',
    'stream',
  );
  readonly recordingEnabled = this.#gauge(
    'recording_enabled',
    '1; 0 where the configuration turns recording off (recording.enabled: false).',
  );
  readonly notifications = this.#counter(
    'notifications_total',
    'Messages to people about requests that wait, by what became of each try.',
    'channel',
    'result',
  );
  readonly notificationsWaiting = this.#gauge(
    'notifications_waiting',
    'Messages that a channel has not taken yet.',
    'channel',
  );
  readonly limitsHit = this.#counter('limits_hit_total', 'Requests refused by a limit of their caller.', 'limit');
  readonly logLinesDropped = this.#counter('log_lines_dropped_total', 'Log lines dropped because nobody read the log.');
  readonly buildInfo = this.#gauge('build_info', 'Always 1; version of the gateway and of Node.js.', 'version', 'node');
  #flying = 0;
  readonly #beforeScrape: (() => void)[] = [];

  constructor(version: string) {
    this.buildInfo.set(1, version, process.version);
    this.auditByDefault.set(0);
    this.inFlight.set(0);
    collectDefaultMetrics({ register: this.registry });
  }

  requestBegan(): void {
    this.#flying += 1;
  }

  /** Once for each `requestBegan`. */
  requestEnded(request: MeasuredRequest): void {
    this.#flying -= 1;
    const verb = VERBS.has(request.verb) ? request.verb : 'other';
    const resource = resourceLabel(request.resource, request.subresource);
    this.requests.inc4(verb, resource, request.decision, CODES.get(request.status) ?? 'other');
    if (request.decisionTime !== undefined) this.decisionDuration.observe(request.decisionTime);
    if (request.upstreamTime !== undefined) this.upstreamDuration.observe(request.upstreamTime, verb);
    if (!request.longLived) this.requestDuration.observe(request.total, verb);
  }

  /** @param seconds of one group of lines */
  recordingCommitted(lines: number, bytes: number, seconds: number): void {
    this.recordingLines.add(lines);
    this.recordingBytes.add(bytes);
    this.recordingCommitDuration.observe(seconds);
  }

  /** @param rule of a MaskingRule, or of the defaults @param kind of what was recognised, or `field` */
  masked(rule: string, kind: string, count: number): void {
    this.maskedValues.add(count, rule, kind);
  }

  /** @returns to be called once when the stream has ended. */
  streamOpened(kind: StreamKind): () => void {
    this.streamsOpened.inc(kind);
    this.streams.add(1, kind);
    let open = true;
    return () => {
      if (open) this.streams.add(-1, kind);
      open = false;
    };
  }

  /** Sets gauges that are only worked out when someone looks. */
  beforeScrape(set: () => void): void {
    this.#beforeScrape.push(set);
  }

  /** The text exposition format, version 0.0.4. */
  async text(): Promise<string> {
    this.inFlight.set(this.#flying);
    for (const set of this.#beforeScrape) set();
    return await this.registry.metrics();
  }

  #counter(name: string, help: string, ...labels: string[]): Counter {
    return new Counter(this.registry, `sallyport_${name}`, help, labels);
  }

  #gauge(name: string, help: string, ...labels: string[]): Gauge {
    return new Gauge(this.registry, `sallyport_${name}`, help, labels);
  }

  #histogram(name: string, help: string, bounds: readonly number[], ...labels: string[]): Histogram {
    return new Histogram(this.registry, `sallyport_${name}`, help, labels, bounds);
  }
}
