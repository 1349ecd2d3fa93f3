import { createHmac, type KeyObject } from 'node:crypto';
import { SallyportError } from '../errors.ts';
import type { Caller } from '../identity/caller.ts';
import type { Body } from './body.ts';
import type { Json } from './json.ts';
import { normalAdmissionObject, normalIntentBody, normalResult } from './normal-body.ts';
import type { Operation } from './operation.ts';
import { Query } from './query.ts';

/**
 * Digests name one exact request, so that an approval of it can be found again and is good for nothing else. They are
 * keyed (HMAC-SHA-256, RFC 2104), because a plain hash of a body would let whoever reads it guess the secrets in it.
 * Every part is written with its length in front: no two different requests are the same bytes.
 */
export type DigestCaller = Pick<Caller, 'issuer' | 'username' | 'agent' | 'onBehalfOf'>;

/** What the API server's answer shows or how long it may take: the same command with others is the same command. */
const INSIGNIFICANT = new Set(['timeout', 'pretty', 'fieldManager', 'fieldValidation']);

export interface Intent {
  readonly caller: DigestCaller;
  readonly operation: Operation;
  /** Undefined where the request has none. */
  readonly body: Body | undefined;
}

/**
 * The intent digest: what a caller asked of the gateway. Left out are groups, token, session and extras of the caller,
 * the transport (WebSocket's GET or SPDY's POST), and what `normalIntentBody` lists.
 *
 * @param key the installation's key, 32 bytes or more
 * @returns 64 hexadecimal digits
 */
export function intentDigest(key: KeyObject | Uint8Array, intent: Intent): string {
  const { caller, operation, body } = intent;
  const out = new Digest(key, 'sallyport.dev/intent/v1');
  addCaller(out, caller);
  const isStream = operation.exec !== undefined || operation.portForward !== undefined;
  out.add(isStream ? '' : operation.method);
  out.add(operation.verb);
  // Group, version, resource, subresource, namespace, name and proxied path are all in the one canonical path.
  out.add(operation.path);
  out.add(operation.patchType ?? '');
  out.add(operation.dryRun ? 'dry run' : '');
  out.list(significantQuery(operation));
  out.list(operation.exec?.command ?? []);
  out.list((operation.portForward?.ports ?? []).map(String));
  if (body === undefined || body.encoding === 'empty') out.add('no body');
  else if (body.tree === undefined) {
    out.add(body.encoding);
    out.add(body.bytes);
  } else {
    out.add('json');
    out.add(normalIntentBody(operation, body.tree));
  }
  return out.end();
}

/**
 * Name and value in turn, sorted by name, the order of equal names kept. Behind a proxy the query belongs to another
 * program: there all of it counts, as it is written.
 */
function significantQuery(operation: Operation): string[] {
  if (operation.proxyPath !== undefined) return [operation.query];
  const pairs = [...Query.parse(operation.query).entries()].filter(([name]) => !INSIGNIFICANT.has(name));
  pairs.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return pairs.flat();
}

/** An operation as admission names it: no patch types, no query. */
export interface AdmissionOperation {
  readonly operation: 'CREATE' | 'UPDATE' | 'DELETE' | 'CONNECT';
  readonly apiGroup: string;
  readonly apiVersion: string;
  readonly resource: string;
  readonly subresource: string;
  readonly namespace: string;
  /** '' where admission does not know it (creates with generateName, each object of a deletecollection). */
  readonly name: string;
  readonly dryRun: boolean;
}

/**
 * The admission digest: what the webhook can know of the same thing. One leg's digest is never the other's: the two
 * begin differently under the HMAC.
 *
 * @param object `object` of the review (for DELETE `oldObject`; for CONNECT the options), after mutation
 */
export function admissionDigest(
  key: KeyObject | Uint8Array,
  review: { readonly caller: DigestCaller; readonly operation: AdmissionOperation; readonly object: Json | undefined },
): string {
  const { caller, operation, object } = review;
  const out = new Digest(key, 'sallyport.dev/admission/v1');
  addCaller(out, caller);
  for (const part of ['operation', 'apiGroup', 'apiVersion', 'resource', 'subresource', 'namespace', 'name'] as const) {
    out.add(operation[part]);
  }
  out.add(operation.dryRun ? 'dry run' : '');
  if (object === undefined) out.add('no object');
  else {
    out.add('object');
    out.add(normalAdmissionObject(operation, object));
  }
  return out.end();
}

/**
 * A digest of what a write would leave behind, by its dry run: what a person was shown is bound by it. Left out is what
 * the server fills in anew each time (`normalResult`).
 *
 * @param result the object that the dry run gave; `status`, where it was refused: then the refusal is what is bound
 */
export function resultDigest(
  key: KeyObject | Uint8Array,
  operation: Pick<Operation, 'apiGroup' | 'resource' | 'subresource'>,
  result: { readonly object: Json } | { readonly status: number },
): string {
  const out = new Digest(key, 'sallyport.dev/result/v1');
  if ('status' in result) {
    out.add('refused');
    out.add(String(result.status));
  } else {
    out.add('object');
    out.add(normalResult(operation, result.object));
  }
  return out.end();
}

/** A digest of which objects a deletion of a collection would meet. @param uids in any order */
export function collectionDigest(key: KeyObject | Uint8Array, uids: readonly string[]): string {
  const out = new Digest(key, 'sallyport.dev/collection/v1');
  out.list([...uids].sort());
  return out.end();
}

function addCaller(out: Digest, caller: DigestCaller): void {
  out.add(caller.issuer);
  out.add(caller.username);
  // Absent and empty are not the same.
  out.list(caller.agent === undefined ? [] : [caller.agent]);
  out.list(caller.onBehalfOf === undefined ? [] : [caller.onBehalfOf]);
}

/** An HMAC over parts, each behind its length in bytes. */
class Digest {
  readonly #hmac;

  constructor(key: KeyObject | Uint8Array, domain: string) {
    const size = key instanceof Uint8Array ? key.byteLength : (key.symmetricKeySize ?? 0);
    if (size < 32) throw new RangeError('the key of the digests must have 32 bytes or more');
    this.#hmac = createHmac('sha256', key);
    this.add(domain);
  }

  add(part: string | Uint8Array): void {
    // Half a surrogate pair has no UTF-8 of its own: any two would be one.
    if (typeof part === 'string' && !part.isWellFormed())
      throw new SallyportError('SP_BAD_REQUEST', 'text that is not Unicode');
    const bytes = typeof part === 'string' ? Buffer.from(part, 'utf8') : part;
    this.#hmac.update(`${bytes.length}:`);
    this.#hmac.update(bytes);
  }

  list(parts: readonly string[]): void {
    this.add(String(parts.length));
    for (const part of parts) this.add(part);
  }

  end(): string {
    return this.#hmac.digest('hex');
  }
}
