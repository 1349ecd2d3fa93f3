import type { EventLine } from '../line.ts';

/** Severity numbers of the OpenTelemetry log data model. */
const INFO = 9;
const WARN = 13;

/** One event as a LogRecord of OTLP/JSON. @param body the event in its format, as text */
export function otlpRecord(event: EventLine, body: string): string {
  const { user, caller, objectRef, decision, outcome, responseStatus } = event;
  const attributes: object[] = [];
  const add = (key: string, value: string | undefined): void => {
    if (value !== undefined && value !== '') attributes.push({ key, value: { stringValue: value } });
  };
  add('event.name', `sallyport.${event.stage}`);
  add('enduser.id', user.username);
  add('k8s.namespace.name', objectRef?.namespace);
  add('url.path', event.requestURI.split('?', 1)[0]);
  add('client.address', event.sourceIPs[0]);
  add('user_agent.original', event.userAgent);
  add('sallyport.verb', event.verb);
  add('sallyport.audit_id', event.auditID);
  add('sallyport.agent', caller.agent);
  add('sallyport.on_behalf_of', caller.onBehalfOf);
  add('sallyport.decision', decision?.action);
  add('sallyport.outcome', outcome);
  if (responseStatus !== undefined) {
    // 64-bit integers are text in OTLP's JSON.
    attributes.push({ key: 'http.response.status_code', value: { intValue: String(responseStatus.code) } });
  }
  const bad = outcome === 'Refused' || outcome === 'Failed' || decision?.action === 'Deny';
  return JSON.stringify({
    timeUnixNano: nanoseconds(event.stageTimestamp),
    observedTimeUnixNano: nanoseconds(event.stageTimestamp),
    severityNumber: bad ? WARN : INFO,
    severityText: bad ? 'WARN' : 'INFO',
    body: { stringValue: body },
    attributes,
  });
}

/** The request of the OTLP logs service, `/v1/logs`. */
export function otlpBody(records: readonly string[], version: string): string {
  const resource = {
    attributes: [
      { key: 'service.name', value: { stringValue: 'sallyport' } },
      { key: 'service.version', value: { stringValue: version } },
    ],
  };
  const scope = JSON.stringify({ name: 'sallyport/recording', version });
  return `{"resourceLogs":[{"resource":${JSON.stringify(resource)},"scopeLogs":[{"scope":${scope},"logRecords":[${records.join(',')}]}]}]}`;
}

/** What a receiver says that it did not take, although it answered 200. */
export function rejectedRecords(answer: string): number {
  try {
    const { partialSuccess } = JSON.parse(answer) as { partialSuccess?: { rejectedLogRecords?: unknown } };
    return Number(partialSuccess?.rejectedLogRecords ?? 0) || 0;
  } catch {
    return 0;
  }
}

function nanoseconds(time: string): string {
  const milliseconds = Date.parse(time);
  return Number.isFinite(milliseconds) ? `${milliseconds}000000` : '0';
}
