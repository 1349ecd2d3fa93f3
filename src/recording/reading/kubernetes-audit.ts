import { decodeData, type EventLine, type RecordedBody } from '../line.ts';

/**
 * An event as `audit.k8s.io/v1` Event: what a log pipeline for Kubernetes' own audit log reads. What that kind has no place for
 * stands in annotations under `sallyport.dev/`.
 */
export function kubernetesAuditEvent(event: EventLine): Record<string, unknown> {
  const { user, caller, decision, approval, masked, outcome, error, exec, responseStatus, objectRef } = event;
  const annotations: Record<string, string> = {};
  const note = (name: string, value: string | undefined): void => {
    if (value !== undefined && value !== '') annotations[`sallyport.dev/${name}`] = value;
  };
  note('agent', caller.agent);
  note('on-behalf-of', caller.onBehalfOf);
  note('issuer', caller.issuer);
  note('authentication', caller.method);
  note('agent-session', caller.agentSession);
  note('run', caller.run);
  note('outcome', outcome);
  note('error-code', error?.code);
  if (decision !== undefined) {
    // Kubernetes' own names for what an authoriser said.
    annotations['authorization.k8s.io/decision'] = decision.action === 'Deny' ? 'forbid' : 'allow';
    note('decision', decision.action);
    note('policy', decision.policy);
    note('rule', decision.rule);
    note('reason', decision.reason);
  }
  if (approval !== undefined) note('approval', `${approval.namespace}/${approval.name}`);
  if (approval !== undefined) note('approvers', approval.decisions.map(({ username }) => username).join(','));
  if (masked !== undefined) note('masked', JSON.stringify(masked));
  if (exec !== undefined) note('command', JSON.stringify(exec.command));
  return {
    kind: 'Event',
    apiVersion: 'audit.k8s.io/v1',
    level: event.level,
    auditID: event.auditID,
    stage: event.stage,
    requestURI: event.requestURI,
    verb: event.verb,
    user: {
      username: user.username,
      ...(user.uid === undefined ? {} : { uid: user.uid }),
      groups: [...user.groups],
      ...(caller.agent === undefined ? {} : { extra: { 'sallyport.dev/agent': [caller.agent] } }),
    },
    ...(event.impersonatedUser === undefined
      ? {}
      : {
          impersonatedUser: { username: event.impersonatedUser.username, groups: [...event.impersonatedUser.groups] },
        }),
    sourceIPs: [...event.sourceIPs],
    ...(event.userAgent === undefined ? {} : { userAgent: event.userAgent }),
    ...(objectRef === undefined ? {} : { objectRef: { ...objectRef } }),
    ...(responseStatus === undefined ? {} : { responseStatus: { metadata: {}, ...responseStatus } }),
    ...objectMember('requestObject', event.requestBody),
    ...objectMember('responseObject', event.responseBody),
    requestReceivedTimestamp: micro(event.requestReceivedTimestamp),
    stageTimestamp: micro(event.stageTimestamp),
    ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
  };
}

/** metav1.MicroTime. */
function micro(time: string): string {
  return time.replace(/\.(\d{3})Z$/, '.$1000Z');
}

/** runtime.Unknown holds one JSON object; what is none, or was cut, is left out. */
function objectMember(name: string, body: RecordedBody | undefined): Record<string, unknown> {
  if (body?.data === undefined || body.truncated === true || !/\bjson\b/.test(body.contentType)) return {};
  try {
    const value: unknown = JSON.parse(decodeData(body).toString('utf8'));
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { [name]: value } : {};
  } catch {
    return {};
  }
}
