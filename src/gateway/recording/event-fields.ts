import { ERRORS, type SallyportError } from '../../errors.ts';
import type { Caller } from '../../identity/caller.ts';
import type { UpstreamName } from '../../identity/upstream-name.ts';
import type { Decision } from '../../policy/decision.ts';
import type {
  EventLine,
  Level,
  ObjectReference,
  RecordedApproval,
  RecordedCaller,
  RecordedDecision,
  RecordedDurations,
  RecordedStatus,
  Timestamp,
} from '../../recording/line.ts';
import { isConnect, type Operation } from '../../request/operation.ts';
import type { Exchange } from '../exchange.ts';

const MOST_TEXT = 4_096;

/**
 * An event as it is known before the forward. What its stage adds has its place in it, undefined until then: a line's members stand in
 * this order, by which `recording verify` finds a stage without reading JSON.
 */
export function eventOf(exchange: Exchange, level: Level, receivedAt: Timestamp): EventLine {
  const { id, caller, operation, identity, decision, request, sourceIP } = exchange;
  const { path, query, verb, isResource, dryRun, exec, portForward } = operation!;
  return {
    kind: 'Event',
    level,
    auditID: id,
    stage: 'RequestReceived',
    stageTimestamp: receivedAt,
    requestReceivedTimestamp: receivedAt,
    requestURI: query === '' ? path : `${path}?${query}`,
    verb,
    user: userFields(caller!),
    impersonatedUser: identity === undefined ? undefined : impersonatedFields(identity),
    caller: callerFields(caller!),
    sourceIPs: [sourceIP],
    userAgent: request.headers['user-agent']?.slice(0, MOST_TEXT),
    objectRef: isResource ? objectReference(operation!) : undefined,
    dryRun: dryRun ? true : undefined,
    exec,
    ports: portForward?.ports,
    decision: decision === undefined ? undefined : decisionFields(decision),
    approval: approvalOf(exchange),
    requestBody: undefined,
    responseStatus: undefined,
    masked: undefined,
    bytes: undefined,
    durations: undefined,
    outcome: undefined,
    responseBody: undefined,
    error: undefined,
  };
}

/** Made once for each of what it is made from, which nobody changes. */
function remembered<From extends object, Made>(make: (from: From) => Made): (from: From) => Made {
  const known = new WeakMap<From, Made>();
  return (from) => {
    let made = known.get(from);
    if (made === undefined) {
      made = make(from);
      known.set(from, made);
    }
    return made;
  };
}

const userFields = remembered(({ username, uid, groups }: Caller): EventLine['user'] => ({
  username,
  ...(uid !== '' && { uid }),
  groups,
}));

const impersonatedFields = remembered(({ username, groups }: UpstreamName): EventLine['impersonatedUser'] => ({
  username,
  groups,
}));

export const callerFields = remembered(
  ({ method, issuer, agent, onBehalfOf, session, run }: Caller): RecordedCaller => ({
    method,
    issuer,
    ...(agent !== undefined && { agent }),
    ...(onBehalfOf !== undefined && { onBehalfOf }),
    ...(session !== undefined && { agentSession: session }),
    ...(run !== undefined && { run }),
  }),
);

function objectReference(operation: Operation): ObjectReference {
  const { resource, subresource, namespace, name, apiGroup, apiVersion } = operation;
  return {
    resource,
    subresource: unlessEmpty(subresource),
    namespace: unlessEmpty(namespace),
    name: unlessEmpty(name),
    apiGroup: unlessEmpty(apiGroup),
    apiVersion,
  };
}

const decisionFields = remembered((decision: Decision): RecordedDecision => {
  const { action, policy, policyUID, policyGeneration, rule, reason, audit } = decision;
  return {
    action,
    policy: unlessEmpty(policy),
    policyUID: policy === '' ? undefined : policyUID,
    policyGeneration: policy === '' ? undefined : policyGeneration,
    rule: unlessEmpty(rule),
    reason: unlessEmpty(reason),
    shadow: audit.length > 0 ? audit : undefined,
  };
});

const unlessEmpty = (text: string): string | undefined => (text === '' ? undefined : text);

function approvalOf({ permit }: Exchange): RecordedApproval | undefined {
  if (permit === undefined) return undefined;
  const { metadata, status } = permit.request;
  const decisions = (status?.decisions ?? []).map(({ type, username, reason, time }) => {
    return { type, username, ...(reason !== undefined && { reason }), ...(time !== undefined && { time }) };
  });
  return { namespace: metadata?.namespace ?? '', name: metadata?.name ?? '', decisions };
}

/** What a decision and the rest took, in milliseconds with two decimals. */
export function durations(exchange: Exchange, upstream: number | undefined): RecordedDurations {
  const { startedAt, decisionDuration, approvalDuration } = exchange;
  return {
    total: rounded(performance.now() - startedAt),
    decision: decisionDuration === undefined ? undefined : rounded(decisionDuration),
    approval: approvalDuration === undefined ? undefined : rounded(approvalDuration),
    upstream: upstream === undefined || upstream <= 0 ? undefined : rounded(upstream),
  };
}

export function rounded(milliseconds: number): number {
  return Math.round(milliseconds * 100) / 100;
}

/** How often what was masked, by `rule/kind`. */
export function maskedCounts({ masking }: Exchange): EventLine['masked'] {
  if (masking === undefined || masking.counts.size === 0) return undefined;
  return Object.fromEntries(masking.counts.list().map(({ rule, kind, count }) => [`${rule}/${kind}`, count]));
}

export function errorFields(error: SallyportError): {
  responseStatus: RecordedStatus;
  error: { code: string; message: string };
} {
  const message = error.message.slice(0, MOST_TEXT);
  return {
    responseStatus: { code: error.status, status: 'Failure', reason: ERRORS[error.code].reason, message },
    error: { code: error.code, message },
  };
}

/** Reads change nothing and may be asked again: their first event is their last one. */
export function isRead(operation: Operation): boolean {
  const { verb, method } = operation;
  if (isConnect(operation)) return false;
  return verb === 'get' || verb === 'list' || verb === 'watch' || method === 'GET' || method === 'HEAD';
}
