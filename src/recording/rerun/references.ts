import { escapeLine } from '../../errors.ts';
import { IDENTITIES, type Known, type LookUp, type Mapping, Unresolved } from './known.ts';

type Fields = Record<string, unknown>;

/** As an API server draws them; a name or a number that is called `uid` is none. */
const UID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const REVISION = /^[1-9]\d*$/;
const PART_OF_PATH = /^[A-Za-z0-9.:_-]{1,253}$/;
const API_VERSION = /^[A-Za-z0-9._-]{1,253}(?:\/[A-Za-z0-9._-]{1,63})?$/;
/** Maps of text, whose keys say nothing. */
const TEXTS = /^\/(?:data|stringData|binaryData)\/[^/]*$|\/(?:annotations|labels|matchLabels)\/[^/]*$/;

/** Where the identities of a body are looked up. */
export interface Cluster {
  readonly lookUp: LookUp;
  readonly mapping: Mapping;
  /** Of the request, for what names none. */
  readonly namespace: string | undefined;
  /** The object that the request is for. */
  readonly target: () => Promise<Known | undefined>;
  /** Uids that were replaced: a Job's labels and selector hold its own one again. */
  readonly replaced: Map<string, string>;
}

/**
 * Puts the other cluster's uids and revisions into a part of a body: preconditions get those of the request's object; owners and what
 * else names an object (`involvedObject`, `regarding`, `claimRef`, a Binding's `target`) theirs.
 * @param pointer where the part stands in the body, as RFC 6901 writes it
 * @throws Unresolved naming what is left
 */
export async function resolveReferences(value: unknown, pointer: string, cluster: Cluster): Promise<void> {
  if (typeof value !== 'object' || value === null) return;
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) await resolveReferences(item, `${pointer}/${index}`, cluster);
    return;
  }
  const fields = value as Fields;
  if (/^(?:\/deleteOptions)?\/preconditions$/.test(pointer)) return putIn(fields, await present(cluster), cluster);
  if (namesObject(fields)) {
    if (IDENTITIES.some((name) => isText(fields[name]))) putIn(fields, await named(fields, pointer, cluster), cluster);
  } else {
    for (const name of IDENTITIES) refuseIdentity(fields[name], `${pointer}/${name}`);
  }
  for (const [name, part] of Object.entries(fields)) {
    await resolveReferences(part, `${pointer}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`, cluster);
  }
}

/** @throws Unresolved where a value at this place is an identity of the recorded cluster */
export function refuseIdentity(value: unknown, pointer: string): void {
  if (typeof value !== 'string' || TEXTS.test(pointer)) return;
  const name = pointer.slice(pointer.lastIndexOf('/') + 1);
  if (!(name === 'uid' && UID.test(value)) && !(name === 'resourceVersion' && REVISION.test(value))) return;
  throw new Unresolved(`${escapeLine(pointer)} is of the recorded cluster, and nothing says whose it is`);
}

export function putIn(fields: Fields, there: Known, { replaced }: Cluster): void {
  if (typeof fields['uid'] === 'string' && UID.test(fields['uid'])) replaced.set(fields['uid'], there.uid);
  for (const name of IDENTITIES) if (isText(fields[name])) fields[name] = there[name];
}

/** @throws Unresolved */
export async function present(cluster: Cluster): Promise<Known> {
  const there = await cluster.target();
  if (there === undefined) throw new Unresolved('the object that it names is not there');
  return there;
}

export function isText(value: unknown): boolean {
  return typeof value === 'string' && value !== '';
}

function namesObject({ kind, name }: Fields): boolean {
  return isText(kind) && isText(name);
}

async function named(reference: Fields, pointer: string, cluster: Cluster): Promise<Known> {
  const { apiVersion, kind, name, namespace } = reference;
  const what = `${/\/ownerReferences\//.test(`${pointer}/`) ? 'its owner' : 'what it names,'} ${escapeLine(`${kind}/${name}`)}`;
  // A Binding's target is a Node of which only kind and name are said.
  const version = isText(apiVersion) ? String(apiVersion) : 'v1';
  const where = isText(namespace) ? String(namespace) : cluster.namespace;
  const parts = [kind, name, ...(where === undefined ? [] : [where])].map(String);
  if (!API_VERSION.test(version) || !parts.every((part) => PART_OF_PATH.test(part) && !/^\.+$/.test(part)))
    throw new Unresolved(`${what} is not there`);
  const found = await cluster.mapping(version, String(kind));
  const group = version.includes('/') ? `/apis/${version}` : `/api/${version}`;
  const inside = found?.namespaced === true && where !== undefined ? `/namespaces/${where}` : '';
  const there = found && (await cluster.lookUp(`${group}${inside}/${found.plural}/${String(name)}`));
  if (there === undefined) throw new Unresolved(`${what} is not there`);
  return there;
}
