import type { Operation } from '../request/operation.ts';

/**
 * What every client asks before it does anything: discovery, OpenAPI, the version, and what it may do itself. Free for
 * every authenticated caller, counted only; a Deny rule that names one can still deny it.
 */
export function isFree(operation: Operation): boolean {
  if (!operation.isResource) {
    return (operation.verb === 'get' || operation.verb === 'head') && isDiscovery(operation.path);
  }
  if (operation.verb !== 'create' || operation.subresource !== '' || operation.namespace !== '') return false;
  return operation.apiGroup === 'authorization.k8s.io'
    ? operation.resource === 'selfsubjectaccessreviews' || operation.resource === 'selfsubjectrulesreviews'
    : operation.apiGroup === 'authentication.k8s.io' && operation.resource === 'selfsubjectreviews';
}

/** /api, /api/v1, /apis, /apis/GROUP, /apis/GROUP/VERSION, /openapi/v2, /openapi/v3, /openapi/v3/…, /version. */
const DISCOVERY = /^\/(?:api(?:\/[^/]+)?|apis(?:\/[^/]+){0,2}|openapi\/v2|openapi\/v3(?:\/[^/]+){0,4}|version)\/?$/;

const isDiscovery = (path: string): boolean => path.length < 512 && DISCOVERY.test(path);
