import { findMarkers } from '../../masking/marker.ts';
import { decodeData, type EventLine, type Line, type RecordedBody } from '../line.ts';
import { methodOf, typedForm } from '../reading/request-form.ts';

/** One recorded request, ready to be sent again. */
export interface Step {
  readonly auditID: string;
  /** As one would type it, for people. */
  readonly command: string;
  readonly method: string;
  /** Canonical path and query. */
  readonly target: string;
  /** It changes something, unless it is a dry run. */
  readonly writes: boolean;
  readonly contentType: string | undefined;
  readonly body: Buffer | undefined;
  readonly objectRef: EventLine['objectRef'];
  /** What was answered then. */
  readonly recorded: { readonly code: number; readonly body: RecordedBody | undefined };
}

/** One that is not sent again, and why. */
export interface SkippedStep {
  readonly auditID: string;
  readonly command: string;
  readonly skipped: string;
}

/** Writes for which an API server ignores `dryRun`, and acts. */
const IGNORES_DRY_RUN = new Set([
  'serviceaccounts/token',
  'pods/exec',
  'pods/attach',
  'pods/portforward',
  'pods/proxy',
  'services/proxy',
  'nodes/proxy',
]);
const STREAMS = new Set(['exec', 'attach', 'portforward', 'proxy']);

/** Placeholders and the values that stand for them. */
export type Values = Readonly<Record<string, string>>;

/**
 * The requests of a recording, in their order. What cannot be sent as it was is named with its reason: it was refused then, it is a
 * stream, its body was not kept whole, a placeholder in it has no value.
 * @param values from whom runs it again, never from the recording
 */
export async function* stepsOf(
  lines: AsyncIterable<Line>,
  values: Values,
  only: string | undefined,
): AsyncGenerator<Step | SkippedStep> {
  const first = new Map<string, EventLine>();
  for await (const line of lines) {
    if (line.kind !== 'Event' || (only !== undefined && line.auditID !== only)) continue;
    const begun = first.get(line.auditID);
    if (line.stage !== 'ResponseComplete') {
      if (begun === undefined) first.set(line.auditID, line);
      continue;
    }
    first.delete(line.auditID);
    yield line.outcome === 'Unknown'
      ? unknown(begun ?? line)
      : stepOf(line, begun?.requestBody ?? line.requestBody, values);
  }
  for (const line of first.values()) yield unknown(line);
}

function unknown(event: EventLine): SkippedStep {
  return {
    auditID: event.auditID,
    command: typedForm(event),
    skipped: 'its outcome is unknown: the gateway ended while it was under way',
  };
}

function stepOf(event: EventLine, requestBody: RecordedBody | undefined, values: Values): Step | SkippedStep {
  const { auditID, verb, objectRef, outcome } = event;
  const command = typedForm(event);
  const skip = (skipped: string): SkippedStep => ({ auditID, command, skipped });
  const method = methodOf(event);
  const reads = method === 'GET' || method === 'HEAD';
  const type = `${objectRef?.resource ?? ''}/${objectRef?.subresource ?? ''}`;
  if (outcome === 'Refused') return skip('it was refused then, and never reached the API server');
  if (STREAMS.has(objectRef?.subresource ?? '')) return skip('it is a stream into a pod');
  if (verb === 'watch' || /[?&]follow=(?!0|false)/.test(event.requestURI))
    return skip('it is a stream that does not end');
  if (!reads && IGNORES_DRY_RUN.has(type)) return skip('an API server does not know a dry run of it');
  if (/[?&]continue=/.test(event.requestURI))
    return skip('it is a later page of a list, which only the other cluster can continue');
  if (!reads && verb !== 'delete' && verb !== 'deletecollection' && requestBody === undefined) {
    return skip('its body was not recorded (level Metadata)');
  }
  if (
    requestBody?.truncated === true ||
    (requestBody !== undefined && requestBody.data === undefined && requestBody.bytes > 0)
  ) {
    return skip('its body was not kept whole');
  }
  if (requestBody !== undefined && !/json|yaml/.test(requestBody.contentType)) {
    return skip(
      `its body is ${requestBody.contentType || 'of no known type'}, in which identities cannot be put right`,
    );
  }
  const missing: string[] = [];
  const target = filled(withoutRevisions(event.requestURI), values, missing, encodeURIComponent);
  const text = requestBody === undefined ? undefined : decodeData(requestBody).toString('utf8');
  const body = text === undefined || text === '' ? undefined : filledBody(text, values, missing);
  // In whatever encoding: a placeholder that is cut or wrapped is none that a value could stand for.
  if (missing.length > 0 || [target, body ?? ''].some((each) => findMarkers(Buffer.from(each)).length > 0)) {
    const which = missing.length > 0 ? `: ${[...new Set(missing)].join(', ')}` : '';
    return skip(`what was masked stands in it, and there is no value for it${which}`);
  }
  return {
    auditID,
    command,
    method,
    target,
    writes: !reads,
    contentType: requestBody?.contentType,
    body: body === undefined ? undefined : Buffer.from(body),
    objectRef,
    recorded: { code: event.responseStatus?.code ?? 0, body: event.responseBody },
  };
}

/** Revisions of another cluster mean nothing here. */
function withoutRevisions(uri: string): string {
  const question = uri.indexOf('?');
  if (question === -1) return uri;
  const kept = uri
    .slice(question + 1)
    .split('&')
    .filter((pair) => !/^(?:resourceVersion|resourceVersionMatch|sendInitialEvents|allowWatchBookmarks)=/.test(pair));
  return kept.length === 0 ? uri.slice(0, question) : `${uri.slice(0, question)}?${kept.join('&')}`;
}

const PLACEHOLDER = /sallyport\.masked\.[a-z2-7]{26}/g;

function filled(text: string, values: Values, missing: string[], write: (value: string) => string): string {
  return text.replace(PLACEHOLDER, (placeholder) => {
    if (Object.hasOwn(values, placeholder)) return write(values[placeholder]!);
    missing.push(placeholder);
    return placeholder;
  });
}

/** In a JSON body a value is written as JSON writes it; inside base64 (the data of Secrets) the whole string is. */
function filledBody(text: string, values: Values, missing: string[]): string {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return filled(text, values, missing, (value) => JSON.stringify(value).slice(1, -1));
  }
  return JSON.stringify(parsed, (_name, value: unknown) => {
    if (typeof value !== 'string') return value;
    const decoded = /^[A-Za-z0-9+/]{40,}={0,2}$/.test(value) ? Buffer.from(value, 'base64').toString('utf8') : '';
    if (decoded.includes('sallyport.masked.')) {
      return Buffer.from(filled(decoded, values, missing, (each) => each)).toString('base64');
    }
    return filled(value, values, missing, (each) => each);
  });
}
