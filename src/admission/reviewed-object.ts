import type { ApprovalRequestTarget } from '../approval/approval-request.generated.ts';
import type { Decision } from '../policy/decision.ts';
import { admissionDigest } from '../request/digest.ts';
import { isObject, type Json, memberAt, parseJson } from '../request/json.ts';
import { isConnect, type Operation } from '../request/operation.ts';
import type { AdmissionCaller } from './admission-caller.ts';
import type { AdmissionRequest } from './admission-review.ts';

/** One review, understood and judged. */
export interface Reviewed {
  /** As it was posted. */
  readonly text: string;
  readonly request: AdmissionRequest;
  readonly operation: Operation;
  readonly caller: AdmissionCaller;
  readonly decision: Decision;
}

/** What of a review an approval is bound to, and what its approver is shown. */
export interface ReviewedObject {
  readonly digest: string;
  readonly target: ApprovalRequestTarget;
  /** JSON; undefined where there is none. */
  readonly before: string | undefined;
  readonly after: string | undefined;
}

/** Read anew from the text, with numbers as they are written: for what needs a person alone. */
export function reviewedObject(key: Uint8Array, reviewed: Reviewed): ReviewedObject {
  const { text, request, operation, caller } = reviewed;
  const tree = memberAt(parseJson(text), 'request');
  const stands = memberAt(tree, 'oldObject') ?? undefined;
  const object = memberAt(tree, 'object') ?? undefined;
  const isDeletion = request.operation === 'DELETE';
  const judged = isDeletion ? stands : object;
  const isNamed = request.operation !== 'CREATE' || !dropDrawn(request, judged);
  const known = isNamed ? request : { ...request, name: '' };
  const uid = memberAt(stands, 'metadata', 'uid');
  const plain = JSON.parse(text) as { request: { object?: unknown; oldObject?: unknown } };
  const connects = isConnect(operation);
  return {
    digest: admissionDigest(key, { caller: caller.caller, operation: known, object: judged }),
    target: typeof uid === 'string' && uid !== '' ? { uid } : {},
    before: connects ? undefined : textOf(plain.request.oldObject),
    after: connects || isDeletion ? undefined : textOf(plain.request.object),
  };
}

const textOf = (object: unknown): string | undefined =>
  object === undefined || object === null ? undefined : JSON.stringify(object);

/**
 * What the API server draws anew for each create before a webhook sees it: the end of a `generateName`, and the addresses and
 * node ports of a Service. Whether a client chose one of those itself cannot be told; that there are any, and a Service
 * without an address, still counts.
 * @returns whether the name is drawn
 */
function dropDrawn({ apiGroup, resource, subresource }: AdmissionRequest, object: Json | undefined): boolean {
  const metadata = memberAt(object, 'metadata');
  const isDrawn = isObject(metadata) && (metadata.get('generateName') ?? '') !== '';
  if (isDrawn) metadata.delete('name');
  const spec = memberAt(object, 'spec');
  if (apiGroup !== '' || resource !== 'services' || subresource !== '' || !isObject(spec)) return isDrawn;
  if (spec.get('clusterIP') !== 'None') {
    spec.delete('clusterIP');
    spec.delete('clusterIPs');
  }
  if (spec.has('healthCheckNodePort')) spec.set('healthCheckNodePort', true);
  const ports = spec.get('ports');
  for (const port of Array.isArray(ports) ? ports : []) {
    if (isObject(port) && port.has('nodePort')) port.set('nodePort', true);
  }
  return isDrawn;
}
