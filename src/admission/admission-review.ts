import { SallyportError } from '../errors.ts';
import { type CelValue, isMap, mapEntries, mapGet, parseJson } from '../policy/cel/engine.ts';

/** `request` of an AdmissionReview (admission.k8s.io/v1), read strictly; objects stay CEL values, integers exact. */
export interface AdmissionRequest {
  readonly uid: string;
  readonly operation: 'CREATE' | 'UPDATE' | 'DELETE' | 'CONNECT';
  readonly apiGroup: string;
  readonly apiVersion: string;
  readonly resource: string;
  /** '' when none. */
  readonly subresource: string;
  readonly namespace: string;
  /** '' for a create with generateName, and for each object of a deletecollection (it is in `oldObject` then). */
  readonly name: string;
  readonly dryRun: boolean;
  readonly userInfo: UserInfo;
  /** `null` where there is none; for CONNECT the options. */
  readonly object: CelValue;
  readonly oldObject: CelValue;
}

/** authentication.k8s.io/v1 UserInfo. */
export interface UserInfo {
  readonly username: string;
  readonly uid: string;
  readonly groups: readonly string[];
  readonly extra: Readonly<Record<string, readonly string[]>>;
}

const OPERATIONS: ReadonlySet<string> = new Set(['CREATE', 'UPDATE', 'DELETE', 'CONNECT']);

/**
 * Reads what an API server posts. @param text the body, UTF-8
 * @throws SallyportError SP_BAD_REQUEST for anything but an AdmissionReview of admission.k8s.io/v1
 */
export function readAdmissionReview(text: string): AdmissionRequest {
  let review: CelValue;
  try {
    review = parseJson(text);
  } catch {
    throw malformed('it is no JSON');
  }
  if (string(review, 'kind') !== 'AdmissionReview' || string(review, 'apiVersion') !== 'admission.k8s.io/v1') {
    throw malformed('its kind is not AdmissionReview of admission.k8s.io/v1');
  }
  const request = member(review, 'request');
  const resource = member(request, 'resource');
  const operation = string(request, 'operation');
  const uid = string(request, 'uid');
  const name = string(resource, 'resource');
  if (uid === '' || name === '' || !OPERATIONS.has(operation)) throw malformed('uid, resource or operation is missing');
  return {
    uid,
    operation: operation as AdmissionRequest['operation'],
    apiGroup: string(resource, 'group'),
    apiVersion: string(resource, 'version'),
    resource: name,
    subresource: string(request, 'subResource'),
    namespace: string(request, 'namespace'),
    name: string(request, 'name'),
    dryRun: member(request, 'dryRun') === true,
    userInfo: userInfo(member(request, 'userInfo')),
    object: member(request, 'object') ?? null,
    oldObject: member(request, 'oldObject') ?? null,
  };
}

function userInfo(value: CelValue | undefined): UserInfo {
  const username = string(value, 'username');
  if (username === '') throw malformed('userInfo has no username');
  const extra: Record<string, readonly string[]> = {};
  const given = member(value, 'extra');
  if (given !== undefined && given !== null) {
    if (!isMap(given)) throw malformed('userInfo.extra is no map');
    for (const [key, values] of mapEntries(given)) extra[String(key)] = strings(values);
  }
  return { username, uid: string(value, 'uid'), groups: strings(member(value, 'groups')), extra };
}

/** The member of a map; undefined where there is none, or no map. */
export function member(value: CelValue | undefined, name: string): CelValue | undefined {
  return value !== undefined && isMap(value) ? mapGet(value, name) : undefined;
}

/** A string member; '' where it is absent. @throws SallyportError where it is something else */
export function string(value: CelValue | undefined, name: string): string {
  const found = member(value, name) ?? '';
  if (typeof found !== 'string') throw malformed(`${name} is no string`);
  return found;
}

/** A list of strings; empty where it is absent. @throws SallyportError where it is something else */
export function strings(value: CelValue | undefined): readonly string[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value) || !value.every((item) => typeof item === 'string')) {
    throw malformed('a list of strings is none');
  }
  return value as readonly string[];
}

export function malformed(why: string): SallyportError {
  return new SallyportError('SP_BAD_REQUEST', `this is no admission review that can be answered: ${why}`);
}
