import { parse } from 'yaml';
import { IDENTITIES, type Known, type LookUp, type Mapping, Unresolved } from './known.ts';
import { type Cluster, isText, present, putIn, refuseIdentity, resolveReferences } from './references.ts';
import type { Step } from './step.ts';

type Fields = Record<string, unknown>;

/**
 * The body of a step with the uids and revisions of the other cluster in place of those of the recorded one: an update carries the
 * revision of the object as it is there, preconditions its uid, owners and other references theirs.
 * @returns the body, or why it cannot be: no identity of the recorded cluster is sent
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
    return inYAML(step.body);
  }
  const path = objectPath(step.target.split('?', 1)[0]!, step.objectRef?.subresource);
  let target: Promise<Known | undefined> | undefined;
  const cluster: Cluster = {
    lookUp,
    mapping,
    namespace: step.objectRef?.namespace,
    target: () => (target ??= lookUp(path)),
    replaced: new Map(),
  };
  try {
    if (Array.isArray(value)) await inJSONPatch(value as unknown[], cluster);
    else if (typeof value === 'object' && value !== null) await inObject(value as Fields, creates(step), cluster);
  } catch (error) {
    if (error instanceof Unresolved) return { skipped: error.message };
    throw error;
  }
  const { replaced } = cluster;
  const renamed = (_name: string, part: unknown): unknown =>
    typeof part === 'string' ? (replaced.get(part) ?? part) : part;
  return { body: Buffer.from(JSON.stringify(value, replaced.size === 0 ? undefined : renamed)) };
}

/** What is created has no identity yet; what is posted below an object (a Binding, an Eviction) is about that one. */
function creates({ method, objectRef }: Step): boolean {
  return method === 'POST' && objectRef?.subresource === undefined;
}

async function inObject(object: Fields, isNew: boolean, cluster: Cluster): Promise<void> {
  for (const [name, part] of Object.entries(object)) {
    if (name === 'metadata') await inMetadata(part, isNew, cluster);
    else if (typeof part === 'string') refuseIdentity(part, `/${name}`);
    else await resolveReferences(part, `/${name}`, cluster);
  }
}

async function inMetadata(metadata: unknown, isNew: boolean, cluster: Cluster): Promise<void> {
  if (typeof metadata !== 'object' || metadata === null) return;
  const fields = metadata as Fields;
  for (const name of ['creationTimestamp', 'generation', 'managedFields', 'selfLink']) delete fields[name];
  if (IDENTITIES.some((name) => isText(fields[name]))) {
    const there = isNew ? undefined : await cluster.target();
    if (there === undefined) for (const name of IDENTITIES) delete fields[name];
    else putIn(fields, there, cluster);
  }
  for (const [name, part] of Object.entries(fields)) await resolveReferences(part, `/metadata/${name}`, cluster);
}

async function inJSONPatch(patch: readonly unknown[], cluster: Cluster): Promise<void> {
  for (const each of patch) {
    if (typeof each !== 'object' || each === null) continue;
    const operation = each as Fields;
    const { path, value } = operation;
    if (typeof path !== 'string') continue;
    const identity = /\/(uid|resourceVersion)$/.exec(path)?.[1] as keyof Known | undefined;
    if (identity !== undefined && isText(value)) {
      if (path !== `/metadata/${identity}`) refuseIdentity(value, path);
      else operation['value'] = (await present(cluster))[identity];
    } else if (typeof value === 'object' && value !== null) {
      if (path === '') await inObject(value as Fields, false, cluster);
      else if (path === '/metadata') await inMetadata(value, false, cluster);
      else await resolveReferences(value, path, cluster);
    }
  }
}

/** Of an apply patch: it names what is wanted. Written as it was, since YAML 1.1 and 1.2 read it differently. */
function inYAML(body: Buffer): { body: Buffer } | { skipped: string } {
  let holds = false;
  const look = (name: unknown, part: unknown): unknown => {
    holds ||= IDENTITIES.some((identity) => identity === name) && isText(part === null ? '' : String(part));
    return part;
  };
  try {
    parse(body.toString('utf8'), look);
  } catch {
    return { skipped: 'its YAML cannot be read' };
  }
  return holds ? { skipped: 'its YAML holds a uid or resourceVersion of the recorded cluster' } : { body };
}

function objectPath(path: string, subresource: string | undefined): string {
  return subresource !== undefined && path.endsWith(`/${subresource}`) ? path.slice(0, -subresource.length - 1) : path;
}
