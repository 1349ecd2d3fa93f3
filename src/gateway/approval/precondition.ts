import { SallyportError } from '../../errors.ts';
import { type Body, deleteOptions } from '../../request/body.ts';
import { isObject, type Json, type JsonObject, memberAt, writeJson } from '../../request/json.ts';
import type { Operation } from '../../request/operation.ts';
import { hasProtobufField, type ProtobufField, withProtobufFields } from '../../request/protobuf-envelope.ts';
import { Query } from '../../request/query.ts';
import { withDryRun } from '../evidence.ts';
import type { Guarded } from './permit.ts';
import type { Found } from './target.ts';

/** A version that no object ever has: etcd counts from one, and the first thing that it stores gets two. */
const NO_VERSION = '1';
/** Fields of metav1.DeleteOptions and of policy/v1 Eviction. */
const PRECONDITIONS = 2;
const DELETE_OPTIONS = 2;

/**
 * The request in a form that the API server carries out only on what was looked at: on the object with that uid and
 * resourceVersion, on none at all, on the very collection of that moment, or, where it was found to be refused, not at
 * all. Where things have moved on, the API server says 409 and does nothing.
 *
 * A PUT or an apply makes an object that is not there, whatever resourceVersion it names, but not where it names a uid;
 * and it does not touch one that is there where it names another version. So the uid is named for what was there, and
 * a version that nothing has for what was not.
 *
 * A JSON patch, which never makes anything, gets the version as its last operation and not as a `test` in front: a failed
 * test is a 422 that cannot be told from any other, and what an agent's own operations do to the version before the
 * last one does not count.
 *
 * @returns undefined where there is nothing to guard: a connect, a create, or what no dry run could show
 * @throws SallyportError SP_UNSUPPORTED_MEDIA_TYPE for a body into which nothing can be written
 */
export function guard(
  operation: Operation,
  body: Body | undefined,
  { target, state, collectionVersion }: Pick<Found, 'target' | 'state' | 'collectionVersion'>,
): Guarded | undefined {
  const { verb, subresource } = operation;
  const { uid } = target;
  if (state === 'Refused') return { query: withDryRun(operation.query), mustFail: true };
  if (verb === 'deletecollection') return guardCollection(operation, body, collectionVersion);
  if (verb === 'delete') return uid === undefined ? undefined : guardDeletion(operation, body, uid);
  if (verb === 'create' && subresource === 'eviction' && uid !== undefined) return guardEviction(body, uid);
  if (verb !== 'update' && verb !== 'patch') return undefined;
  const resourceVersion = state === 'Absent' ? NO_VERSION : target.resourceVersion;
  if (resourceVersion === undefined) return undefined;
  if (body?.encoding === 'protobuf') {
    const added: ProtobufField[] = [[6, resourceVersion]];
    if (makes(operation) && uid !== undefined) added.unshift([5, uid]);
    return inProtobuf(body, [[1, added]]);
  }
  if (body?.tree === undefined) throw unwritable();
  if (Array.isArray(body.tree)) {
    const last = new Map<string, Json>([
      ['op', 'add'],
      ['path', '/metadata/resourceVersion'],
      ['value', resourceVersion],
    ]);
    return { body: Buffer.from(writeJson([...body.tree, last])) };
  }
  if (!isObject(body.tree)) throw unwritable();
  let guarded = body.tree;
  // A version that the caller has named was in force in the dry run, too. ('0' is none.)
  const named = memberAt(body.tree, 'metadata', 'resourceVersion');
  if (typeof named !== 'string' || named === '' || named === '0') {
    guarded = withMember(guarded, ['metadata', 'resourceVersion'], resourceVersion);
  }
  if (makes(operation) && uid !== undefined && !isNamed(memberAt(body.tree, 'metadata', 'uid'))) {
    guarded = withMember(guarded, ['metadata', 'uid'], uid);
  }
  return { body: Buffer.from(writeJson(guarded)) };
}

/**
 * Whether a precondition can be written into a body: asked before a person is, so that nobody approves in vain.
 * @throws SallyportError SP_UNSUPPORTED_MEDIA_TYPE
 */
export function mustBeGuardable({ verb, subresource }: Operation, body: Body | undefined): void {
  const isChange = verb === 'update' || verb === 'patch' || verb === 'delete' || subresource === 'eviction';
  if (!isChange) return;
  if (body?.encoding === 'protobuf') inProtobuf(body, []);
  else if (body?.encoding === 'cbor') throw unwritable();
}

