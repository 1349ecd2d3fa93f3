import { put, putNumber, putRemembered, putText, putValue } from './json-bytes.ts';
import type { EventLine, ObjectReference, RecordedBody, RecordedDurations, RecordedStatus } from './line.ts';

/** Pieces of JSON that are always the same: copied, where characters of a string would be read one by one. */
const piece = (json: string): Buffer => Buffer.from(json, 'latin1');

const KIND = piece('"kind":"Event","level":');
const AUDIT_ID = piece(',"auditID":');
const STAGE = piece(',"stage":');
const STAGE_TIMESTAMP = piece(',"stageTimestamp":');
const REQUEST_RECEIVED_TIMESTAMP = piece(',"requestReceivedTimestamp":');
const REQUEST_URI = piece(',"requestURI":');
const VERB = piece(',"verb":');
const USER = piece(',"user":');
const IMPERSONATED_USER = piece(',"impersonatedUser":');
const CALLER = piece(',"caller":');
const SOURCE_IPS = piece(',"sourceIPs":[');
const USER_AGENT = piece(',"userAgent":');
const OBJECT_REF = piece(',"objectRef":{"resource":');
const SUBRESOURCE = piece(',"subresource":');
const NAMESPACE = piece(',"namespace":');
const NAME = piece(',"name":');
const API_GROUP = piece(',"apiGroup":');
const API_VERSION = piece(',"apiVersion":');
const DRY_RUN = piece(',"dryRun":true');
const EXEC = piece(',"exec":');
const PORTS = piece(',"ports":');
const DECISION = piece(',"decision":');
const APPROVAL = piece(',"approval":');
const REQUEST_BODY = piece(',"requestBody":{"contentType":');
const RESPONSE_BODY = piece(',"responseBody":{"contentType":');
const BODY_BYTES = piece(',"bytes":');
const SHA256 = piece(',"sha256":');
const TRUNCATED = piece(',"truncated":true');
const DATA = piece(',"data":');
const ENCODING = piece(',"encoding":');
const RESPONSE_STATUS = piece(',"responseStatus":{"code":');
const STATUS = piece(',"status":');
const REASON = piece(',"reason":');
const MESSAGE = piece(',"message":');
const MASKED = piece(',"masked":');
const BYTES = piece(',"bytes":{"request":');
const RESPONSE = piece(',"response":');
const DURATIONS = piece(',"durations":{"total":');
const UPSTREAM = piece(',"upstream":');
const OUTCOME = piece(',"outcome":');
const ERROR = piece(',"error":');
const COMMA = piece(',');
const BRACKET = piece(']');
const BRACE = piece('}');

/**
 * An event's members as `JSON.stringify` writes them, without the braces, straight into the bytes that are hashed and written: no object's
 * shape is looked up, and no string is made, to be measured and copied.
 * @param at where in `out` they begin
 * @returns where they end; undefined where there is no room for them
 */
export function writeEvent(out: Buffer, at: number, event: EventLine): number | undefined {
  let to = member(out, at, KIND, event.level);
  to = member(out, to, AUDIT_ID, event.auditID);
  to = member(out, to, STAGE, event.stage);
  to = member(out, to, STAGE_TIMESTAMP, event.stageTimestamp);
  to = member(out, to, REQUEST_RECEIVED_TIMESTAMP, event.requestReceivedTimestamp);
  to = member(out, to, REQUEST_URI, event.requestURI);
  to = member(out, to, VERB, event.verb);
  to = remembered(out, to, USER, event.user);
  to = remembered(out, to, IMPERSONATED_USER, event.impersonatedUser);
  to = remembered(out, to, CALLER, event.caller);
  to = texts(out, put(out, to, SOURCE_IPS), event.sourceIPs);
  to = member(out, to, USER_AGENT, event.userAgent);
  if (event.objectRef !== undefined) to = objectRef(out, to, event.objectRef);
  if (event.dryRun === true) to = put(out, to, DRY_RUN);
  to = other(out, to, EXEC, event.exec);
  to = other(out, to, PORTS, event.ports);
  to = remembered(out, to, DECISION, event.decision);
  to = other(out, to, APPROVAL, event.approval);
  if (event.requestBody !== undefined) to = body(out, put(out, to, REQUEST_BODY), event.requestBody);
  if (event.responseStatus !== undefined) to = status(out, to, event.responseStatus);
  to = other(out, to, MASKED, event.masked);
  if (event.bytes !== undefined) {
    to = amount(out, to, BYTES, event.bytes.request);
    to = put(out, amount(out, to, RESPONSE, event.bytes.response), BRACE);
  }
  if (event.durations !== undefined) to = durations(out, to, event.durations);
  to = member(out, to, OUTCOME, event.outcome);
  if (event.responseBody !== undefined) to = body(out, put(out, to, RESPONSE_BODY), event.responseBody);
  to = other(out, to, ERROR, event.error);
  return to > out.length ? undefined : to;
}

function objectRef(out: Buffer, at: number, reference: ObjectReference): number {
  let to = member(out, at, OBJECT_REF, reference.resource);
  to = member(out, to, SUBRESOURCE, reference.subresource);
  to = member(out, to, NAMESPACE, reference.namespace);
  to = member(out, to, NAME, reference.name);
  to = member(out, to, API_GROUP, reference.apiGroup);
  return put(out, member(out, to, API_VERSION, reference.apiVersion), BRACE);
}

function body(out: Buffer, at: number, recorded: RecordedBody): number {
  let to = putText(out, at, recorded.contentType);
  to = amount(out, to, BODY_BYTES, recorded.bytes);
  to = member(out, to, SHA256, recorded.sha256);
  if (recorded.truncated === true) to = put(out, to, TRUNCATED);
  to = member(out, to, DATA, recorded.data);
  return put(out, member(out, to, ENCODING, recorded.encoding), BRACE);
}

function status(out: Buffer, at: number, answered: RecordedStatus): number {
  let to = amount(out, at, RESPONSE_STATUS, answered.code);
  to = member(out, to, STATUS, answered.status);
  to = member(out, to, REASON, answered.reason);
  return put(out, member(out, to, MESSAGE, answered.message), BRACE);
}

function durations(out: Buffer, at: number, taken: RecordedDurations): number {
  let to = amount(out, at, DURATIONS, taken.total);
  to = amount(out, to, DECISION, taken.decision);
  to = amount(out, to, APPROVAL, taken.approval);
  return put(out, amount(out, to, UPSTREAM, taken.upstream), BRACE);
}

function texts(out: Buffer, at: number, values: readonly string[]): number {
  let to = at;
  for (let index = 0; index < values.length; index += 1) {
    if (index > 0) to = put(out, to, COMMA);
    to = putText(out, to, values[index]!);
  }
  return put(out, to, BRACKET);
}

function member(out: Buffer, at: number, name: Buffer, value: string | undefined): number {
  return value === undefined ? at : putText(out, put(out, at, name), value);
}

function amount(out: Buffer, at: number, name: Buffer, value: number | undefined): number {
  return value === undefined ? at : putNumber(out, put(out, at, name), value);
}

function remembered(out: Buffer, at: number, name: Buffer, value: object | undefined): number {
  return value === undefined ? at : putRemembered(out, put(out, at, name), value);
}

function other(out: Buffer, at: number, name: Buffer, value: object | undefined): number {
  return value === undefined ? at : putValue(out, put(out, at, name), value);
}
