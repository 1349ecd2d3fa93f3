import { SallyportError } from '../errors.ts';
import { selectedName } from './field-selector.ts';
import { type ExecOptions, isConnect, type Operation, type ProxyTarget } from './operation.ts';
import { Query } from './query.ts';
import { parseTarget, refuse, type Target } from './target.ts';

/** What of the headers takes part in saying what is asked. */
export interface RequestHeaders {
  readonly contentType?: string | undefined;
}

/** The verbs of resource requests by method; OPTIONS, TRACE, CONNECT and inventions have none and are refused. */
const VERB_OF_METHOD: Readonly<Record<string, string>> = {
  __proto__: null as never,
  GET: 'get',
  HEAD: 'get',
  POST: 'create',
  PUT: 'update',
  PATCH: 'patch',
  DELETE: 'delete',
};

const PATCH_TYPES = new Set([
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
  'application/apply-patch+yaml',
  'application/apply-patch+cbor',
]);

/**
 * Says in Kubernetes terms what a request asks: the grammar of the API server's RequestInfo
 * (k8s.io/apiserver/pkg/endpoints/request), over one canonical path.
 *
 * @param method as received, upper case
 * @param rawTarget the request target as received (`req.url`, `:path`)
 * @throws SallyportError SP_BAD_REQUEST, SP_UNSUPPORTED_MEDIA_TYPE; nothing else
 */
export function parseRequest(method: string, rawTarget: string, headers: RequestHeaders = {}): Operation {
  const methodVerb = VERB_OF_METHOD[method];
  if (methodVerb === undefined) throw refuse('the method is not one of GET, HEAD, POST, PUT, PATCH, DELETE');
  const target = parseTarget(rawTarget);
  const { segments } = target;
  // The API server trims slashes before it splits; a trailing one changes nothing for resources.
  const count = segments[segments.length - 1] === '' ? segments.length - 1 : segments.length;
  let first: number;
  if (count >= 3 && segments[0] === 'api') first = 1;
  else if (count >= 4 && segments[0] === 'apis') first = 2;
  else return nonResource(method, target);
  return resource(method, methodVerb, target, count, first, headers);
}

function nonResource(method: string, target: Target): Operation {
  if (target.odd) for (const segment of target.segments) checkName(segment);
  return {
    verb: method.toLowerCase(),
    isResource: false,
    apiGroup: '',
    apiVersion: '',
    resource: '',
    subresource: '',
    namespace: '',
    name: '',
    fieldSelectorName: undefined,
    isCollection: false,
    path: target.path,
    query: Query.parse(target.rawQuery).canonical,
    method,
    proxyPath: undefined,
    dryRun: false,
    patchType: undefined,
    exec: undefined,
    portForward: undefined,
  };
}

/** @param versionAt index of the version: 1 behind `/api`, 2 behind `/apis/<group>` */
function resource(
  method: string,
  methodVerb: string,
  target: Target,
  count: number,
  versionAt: number,
  headers: RequestHeaders,
): Operation {
  const { segments, written } = target;
  let at = versionAt + 1;
  let verb = methodVerb;
  let legacyWatch = false;
  if (segments[at] === 'watch') {
    if (method !== 'GET') throw refuse('a /watch/ path takes GET only');
    if (count <= at + 1) throw refuse('a /watch/ path names no resource');
    verb = 'watch';
    legacyWatch = true;
    at++;
  } else if (segments[at] === 'proxy') {
    // The verb of these paths is no HTTP verb and their resource has no subresource: rules on `*/proxy` would miss them.
    throw refuse('/proxy/ paths were removed in Kubernetes 1.10: use the proxy subresource');
  }
  let namespace = '';
  if (segments[at] === 'namespaces' && count > at + 1) {
    namespace = segments[at + 1]!;
    if (count > at + 2 && segments[at + 2] !== 'status' && segments[at + 2] !== 'finalize') at += 2;
  }
  const resourceName = segments[at]!;
  const name = count > at + 1 ? segments[at + 1]! : '';
  const subresource = count > at + 2 ? segments[at + 2]! : '';
  const apiGroup = versionAt === 1 ? '' : segments[1]!;

  const isProxy = subresource === 'proxy';
  const hasRest = count > at + 3;
  if (target.odd) {
    const checked = Math.min(count, at + 3);
    for (let i = 0; i < checked; i++) checkName(segments[i]!);
  }
  let path = target.path;
  let proxyPath: string | undefined;
  if (isProxy || hasRest) {
    // `…/proxy` and `…/proxy/` differ for the program behind; elsewhere a trailing slash means nothing.
    proxyPath = written.length > at + 3 ? `/${written.slice(at + 3).join('/')}` : '';
  } else if (written.length > count) {
    path = path.slice(0, -1);
  }

  const query = Query.parse(target.rawQuery, isProxy);
  let fieldSelectorName: string | undefined;
  if (name === '' && !legacyWatch) {
    if (verb === 'get') verb = query.flag('watch') ? 'watch' : 'list';
    else if (verb === 'delete') verb = 'deletecollection';
    if (verb === 'list' || verb === 'watch' || verb === 'deletecollection') {
      fieldSelectorName = selectedName(query.get('fieldSelector'));
    }
  } else if (legacyWatch && name !== '') {
    // Watching one object by path is a watch that is pinned to it.
    fieldSelectorName = name;
  }

  const connect = subresource !== '' && isConnect({ apiGroup, resource: resourceName, subresource });
  let exec: ExecOptions | undefined;
  let portForward: { ports: number[] } | undefined;
  let proxied: ProxyTarget | undefined;
  if (connect) {
    if (legacyWatch) throw refuse(`${subresource} cannot be watched`);
    if (isProxy) {
      proxied = proxyTarget(name);
    } else {
      if (method !== 'GET' && method !== 'POST')
        throw refuse(`pods/${subresource} takes GET (WebSocket) and POST (SPDY) only`);
      // A WebSocket upgrade is a GET. What it does is what a POST does, and RBAC knows it as `create`.
      verb = 'create';
      if (subresource === 'portforward') portForward = { ports: portsOf(query) };
      else exec = execOptions(query, subresource === 'exec');
    }
  }

  const isToken = apiGroup === '' && resourceName === 'serviceaccounts' && subresource === 'token';
  const patchType = verb === 'patch' && !connect ? patchTypeOf(headers.contentType) : undefined;
  return {
    verb,
    isResource: true,
    apiGroup,
    apiVersion: segments[versionAt]!,
    resource: resourceName,
    subresource,
    namespace,
    name,
    fieldSelectorName,
    isCollection: verb === 'list' || verb === 'watch' || verb === 'deletecollection',
    path,
    query: query.canonical,
    method,
    proxyPath,
    ...(proxied === undefined ? undefined : { proxyTarget: proxied }),
    dryRun: !connect && method !== 'GET' && method !== 'HEAD' && dryRunOf(method, query, isToken),
    patchType,
    exec,
    portForward,
  };
}

