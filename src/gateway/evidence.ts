import { SallyportError } from '../errors.ts';
import type { UpstreamName } from '../identity/upstream-name.ts';
import { type CelValue, isMap, Lazy, mapGet, parseJson } from '../policy/cel/engine.ts';
import type { Needs } from '../policy/needs.ts';
import { type Body, describeBody, parseBody, withDeleteOptions } from '../request/body.ts';
import { forwardableHeaders } from '../request/headers.ts';
import type { Operation } from '../request/operation.ts';
import type { Forward } from '../upstream/forward.ts';
import { readBody } from './body.ts';
import type { ClientRequest, Exchange, Findings } from './exchange.ts';
import { UpstreamRefusal } from './upstream-refusal.ts';

export interface EvidenceOptions {
  readonly forward: Forward;
  via(name: UpstreamName): string;
  /** The Namespace as the watch has it, as a CEL value; undefined where there is none. */
  namespace(name: string): CelValue | undefined;
  /** Whether kube-apiserver itself serves a group and version; an aggregated server may ignore `dryRun`, and act. */
  servedByAPIServer(group: string, version: string): boolean;
  /** Milliseconds. */
  readonly bodyTimeout: number;
}

/** Objects are bounded by etcd's request size; what is larger is no object. */
const OBJECT_LIMIT = 8 << 20;
const JSON_ONLY = ['accept', 'application/json'];

/** Finds out what policies read of a request: its body, and objects read under the caller's own name. */
export class Evidence {
  readonly #options: EvidenceOptions;

  constructor(options: EvidenceOptions) {
    this.#options = options;
  }

  /**
   * Of a delete, the body says whether it is a dry run; so it is read before anything is decided.
   * @throws SallyportError when the body cannot be understood
   */
  async settle(exchange: Exchange): Promise<void> {
    const { operation, request } = exchange;
    if (operation!.method !== 'DELETE' || describeBody(operation!) !== 'options') return;
    const body = announcesBody(request) ? await this.#body(exchange) : undefined;
    exchange.operation = withDeleteOptions(operation!, body);
  }

  /**
   * Whether the object that a decision read is still the one there: between that look and the connect another Pod may
   * have taken its name.
   * @throws SallyportError SP_POLICY_DENIED when it is another one
   */
  async confirmTarget(exchange: Exchange): Promise<void> {
    const before = uidOf(exchange.findings?.target);
    if (before === undefined) return;
    const now = await this.#read(exchange, parentPath(exchange.operation!), exchange.identity!);
    if (typeof now !== 'string' && uidOf(now) === before) return;
    const { resource, name } = exchange.operation!;
    const message = `${resource}/${name} is not the one that was judged a moment ago: run the command again`;
    throw new SallyportError('SP_POLICY_DENIED', message);
  }

  /**
   * @param identity in whose name objects are read and the dry run is made
   * @throws SallyportError, UpstreamRefusal
   */
  async gather(exchange: Exchange, needs: Needs, identity: UpstreamName = exchange.identity!): Promise<Findings> {
    const { operation } = exchange;
    const unknown: Partial<Record<'object' | 'oldObject' | 'target' | 'namespaceObject', string>> = {};
    const findings: { -readonly [K in keyof Findings]: Findings[K] } = { unknown };
    if (needs.namespaceObject && operation!.namespace !== '') {
      const found = this.#options.namespace(operation!.namespace);
      if (found === undefined) unknown.namespaceObject = `the namespace ${operation!.namespace} is not known`;
      else findings.namespaceObject = found;
    }
    if (needs.oldObject || needs.existence) {
      const old = await this.#read(exchange, operation!.path, identity);
      if (typeof old === 'string') unknown.oldObject = old;
      else {
        findings.oldObject = old ?? null;
        if (needs.existence) findings.creates = old === undefined;
      }
    }
    if (needs.target) {
      const target = await this.#read(exchange, parentPath(operation!), identity);
      if (typeof target === 'string') unknown.target = target;
      else if (target === undefined) unknown.target = 'the object it belongs to does not exist';
      else findings.target = target;
    }
    if (needs.object) {
      const object = await this.#object(exchange, identity);
      if (typeof object === 'string') unknown.object = object;
      else findings.object = object.value;
    }
    return findings;
  }