/** Whether it would make the object that it names, where there is none. */
function makes({ verb, subresource, patchType }: Operation): boolean {
  return subresource === '' && (verb === 'update' || patchType?.startsWith('application/apply-patch') === true);
}

function guardDeletion(operation: Operation, body: Body | undefined, uid: string): Guarded | undefined {
  if (body?.encoding === 'protobuf') {
    // What the caller has named is as strict, and would be replaced by what comes behind it.
    return hasProtobufField(body.bytes, PRECONDITIONS) === true
      ? undefined
      : inProtobuf(body, [[PRECONDITIONS, [[1, uid]]]]);
  }
  if (body !== undefined && body.encoding !== 'empty' && !isObject(body.tree)) throw unwritable();
  // One that the caller has named is stricter, or it is this one.
  if (deleteOptions(operation, body).preconditions.uid !== undefined) return undefined;
  // A body silences the query, so the precondition goes where the other options are.
  if (isObject(body?.tree)) {
    return { body: Buffer.from(writeJson(withMember(body.tree, ['preconditions', 'uid'], uid))) };
  }
  return { query: withPairs(operation.query, { uid }) };
}

function guardEviction(body: Body | undefined, uid: string): Guarded | undefined {
  if (body?.encoding === 'protobuf') return inProtobuf(body, [[DELETE_OPTIONS, [[PRECONDITIONS, [[1, uid]]]]]]);
  if (!isObject(body?.tree)) throw unwritable();
  if (typeof memberAt(body.tree, 'deleteOptions', 'preconditions', 'uid') === 'string') return undefined;
  return { body: Buffer.from(writeJson(withMember(body.tree, ['deleteOptions', 'preconditions', 'uid'], uid))) };
}

/**
 * What has come into the collection since the look is not met: the API server deletes what it lists, as of then. In a query
 * the version would be one for each object, too; so options that came in the query go into a body, which silences it.
 */
function guardCollection(
  operation: Operation,
  body: Body | undefined,
  resourceVersion: string | undefined,
): Guarded | undefined {
  if (resourceVersion === undefined) return undefined;
  const query = withPairs(operation.query, { resourceVersion, resourceVersionMatch: 'Exact' });
  if (body !== undefined && body.encoding !== 'empty') return { query };
  return { query, body: Buffer.from(JSON.stringify(optionsOf(operation))), contentType: 'application/json' };
}

/** DeleteOptions as they stand in a query. */
function optionsOf(operation: Operation): object {
  const query = Query.parse(operation.query);
  const { dryRun, preconditions } = deleteOptions(operation, undefined);
  const seconds = Number(query.get('gracePeriodSeconds') || Number.NaN);
  const propagationPolicy = query.get('propagationPolicy');
  const orphans = query.get('orphanDependents');
  return {
    kind: 'DeleteOptions',
    apiVersion: 'v1',
    ...(Number.isInteger(seconds) ? { gracePeriodSeconds: seconds } : {}),
    ...(propagationPolicy ? { propagationPolicy } : {}),
    ...(orphans ? { orphanDependents: query.flag('orphanDependents') } : {}),
    ...(dryRun ? { dryRun: ['All'] } : {}),
    ...(preconditions.uid || preconditions.resourceVersion ? { preconditions } : {}),
  };
}

function withPairs(query: string, named: Readonly<Record<string, string>>): string {
  const rest = query.split('&').filter((pair) => pair !== '' && !Object.hasOwn(named, pair.split('=', 1)[0]!));
  return [...rest, ...Object.entries(named).map(([name, value]) => `${name}=${encodeURIComponent(value)}`)].join('&');
}

function inProtobuf(body: Body, added: readonly ProtobufField[]): Guarded {
  const written = withProtobufFields(body.bytes, added);
  if (written === undefined) throw unwritable();
  return { body: written };
}

function isNamed(value: Json | undefined): boolean {
  return typeof value === 'string' && value !== '';
}

/** A copy: the caller's own body is what is recorded, and what the digest was made of. */
function withMember(object: JsonObject, path: readonly string[], value: string): JsonObject {
  const [name, ...rest] = path as [string, ...string[]];
  const copy = new Map(object);
  const member = copy.get(name);
  copy.set(name, rest.length === 0 ? value : withMember(isObject(member) ? member : new Map(), rest, value));
  return copy;
}

function unwritable(): SallyportError {
  return new SallyportError(
    'SP_UNSUPPORTED_MEDIA_TYPE',
    'this needs a person’s approval, and an approved change is bound to the object that was looked at, which cannot be ' +
      'written into a body of this type: send it as JSON, YAML or Kubernetes protobuf (client-go: ContentType "application/json")',
  );
}