/** Names outside a proxied path: Kubernetes allows no `%`, and a `;` has a second reading in other servers. */
function checkName(segment: string): void {
  if (segment.includes('%') || segment.includes(';')) throw refuse('a name in the path holds "%" or ";"');
}

/**
 * `dryRun` of a write. A value but `All` is refused by the API server's validation; here before it, since another
 * server might take it for none. Whether a delete is a dry run is not the query's to say alone: see `withDeleteOptions`.
 */
function dryRunOf(method: string, query: Query, isToken: boolean): boolean {
  const value = query.get('dryRun');
  if (value === undefined) return false;
  for (const each of query.getAll('dryRun')) if (each !== 'All') throw refuse('dryRun must be "All"');
  // TokenRequest ignores dryRun and issues a real token.
  return method !== 'DELETE' && !isToken;
}

function execOptions(query: Query, hasCommand: boolean): ExecOptions {
  return {
    command: hasCommand ? query.getAll('command') : [],
    container: query.get('container') ?? '',
    stdin: query.flag('stdin'),
    stdout: query.flag('stdout'),
    stderr: query.flag('stderr'),
    tty: query.flag('tty'),
  };
}

/** `ports=80&ports=81` and `ports=80,81`; each an unsigned 16-bit decimal, as the API server converts them. */
function portsOf(query: Query): number[] {
  const ports: number[] = [];
  for (const value of query.getAll('ports')) {
    for (const text of value.split(',')) {
      const port = /^[0-9]{1,5}$/.test(text) ? Number(text) : 0;
      if (port < 1 || port > 65535) throw refuse('ports must be numbers from 1 to 65535');
      ports.push(port);
    }
  }
  return ports;
}

/**
 * The name of what is proxied to, taken apart as the API server does (apimachinery `SplitSchemeNamePort`).
 * @throws SallyportError SP_BAD_REQUEST
 */
export function proxyTarget(id: string): ProxyTarget {
  const parts = id.split(':');
  const [first = '', second = '', third = ''] = parts;
  const target: ProxyTarget =
    parts.length === 3 ? { scheme: first, name: second, port: third } : { scheme: '', name: first, port: second };
  const known = target.scheme === '' || target.scheme === 'http' || target.scheme === 'https';
  if (parts.length > 3 || target.name === '' || !known) {
    throw refuse('what is proxied to must be NAME, NAME:PORT or SCHEME:NAME:PORT with http or https');
  }
  return target;
}

/** The API server cuts the media type at the first `;` and compares it letter by letter. */
function patchTypeOf(contentType: string | undefined): string {
  const semicolon = contentType?.indexOf(';') ?? -1;
  const type = semicolon > 0 ? contentType!.slice(0, semicolon) : contentType;
  if (type === undefined || !PATCH_TYPES.has(type)) {
    throw new SallyportError(
      'SP_UNSUPPORTED_MEDIA_TYPE',
      'a patch needs one of the content types json-patch+json, merge-patch+json, strategic-merge-patch+json, apply-patch+yaml, apply-patch+cbor',
    );
  }
  return type;
}