  /** The object as it would be stored, or a line saying why it cannot be known. */
  async #object(exchange: Exchange, identity: UpstreamName): Promise<{ value: CelValue } | string> {
    const body = await this.#body(exchange);
    if (body.kind === 'object' && body.json !== undefined) return { value: parseJson(body.json) };
    if (body.kind !== 'object' && body.kind !== 'patch') return 'its body is no object';
    return this.#dryRun(exchange, body, identity);
  }

  async #dryRun(exchange: Exchange, body: Body, identity: UpstreamName): Promise<{ value: CelValue } | string> {
    const { operation, request } = exchange;
    if (!this.#options.servedByAPIServer(operation!.apiGroup, operation!.apiVersion)) {
      return `${operation!.apiGroup} is served by an aggregated server, which may not honour a dry run: send JSON, not a patch`;
    }
    const headers = forwardableHeaders(
      request.rawHeaders,
      body.contentType === undefined ? {} : { contentType: body.contentType },
    );
    const answer = await this.#options.forward.collect(
      {
        identity,
        via: this.#options.via(identity),
        requestID: exchange.id,
        method: operation!.method,
        target: `${operation!.path}?${withDryRun(operation!.query)}`,
        headers: acceptJSON(headers),
        body: Buffer.from(body.bytes),
      },
      OBJECT_LIMIT,
      exchange.signal,
    );
    // The same request for real would be answered alike; its answer is the caller's to see.
    if (answer.status >= 400) throw new UpstreamRefusal(answer.status, answer.body);
    return { value: parseJson(answer.body.toString('utf8')) };
  }

  /** Reads an object under the caller's name: undefined when there is none, a line when it cannot be known. */
  async #read(exchange: Exchange, path: string, identity: UpstreamName): Promise<CelValue | string | undefined> {
    const answer = await this.#options.forward.collect(
      {
        identity,
        via: this.#options.via(identity),
        requestID: exchange.id,
        method: 'GET',
        target: path,
        headers: JSON_ONLY,
        body: null,
      },
      OBJECT_LIMIT,
      exchange.signal,
    );
    if (answer.status === 200) return parseJson(answer.body.toString('utf8'));
    if (answer.status === 404) return undefined;
    if (answer.status === 403) return `${path} may not be read by this caller (RBAC: get)`;
    return `${path} could not be read (HTTP ${answer.status})`;
  }

  /**
   * The body as it is decided on and forwarded; undefined where the request announces none.
   * @throws SallyportError when it cannot be read or understood
   */
  async body(exchange: Exchange): Promise<Body | undefined> {
    if (exchange.parsedBody === undefined && !announcesBody(exchange.request)) return undefined;
    return await this.#body(exchange);
  }

  async #body(exchange: Exchange): Promise<Body> {
    const { request, operation } = exchange;
    const encoding = request.headers['content-encoding'];
    if (encoding !== undefined && encoding !== 'identity') {
      throw new SallyportError('SP_UNSUPPORTED_MEDIA_TYPE', 'a compressed body cannot be judged: send it uncompressed');
    }
    if (exchange.parsedBody !== undefined) return exchange.parsedBody;
    const bytes = await readBody(exchange, this.#options.bodyTimeout);
    const body = parseBody(operation!, request.headers['content-type'], bytes);
    exchange.parsedBody = body;
    exchange.body = Buffer.from(body.bytes.buffer, body.bytes.byteOffset, body.bytes.byteLength);
    exchange.bodyType = body.contentType;
    return body;
  }
}

function uidOf(object: Findings['target']): string | undefined {
  if (object === undefined || object instanceof Lazy || !isMap(object)) return undefined;
  const metadata = mapGet(object, 'metadata');
  const uid = metadata !== undefined && isMap(metadata) ? mapGet(metadata, 'uid') : undefined;
  return typeof uid === 'string' ? uid : undefined;
}

export function acceptJSON(headers: readonly string[]): string[] {
  const result: string[] = [...JSON_ONLY];
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!.toLowerCase();
    if (name !== 'accept' && name !== 'accept-encoding') result.push(headers[i]!, headers[i + 1]!);
  }
  return result;
}

export function withDryRun(query: string): string {
  const rest = query.split('&').filter((pair) => pair !== '' && !/^dryRun(=|$)/.test(pair));
  return [...rest, 'dryRun=All'].join('&');
}

/** The path of the object that a subresource belongs to. */
export function parentPath(operation: Operation): string {
  const { apiGroup, apiVersion, resource, namespace, name } = operation;
  const root = apiGroup === '' ? `/api/${apiVersion}` : `/apis/${apiGroup}/${apiVersion}`;
  const scope = namespace === '' || resource === 'namespaces' ? '' : `/namespaces/${encodeURIComponent(namespace)}`;
  const object = operation.proxyTarget?.name ?? name;
  return `${root}${scope}/${resource}/${encodeURIComponent(object)}`;
}

/** RFC 9112 6: a body is announced; RFC 9113 8.1: a stream that did not end with its headers. */
export function announcesBody(request: ClientRequest): boolean {
  if (request.httpVersionMajor === 2 && 'stream' in request) return !request.stream.endAfterHeaders;
  const { headers } = request;
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}
