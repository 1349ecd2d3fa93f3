import { SallyportError } from '../errors.ts';
import type { Logger } from '../observe/log.ts';
import type { DecisionLabel, Metrics, StreamKind } from '../observe/metrics.ts';
import { resourceLabel } from '../observe/resource-label.ts';
import type { BeginTrace, RequestTrace } from '../observe/tracing.ts';
import type { RuleFault } from '../policy/decision.ts';
import type { Exchange } from './exchange.ts';
import type { Outcome } from './relay.ts';

const STREAM_KINDS: Readonly<Record<string, StreamKind>> = {
  exec: 'exec',
  attach: 'attach',
  portforward: 'portforward',
  proxy: 'proxy',
  log: 'log',
};

/** Counts and logs what became of each request; the one place that does. */
export class Observer {
  readonly #metrics: Metrics;
  readonly #log: Logger;
  readonly #onFault: (fault: RuleFault) => void;
  readonly #closeStream = new WeakMap<Exchange, () => void>();

  readonly #beginTrace: BeginTrace | undefined;

  /** @param onFault told of every expression that had no answer, for its policy's status */
  constructor(
    metrics: Metrics,
    log: Logger,
    onFault: (fault: RuleFault) => void = () => {},
    beginTrace?: BeginTrace | undefined,
  ) {
    this.#beginTrace = beginTrace;
    this.#onFault = onFault;
    this.#metrics = metrics;
    this.#log = log;
  }

  began(exchange: Exchange): void {
    this.#metrics.requestBegan();
    if (this.#beginTrace === undefined) return;
    const { traceparent } = exchange.request.headers;
    exchange.trace = this.#beginTrace(typeof traceparent === 'string' ? traceparent : undefined);
  }

  /** The exchange is known to be a long-lived one, and has been let through. */
  streaming(exchange: Exchange): void {
    const { operation } = exchange;
    const kind = operation?.verb === 'watch' ? 'watch' : STREAM_KINDS[operation?.subresource ?? ''];
    if (kind !== undefined) this.#closeStream.set(exchange, this.#metrics.streamOpened(kind));
  }

  /** Once for each exchange. */
  ended(exchange: Exchange, result: Outcome | SallyportError): void {
    const { operation, caller, decision, masking } = exchange;
    masking?.counts.report(this.#metrics);
    const restored = exchange.restoration?.restored ?? 0;
    if (restored > 0) this.#metrics.restoredValues.add(restored);
    const failed = result instanceof SallyportError;
    const duration = performance.now() - exchange.startedAt;
    const closeStream = this.#closeStream.get(exchange);
    closeStream?.();
    this.#metrics.requestEnded({
      verb: operation?.verb ?? '',
      resource: operation?.resource ?? '',
      subresource: operation?.subresource ?? '',
      decision: decisionLabel(exchange),
      status: result.status,
      longLived: closeStream !== undefined,
      total: duration / 1_000,
      decisionTime: exchange.decisionDuration === undefined ? undefined : exchange.decisionDuration / 1_000,
      upstreamTime: failed || result.upstreamDuration === 0 ? undefined : result.upstreamDuration / 1_000,
    });
    if (failed) this.#metrics.errors.inc(result.code);
    if (exchange.trace !== undefined) endTrace(exchange.trace, exchange, result);
    for (const fault of decision?.faults ?? []) {
      this.#metrics.policyEvaluationErrors.inc(decision!.action, 'condition');
      this.#onFault(fault);
    }
    const level = failed ? (result.status >= 500 ? 'error' : 'warn') : decision?.free ? 'debug' : 'info';
    if (!this.#log.isLevelEnabled(level)) return;
    this.#log[level](
      {
        requestID: exchange.id,
        sourceIP: exchange.sourceIP,
        ...(caller === undefined ? {} : { caller: callerFields(caller) }),
        ...(operation === undefined ? {} : { operation: operationFields(operation) }),
        ...(decision === undefined
          ? {}
          : { decision: { action: decision.action, policy: decision.policy, rule: decision.rule } }),
        ...(decision === undefined || decision.audit.length === 0 ? {} : { shadow: decision.audit }),
        ...(decision === undefined || decision.faults.length === 0 ? {} : { faults: decision.faults }),
        ...(restored === 0 ? {} : { restored }),
        ...(masking === undefined || masking.counts.size === 0 ? {} : { masked: masking.counts.list() }),
        status: result.status,
        milliseconds: Math.round(duration * 10) / 10,
        ...(failed ? failureFields(result) : { bytes: result.bytes, end: result.end }),
      },
      failed ? 'refused' : 'served',
    );
  }
}

/** As bounded as the metrics' labels; the request's id leads to its line in the log, which has the names. */
function endTrace(trace: RequestTrace, exchange: Exchange, result: Outcome | SallyportError): void {
  const { operation, decision, id, decisionDuration, caller } = exchange;
  const failed = result instanceof SallyportError;
  const resource = operation === undefined ? 'none' : resourceLabel(operation.resource, operation.subresource);
  const verb = operation?.verb ?? 'none';
  trace.end(
    `${verb} ${resource}`,
    {
      'http.response.status_code': result.status,
      'sallyport.request_id': id,
      'sallyport.verb': verb,
      'sallyport.resource': resource,
      'sallyport.decision': decisionLabel(exchange),
      ...(caller === undefined ? {} : { 'sallyport.method': caller.method }),
      ...(decision === undefined || decision.policy === ''
        ? {}
        : { 'sallyport.policy': decision.policy, 'sallyport.rule': decision.rule }),
      ...(decisionDuration === undefined ? {} : { 'sallyport.decision_ms': decisionDuration }),
      ...(failed ? { 'error.type': result.code } : { 'sallyport.upstream_ms': result.upstreamDuration }),
    },
    result.status >= 500,
  );
}

function decisionLabel(exchange: Exchange): DecisionLabel {
  const { decision } = exchange;
  if (decision === undefined) return 'Refused';
  return decision.free && decision.action === 'Allow' ? 'Free' : decision.action;
}

function callerFields(caller: NonNullable<Exchange['caller']>) {
  const { method, issuer, username, agent, onBehalfOf, session } = caller;
  return { method, issuer, username, agent, onBehalfOf, session };
}

function operationFields(operation: NonNullable<Exchange['operation']>) {
  const { verb, apiGroup, resource, subresource, namespace, name, path, exec, dryRun } = operation;
  if (!operation.isResource) return { verb, path };
  return {
    verb,
    apiGroup,
    resource: subresource === '' ? resource : `${resource}/${subresource}`,
    namespace,
    name,
    ...(dryRun ? { dryRun } : {}),
    ...(exec === undefined ? {} : { container: exec.container, argc: exec.command.length }),
  };
}

function failureFields(error: SallyportError) {
  const { cause } = error;
  return { code: error.code, reason: error.message, ...(cause === undefined ? {} : { error: cause }) };
}
