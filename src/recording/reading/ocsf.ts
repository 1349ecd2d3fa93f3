import type { EventLine } from '../line.ts';
import { methodOf } from './request-form.ts';

/** The version of the Open Cybersecurity Schema Framework that is written. */
export const OCSF_VERSION = '1.5.0';
const API_ACTIVITY = 6003;

const ACTIVITIES: Readonly<Record<string, number>> = {
  create: 1,
  get: 2,
  list: 2,
  watch: 2,
  head: 2,
  update: 3,
  patch: 3,
  delete: 4,
  deletecollection: 4,
};
/** Of which the schema knows: PATCH is none of them. */
const HTTP_METHODS = new Set(['OPTIONS', 'GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'TRACE', 'CONNECT']);
const ACTIVITY_NAMES = ['Unknown', 'Create', 'Read', 'Update', 'Delete'];

/** An event as OCSF API Activity (class 6003). */
export function ocsfEvent(event: EventLine, product: { readonly version: string }): Record<string, unknown> {
  const { user, caller, decision, approval, objectRef, responseStatus, outcome, error, exec, masked } = event;
  // exec, attach and port-forward are neither read nor written; whatever else has a verb of its own, too.
  const connects = ['exec', 'attach', 'portforward', 'proxy'].includes(objectRef?.subresource ?? '');
  const activity = connects ? 99 : event.verb === '' ? 0 : (ACTIVITIES[event.verb] ?? 99);
  const method = methodOf(event);
  const time = Date.parse(event.stageTimestamp);
  const [ip] = event.sourceIPs;
  const failed = outcome === 'Refused' || outcome === 'Failed' || (responseStatus?.code ?? 0) >= 400;
  const [statusID, status] =
    event.stage !== 'ResponseComplete' || outcome === 'Unknown'
      ? [0, 'Unknown']
      : failed
        ? [2, 'Failure']
        : [1, 'Success'];
  const severity =
    decision?.action === 'Deny' ? [3, 'Medium'] : approval !== undefined ? [2, 'Low'] : [1, 'Informational'];
  return {
    activity_id: activity,
    activity_name: ACTIVITY_NAMES[activity] ?? event.verb,
    category_uid: 6,
    category_name: 'Application Activity',
    class_uid: API_ACTIVITY,
    class_name: 'API Activity',
    type_uid: API_ACTIVITY * 100 + activity,
    type_name: `API Activity: ${ACTIVITY_NAMES[activity] ?? 'Other'}`,
    severity_id: severity[0],
    severity: severity[1],
    status_id: statusID,
    status,
    ...(responseStatus === undefined ? {} : { status_code: String(responseStatus.code) }),
    ...(error === undefined ? {} : { status_detail: `${error.code}: ${error.message}` }),
    time,
    ...(event.durations === undefined ? {} : { duration: Math.round(event.durations.total) }),
    message: event.verb === '' ? 'outcome unknown' : `${event.verb} ${event.requestURI}`,
    metadata: {
      version: OCSF_VERSION,
      product: { name: 'Sallyport', vendor_name: 'Sallyport', version: product.version },
      uid: `${event.auditID}/${event.stage}`,
      correlation_uid: event.auditID,
      original_time: event.stageTimestamp,
      log_name: 'recording',
    },
    actor: {
      user: {
        name: user.username,
        ...(user.uid === undefined ? {} : { uid: user.uid }),
        groups: user.groups.map((name) => ({ name })),
        type_id: 1,
        type: 'User',
      },
      ...(caller.agent === undefined ? {} : { app_name: caller.agent }),
      ...(caller.agentSession === undefined ? {} : { session: { uid: caller.agentSession, issuer: caller.issuer } }),
      idp: { name: caller.issuer },
      ...(decision === undefined
        ? {}
        : { authorizations: [{ decision: decision.action, policy: policyOf(decision) }] }),
    },
    api: {
      operation: event.verb === '' ? 'unknown' : event.verb,
      ...(objectRef === undefined
        ? {}
        : { version: objectRef.apiVersion, group: { name: objectRef.apiGroup || 'core' } }),
      request: { uid: event.auditID },
      ...(responseStatus === undefined ? {} : { response: { code: responseStatus.code } }),
      service: { name: 'kubernetes' },
    },
    src_endpoint: { ip: ip ?? '0.0.0.0' },
    http_request: {
      ...(HTTP_METHODS.has(method) ? { http_method: method } : {}),
      url: { path: event.requestURI.split('?', 1)[0], query_string: event.requestURI.split('?').slice(1).join('?') },
      ...(event.userAgent === undefined ? {} : { user_agent: event.userAgent }),
      ...(event.bytes === undefined ? {} : { length: event.bytes.request }),
      uid: event.auditID,
    },
    ...(responseStatus === undefined ? {} : { http_response: { code: responseStatus.code } }),
    ...(objectRef === undefined
      ? {}
      : {
          resources: [
            {
              name: objectRef.name ?? '',
              type:
                objectRef.subresource === undefined
                  ? objectRef.resource
                  : `${objectRef.resource}/${objectRef.subresource}`,
              ...(objectRef.namespace === undefined ? {} : { namespace: objectRef.namespace }),
            },
          ],
        }),
    unmapped: {
      stage: event.stage,
      level: event.level,
      ...(method === '' || HTTP_METHODS.has(method) ? {} : { http_method: method }),
      ...(outcome === undefined ? {} : { outcome }),
      ...(caller.onBehalfOf === undefined ? {} : { on_behalf_of: caller.onBehalfOf }),
      ...(caller.run === undefined ? {} : { run: caller.run }),
      ...(exec === undefined ? {} : { command: [...exec.command] }),
      ...(approval === undefined ? {} : { approval }),
      ...(masked === undefined ? {} : { masked }),
    },
  };
}

function policyOf({ policy, policyUID, rule }: NonNullable<EventLine['decision']>): Record<string, unknown> {
  return {
    name: policy ?? '',
    ...(policyUID === undefined ? {} : { uid: policyUID }),
    ...(rule === undefined ? {} : { desc: rule }),
  };
}
