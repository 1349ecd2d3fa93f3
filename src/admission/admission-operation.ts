import type { CelValue } from '../policy/cel/engine.ts';
import { type ExecOptions, isConnect, type Operation } from '../request/operation.ts';
import { proxyTarget } from '../request/request.ts';
import { type AdmissionRequest, malformed, member, string, strings } from './admission-review.ts';

const VERBS = { CREATE: 'create', UPDATE: 'update', DELETE: 'delete', CONNECT: 'connect' } as const;
const METHODS = { CREATE: 'POST', UPDATE: 'PUT', DELETE: 'DELETE', CONNECT: 'POST' } as const;

/**
 * The operation that a review speaks of. Admission is told the storage operation: an apply that creates is CREATE, a patch
 * UPDATE, one deletecollection a DELETE for each object; whoever judges it asks with the leg `Admission`, which knows that.
 * @throws SallyportError SP_BAD_REQUEST for a CONNECT whose options cannot be read
 */
export function admissionOperation(request: AdmissionRequest): Operation {
  const { apiGroup, apiVersion, resource, subresource } = request;
  const name = request.name || nameIn(request.object, request) || nameIn(request.oldObject, request);
  const connects = request.operation === 'CONNECT';
  // Anything else that connects would be judged as a write of something without an object.
  if (connects && !isConnect(request)) throw malformed(`${resource}/${subresource} is nothing that connects`);
  const isProxy = connects && subresource === 'proxy';
  return {
    verb: VERBS[request.operation],
    isResource: true,
    apiGroup,
    apiVersion,
    resource,
    subresource,
    namespace: request.namespace,
    name,
    fieldSelectorName: undefined,
    isCollection: false,
    path: pathOf(request, name),
    query: '',
    method: METHODS[request.operation],
    proxyPath: isProxy ? string(request.object, 'path') : undefined,
    ...(isProxy ? { proxyTarget: proxyTarget(name) } : undefined),
    dryRun: request.dryRun,
    patchType: undefined,
    exec: connects && (subresource === 'exec' || subresource === 'attach') ? execOf(request.object) : undefined,
    portForward: connects && subresource === 'portforward' ? { ports: portsOf(request.object) } : undefined,
  };
}

/** PodExecOptions and the like have no metadata; for subresources such as `pods/eviction` it names the parent. */
function nameIn(object: CelValue, { operation }: AdmissionRequest): string {
  if (operation === 'CONNECT') return '';
  const name = member(member(object, 'metadata'), 'name');
  return typeof name === 'string' ? name : '';
}

/** PodExecOptions, PodAttachOptions. An option that is absent is false. */
function execOf(options: CelValue): ExecOptions {
  return {
    command: strings(member(options, 'command')),
    container: string(options, 'container'),
    stdin: member(options, 'stdin') === true,
    stdout: member(options, 'stdout') === true,
    stderr: member(options, 'stderr') === true,
    tty: member(options, 'tty') === true,
  };
}

/** PodPortForwardOptions: the ports of the old WebSocket form; of the others they are inside the connection. */
function portsOf(options: CelValue): readonly number[] {
  const ports = member(options, 'ports') ?? [];
  if (!Array.isArray(ports)) throw malformed('ports is no list');
  return ports.map((port: CelValue) => {
    if (typeof port !== 'number' || port < 1 || port > 65_535) throw malformed('a port is no port');
    return port;
  });
}

/** As the API server's own path would be; for messages and `request.path`, nothing is sent to it. */
function pathOf({ apiGroup, apiVersion, resource, subresource, namespace }: AdmissionRequest, name: string): string {
  const root = apiGroup === '' ? `/api/${apiVersion}` : `/apis/${apiGroup}/${apiVersion}`;
  const scope = namespace === '' || resource === 'namespaces' ? '' : `/namespaces/${encodeURIComponent(namespace)}`;
  const object = name === '' ? '' : `/${encodeURIComponent(name)}`;
  return `${root}${scope}/${resource}${object}${subresource === '' || name === '' ? '' : `/${subresource}`}`;
}
