import { isObject, type Json, JsonNumber, type JsonObject, memberAt } from './json.ts';
import type { Operation } from './operation.ts';

/**
 * A body in the form that digests are made of: names sorted, numbers by their text, and what differs between two runs
 * of the same command replaced by a mark. A mark is not JSON (it begins with `@`), so no value that a client can send
 * reads the same; and where something is marked rather than left out, its presence still counts.
 */

/**
 * What differs from run to run in the body of one kubectl command:
 * - `metadata.managedFields`, left out;
 * - the time in `kubectl.kubernetes.io/restartedAt` of the Pod template (`kubectl rollout restart`);
 * - the random names that `kubectl debug` draws: ephemeral containers `debugger-xxxxx` and Pods `node-debugger-NODE-xxxxx`.
 */
export function normalIntentBody(
  operation: Pick<Operation, 'apiGroup' | 'resource' | 'subresource'>,
  tree: Json,
): string {
  const normal = new Normal();
  withoutManagedFields(normal, tree);
  markRestart(normal, tree);
  if (operation.apiGroup === '' && operation.resource === 'pods') markDebugger(normal, operation.subresource, tree);
  return normal.write(tree);
}

/** What the server fills into an object before a webhook sees it, besides the above. `status` counts where it is what is written. */
export function normalAdmissionObject(
  operation: Pick<Operation, 'apiGroup' | 'resource' | 'subresource'>,
  object: Json,
): string {
  return fillAdmission(new Normal(), operation, object);
}

function fillAdmission(
  normal: Normal,
  operation: Pick<Operation, 'apiGroup' | 'resource' | 'subresource'>,
  object: Json,
): string {
  if (isObject(object)) {
    const metadata = object.get('metadata');
    for (const name of ['uid', 'creationTimestamp', 'resourceVersion', 'generation']) normal.omit(metadata, name);
    if (operation.subresource === '') normal.omit(object, 'status');
  }
  withoutManagedFields(normal, object);
  markRestart(normal, object);
  if (operation.apiGroup === '' && operation.resource === 'pods') {
    markDebugger(normal, operation.subresource, object);
    markTokenVolumes(normal, object);
  }
  return normal.write(object);
}

/**
 * What a dry run gives, without what the server draws anew for each: the above, names from `generateName`, the addresses and
 * node ports of a Service, and the object's own uid wherever it is repeated (a Job's selector and labels). Whatever of that
 * a client chose is in its own body, and so in the intent digest.
 */
export function normalResult(
  operation: Pick<Operation, 'apiGroup' | 'resource' | 'subresource'>,
  object: Json,
): string {
  const normal = new Normal();
  const metadata = memberAt(object, 'metadata');
  if ((memberAt(metadata, 'generateName') ?? '') !== '') normal.omit(metadata, 'name');
  if (operation.apiGroup === '' && operation.resource === 'services') {
    const spec = memberAt(object, 'spec');
    for (const name of ['clusterIP', 'clusterIPs', 'healthCheckNodePort']) normal.omit(spec, name);
    const ports = memberAt(spec, 'ports');
    for (const port of Array.isArray(ports) ? ports : []) normal.omit(port, 'nodePort');
  }
  // Of a scale or of ephemeral containers too, unlike in admission, the status is the server's own business.
  if (operation.subresource !== 'status' && operation.subresource !== 'approval') normal.omit(object, 'status');
  const uid = memberAt(metadata, 'uid');
  const text = fillAdmission(normal, operation, object);
  return typeof uid === 'string' && uid !== '' ? text.replaceAll(JSON.stringify(uid), '@uid') : text;
}

/** Writes a tree with some members left out and some strings marked; the tree itself is not touched. */
class Normal {
  readonly #omitted = new Map<JsonObject, Set<string>>();
  readonly #marked = new Map<JsonObject, Map<string, string>>();

  omit(object: Json | undefined, name: string): void {
    if (!isObject(object) || !object.has(name)) return;
    let names = this.#omitted.get(object);
    if (names === undefined) this.#omitted.set(object, (names = new Set()));
    names.add(name);
  }

  mark(object: JsonObject, name: string, mark: string): void {
    let marks = this.#marked.get(object);
    if (marks === undefined) this.#marked.set(object, (marks = new Map()));
    marks.set(name, mark);
  }

