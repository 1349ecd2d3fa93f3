import { ERRORS, type SallyportError } from '../../errors.ts';
import type { Caller } from '../../identity/caller.ts';
import type { Decision } from '../../policy/decision.ts';
import type {
  EventLine,
  ObjectReference,
  RecordedApproval,
  RecordedCaller,
  RecordedDecision,
  RecordedDurations,
  RecordedStatus,
} from '../../recording/line.ts';
import { isConnect, type Operation } from '../../request/operation.ts';
import type { Exchange } from '../exchange.ts';

/** What an event says of a request at any of its stages. */
export type RequestFields = Omit<EventLine, 'kind' | 'level' | 'auditID' | 'stage' | 'stageTimestamp'>;

const MOST_TEXT = 4_096;

/** The members of an event that are known before the forward. */
export function requestFields(exchange: Exchange, receivedAt: string): RequestFields {
  const { caller, operation, identity, decision, request, sourceIP } = exchange;
  const { path, query } = operation!;
  const userAgent = request.headers['user-agent'];
  return {
    requestReceivedTimestamp: receivedAt,
    requestURI: query === '' ? path : `${path}?${query}`,
    verb: operation!.verb,
    user: { username: caller!.username, ...(caller!.uid !== '' && { uid: caller!.uid }), groups: caller!.groups },
    ...(identity !== undefined && { impersonatedUser: { username: identity.username, groups: identity.groups } }),
    caller: callerFields(caller!),
    sourceIPs: [sourceIP],
    ...(userAgent !== undefined && { userAgent: userAgent.slice(0, MOST_TEXT) }),
    ...(operation!.isResource && { objectRef: objectReference(operation!) }),
    ...(operation!.dryRun && { dryRun: true }),
    ...(operation!.exec !== undefined && { exec: operation!.exec }),
    ...(operation!.portForward !== undefined && { ports: operation!.portForward.ports }),
    ...(decision !== undefined && { decision: decisionFields(decision) }),
    ...approvalField(exchange),
  };
}

export function callerFields(caller: Caller): RecordedCaller {
  const { method, issuer, agent, onBehalfOf, session, run } = caller;
  return {
    method,
    issuer,
    ...(agent !== undefined && { agent }),
    ...(onBehalfOf !== undefined && { onBehalfOf }),
    ...(session !== undefined && { agentSession: session }),
    ...(run !== undefined && { run }),
  };
}

function objectReference(operation: Operation): ObjectReference {
  const { resource, subresource, namespace, name, apiGroup, apiVersion } = operation;
  return {
    resource,
    ...(subresource !== '' && { subresource }),
    ...(namespace !== '' && { namespace }),
    ...(name !== '' && { name }),
    ...(apiGroup !== '' && { apiGroup }),
    apiVersion,
  };
}

function decisionFields(decision: Decision): RecordedDecision {
  const { action, policy, policyUID, policyGeneration, rule, reason, audit } = decision;
  return {
    action,
    ...(policy !== '' && { policy, policyUID, policyGeneration }),
    ...(rule !== '' && { rule }),
    ...(reason !== '' && { reason }),
    ...(audit.length > 0 && { shadow: audit }),
  };
}

function approvalField({ permit }: Exchange): { approval?: RecordedApproval } {
  if (permit === undefined) return {};
  const { metadata, status } = permit.request;
  const decisions = (status?.decisions ?? []).map(({ type, username, reason, time }) => {
    return { type, username, ...(reason !== undefined && { reason }), ...(time !== undefined && { time }) };
  });
  return { approval: { namespace: metadata?.namespace ?? '', name: metadata?.name ?? '', decisions } };
}

/** What a decision and the rest took, in milliseconds with two decimals. */
export function durations(exchange: Exchange, upstream: number | undefined): RecordedDurations {
  const { startedAt, decisionDuration, approvalDuration } = exchange;
  return {
    total: rounded(performance.now() - startedAt),
    ...(decisionDuration !== undefined && { decision: rounded(decisionDuration) }),
    ...(approvalDuration !== undefined && { approval: rounded(approvalDuration) }),
    ...(upstream !== undefined && upstream > 0 && { upstream: rounded(upstream) }),
  };
}

export function rounded(milliseconds: number): number {
  return Math.round(milliseconds * 100) / 100;
}

/** How often what was masked, by `rule/kind`. */
export function maskedField({ masking }: Exchange): { masked?: Readonly<Record<string, number>> } {
  if (masking === undefined || masking.counts.size === 0) return {};
  return {
    masked: Object.fromEntries(masking.counts.list().map(({ rule, kind, count }) => [`${rule}/${kind}`, count])),
  };
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
