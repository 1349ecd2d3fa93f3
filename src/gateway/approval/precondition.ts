import type { ApprovalRequestTarget } from '../../approval/approval-request.generated.ts';
import { SallyportError } from '../../errors.ts';
import { type Body, deleteOptions } from '../../request/body.ts';
import { isObject, type Json, type JsonObject, memberAt, writeJson } from '../../request/json.ts';
import type { Operation } from '../../request/operation.ts';
import type { Guarded } from './permit.ts';

/**
 * The request in a form that the API server carries out only on the object that was looked at: the resourceVersion in the
 * object or patch, the uid of a deletion or eviction. Where it has moved on, the API server says 409 and does nothing.
 *
 * A JSON patch gets it as its last operation, not as a `test` in front: a failed test is a 422 that cannot be told from
 * any other, and what an agent's own operations do to the version before that does not count.
 *
 * @returns undefined where there is nothing to guard: nothing was there, the caller has named a version, or a connect
 * @throws SallyportError SP_UNSUPPORTED_MEDIA_TYPE for a body into which nothing can be written
 */
export function guard(
  operation: Operation,
  body: Body | undefined,
  target: ApprovalRequestTarget,
): Guarded | undefined {
  const { verb, subresource } = operation;
  const { uid, resourceVersion } = target;
  if (verb === 'delete') return uid === undefined ? undefined : guardDeletion(operation, body, uid);
  if (verb === 'create' && subresource === 'eviction' && uid !== undefined) return guardEviction(body, uid);
  if ((verb !== 'update' && verb !== 'patch') || resourceVersion === undefined) return undefined;
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
  const named = memberAt(body.tree, 'metadata', 'resourceVersion');
  // The caller's own precondition was in force in the dry run, too.
  if (typeof named === 'string' && named !== '') return undefined;
  return { body: Buffer.from(writeJson(withMember(body.tree, ['metadata', 'resourceVersion'], resourceVersion))) };
}

function guardDeletion(operation: Operation, body: Body | undefined, uid: string): Guarded | undefined {
  if (body !== undefined && body.encoding !== 'empty' && !isObject(body.tree)) throw unwritable();
  // One that the caller has named is stricter, or it is this one.
  if (deleteOptions(operation, body).preconditions.uid !== undefined) return undefined;
  // A body silences the query, so the precondition goes where the other options are.
  if (isObject(body?.tree)) {
    return { body: Buffer.from(writeJson(withMember(body.tree, ['preconditions', 'uid'], uid))) };
  }
  const rest = operation.query.split('&').filter((pair) => pair !== '' && !/^uid(=|$)/.test(pair));
  return { query: [...rest, `uid=${encodeURIComponent(uid)}`].join('&') };
}

function guardEviction(body: Body | undefined, uid: string): Guarded | undefined {
  if (!isObject(body?.tree)) throw unwritable();
  if (typeof memberAt(body.tree, 'deleteOptions', 'preconditions', 'uid') === 'string') return undefined;
  return { body: Buffer.from(writeJson(withMember(body.tree, ['deleteOptions', 'preconditions', 'uid'], uid))) };
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
    'an approved change is bound to the object that was looked at, which takes JSON: send the body as JSON or YAML',
  );
}