  write(value: Json): string {
    if (value === null || typeof value === 'boolean') return String(value);
    if (typeof value === 'string') return JSON.stringify(value);
    if (value instanceof JsonNumber) return value.text;
    if (Array.isArray(value)) {
      let out = '[';
      for (let i = 0; i < value.length; i++) out += (i === 0 ? '' : ',') + this.write(value[i]!);
      return `${out}]`;
    }
    const omitted = this.#omitted.get(value);
    const marks = this.#marked.get(value);
    let out = '{';
    for (const name of [...value.keys()].sort(byCodeUnits)) {
      if (omitted?.has(name) === true) continue;
      const written = marks?.get(name) ?? this.write(value.get(name)!);
      out += `${out === '{' ? '' : ','}${JSON.stringify(name)}:${written}`;
    }
    return `${out}}`;
  }
}

function byCodeUnits(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function withoutManagedFields(normal: Normal, tree: Json): void {
  normal.omit(memberAt(tree, 'metadata'), 'managedFields');
}

const RESTARTED_AT = 'kubectl.kubernetes.io/restartedAt';
const TIME = /^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})$/;

function markRestart(normal: Normal, tree: Json): void {
  const annotations = memberAt(tree, 'spec', 'template', 'metadata', 'annotations');
  if (!isObject(annotations)) return;
  const time = annotations.get(RESTARTED_AT);
  if (typeof time === 'string' && TIME.test(time)) normal.mark(annotations, RESTARTED_AT, '@time');
}

/** The alphabet of apimachinery's `rand.String`. */
const DEBUGGER = /^debugger-[bcdfghjklmnpqrstvwxz2456789]{5}$/;
const NODE_DEBUGGER = /^(node-debugger-.*-)[bcdfghjklmnpqrstvwxz2456789]{5}$/;

function markDebugger(normal: Normal, subresource: string, tree: Json): void {
  if (subresource === 'ephemeralcontainers') {
    const spec = memberAt(tree, 'spec');
    // Numbered by their first appearance: two names stay two names.
    const numbers = new Map<string, number>();
    for (const list of ['$setElementOrder/ephemeralContainers', 'ephemeralContainers']) {
      const containers = memberAt(spec, list);
      if (!Array.isArray(containers)) continue;
      for (const container of containers) markName(normal, container, DEBUGGER, numbers, 'debugger');
    }
  } else if (subresource === '') {
    const metadata = memberAt(tree, 'metadata');
    if (!isObject(metadata)) return;
    const name = metadata.get('name');
    const fixed = typeof name === 'string' ? NODE_DEBUGGER.exec(name)?.[1] : undefined;
    if (fixed !== undefined) normal.mark(metadata, 'name', `@node-debugger${JSON.stringify(fixed)}`);
  }
}

function markName(
  normal: Normal,
  holder: Json | undefined,
  pattern: RegExp,
  numbers: Map<string, number>,
  mark: string,
): void {
  if (!isObject(holder)) return;
  const name = holder.get('name');
  if (typeof name !== 'string' || !pattern.test(name)) return;
  const number = numbers.get(name) ?? numbers.size + 1;
  numbers.set(name, number);
  normal.mark(holder, 'name', `@${mark}${number}`);
}

const TOKEN_VOLUME = /^kube-api-access-[bcdfghjklmnpqrstvwxz2456789]{5}$/;

/**
 * The volume with the ServiceAccount's token gets a random name. Only the name is marked: what is in the volume and
 * where it is mounted still counts, or anything could be hidden under such a name.
 */
function markTokenVolumes(normal: Normal, pod: Json): void {
  const spec = memberAt(pod, 'spec');
  const numbers = new Map<string, number>();
  const volumes = memberAt(spec, 'volumes');
  if (!Array.isArray(volumes)) return;
  for (const volume of volumes) markName(normal, volume, TOKEN_VOLUME, numbers, 'kube-api-access');
  for (const list of ['initContainers', 'containers', 'ephemeralContainers']) {
    const containers = memberAt(spec, list);
    if (!Array.isArray(containers)) continue;
    for (const container of containers) {
      const mounts = memberAt(container, 'volumeMounts');
      if (!Array.isArray(mounts)) continue;
      for (const mount of mounts) markName(normal, mount, TOKEN_VOLUME, numbers, 'kube-api-access');
    }
  }
}
