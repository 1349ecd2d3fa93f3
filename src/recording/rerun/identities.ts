import type { Step } from './step.ts';

/** What the other cluster has of an object. */
export interface Known {
  readonly uid: string;
  readonly resourceVersion: string;
}

/** Looks an object up in the cluster that the requests go to. */
export type LookUp = (path: string) => Promise<Known | undefined>;
/** The plural of a kind there, with whether it is namespaced; undefined where it does not serve it. */
export type Mapping = (
  apiVersion: string,
  kind: string,
) => Promise<{ plural: string; namespaced: boolean } | undefined>;

type Fields = Record<string, unknown>;

/**
 * The body of a step with the uids and revisions of the other cluster in place of those of the recorded one: an update carries the
 * revision of the object as it is there, preconditions its uid, owners theirs.
 * @returns the body, or why it cannot be
 */
export async function resolveIdentities(
  step: Step,
  lookUp: LookUp,
  mapping: Mapping,
): Promise<{ body: Buffer | undefined } | { skipped: string }> {
  if (step.body === undefined) return { body: undefined };
  let value: unknown;
  try {
    value = JSON.parse(step.body.toString('utf8'));
  } catch {
    // YAML of an apply patch: it names what is wanted; a revision in it is a precondition that nobody can put right here.
    return /^\s*(?:resourceVersion|uid):/m.test(step.body.toString('utf8'))
      ? { skipped: 'its YAML holds a uid or resourceVersion of the recorded cluster' }
      : { body: step.body };
  }
  const path = step.target.split('?', 1)[0]!;
  if (Array.isArray(value)) return await inJSONPatch(value, path, lookUp);
  if (typeof value !== 'object' || value === null) return { body: step.body };
  const object = structuredClone(value) as Fields;
  let target: Promise<Known | undefined> | undefined;
  const known = (): Promise<Known | undefined> => (target ??= lookUp(objectPath(path, step.objectRef?.subresource)));
  const metadata = object['metadata'] as Fields | undefined;
  if (typeof metadata === 'object' && metadata !== null) {
    for (const name of ['uid', 'resourceVersion'] as const) {
      if (metadata[name] === undefined || metadata[name] === '') continue;
      const there = step.method === 'POST' ? undefined : await known();
      if (there === undefined) delete metadata[name];
      else metadata[name] = there[name];
    }
    for (const name of ['creationTimestamp', 'generation', 'managedFields', 'selfLink']) delete metadata[name];
    const owners = metadata['ownerReferences'];
    if (Array.isArray(owners)) {
      for (const owner of owners as Fields[]) {
        const found = await ownerThere(owner, step.objectRef?.namespace, lookUp, mapping);
        if (found === undefined)
          return { skipped: `its owner ${String(owner['kind'])}/${String(owner['name'])} is not there` };
        owner['uid'] = found.uid;
      }
    }
  }
  const preconditions = object['preconditions'] as Fields | undefined;
  if (typeof preconditions === 'object' && preconditions !== null) {
    const there = await known();
    if (there === undefined) return { skipped: 'the object that it names is not there' };
    if (preconditions['uid'] !== undefined) preconditions['uid'] = there.uid;
    if (preconditions['resourceVersion'] !== undefined) preconditions['resourceVersion'] = there.resourceVersion;
  }
  return { body: Buffer.from(JSON.stringify(object)) };
}

async function inJSONPatch(
  patch: unknown[],
  path: string,
  lookUp: LookUp,
): Promise<{ body: Buffer } | { skipped: string }> {
  const changed = structuredClone(patch) as Fields[];
  for (const operation of changed) {
    const name = /^\/metadata\/(uid|resourceVersion)$/.exec(String(operation?.['path']))?.[1] as
      | keyof Known
      | undefined;
    if (name === undefined || operation['value'] === undefined) continue;
    const there = await lookUp(path);
    if (there === undefined) return { skipped: 'the object that it names is not there' };
    operation['value'] = there[name];
  }
  return { body: Buffer.from(JSON.stringify(changed)) };
}

async function ownerThere(
  owner: Fields,
  namespace: string | undefined,
  lookUp: LookUp,
  mapping: Mapping,
): Promise<Known | undefined> {
  const { apiVersion, kind, name } = owner;
  if (![apiVersion, kind, name].every((part) => typeof part === 'string' && /^[A-Za-z0-9./:_-]{1,253}$/.test(part)))
    return undefined;
  const found = await mapping(String(apiVersion), String(kind));
  if (found === undefined) return undefined;
  const group = String(apiVersion).includes('/') ? `/apis/${String(apiVersion)}` : `/api/${String(apiVersion)}`;
  const where = found.namespaced && namespace !== undefined ? `/namespaces/${namespace}` : '';
  return await lookUp(`${group}${where}/${found.plural}/${String(name)}`);
}

function objectPath(path: string, subresource: string | undefined): string {
  return subresource !== undefined && path.endsWith(`/${subresource}`) ? path.slice(0, -subresource.length - 1) : path;
}
