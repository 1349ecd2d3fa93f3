import type { Operation } from '../request/operation.ts';
import { type CelValue, isMap, Lazy, mapEntries, mapGet } from './cel/engine.ts';
import type { Labels } from './label-selector.ts';
import { resourceScope } from './scope.ts';

/**
 * Where an operation acts. `AllNamespaces` touches objects of any namespace; `Either` is the collection of a group that
 * is not known here: cluster-scoped, or all namespaces. `UnknownNamespace` is a Namespace being created whose name is
 * not known yet.
 */
export type Reach = 'Namespace' | 'Cluster' | 'AllNamespaces' | 'Either' | 'UnknownNamespace';

/** What matching reads of a question, worked out once for all rules. `undefined` means: not known, could be any. */
export interface Facts {
  readonly reach: Reach;
  readonly namespace: string;
  readonly name: string | undefined;
  readonly labels: Labels | undefined;
  /** Undefined while the ports of a port-forward are not known: each is judged before it opens. */
  readonly ports: readonly number[] | undefined;
  readonly isPortForward: boolean;
}

export interface Known {
  readonly object?: CelValue | Lazy | undefined;
  readonly namespaceObject?: CelValue | Lazy | undefined;
  readonly ports?: readonly number[] | undefined;
}

export function factsOf(operation: Operation, known: Known): Facts {
  const isPortForward = operation.portForward !== undefined;
  const ports = known.ports ?? operation.portForward?.ports ?? [];
  const name = nameOf(operation, known);
  const createsNamespace = operation.verb === 'create' && isNamespaces(operation);
  const namespace = createsNamespace ? operation.namespace || (name ?? '') : operation.namespace;
  return {
    reach: createsNamespace && namespace === '' ? 'UnknownNamespace' : reachOf(operation, namespace),
    namespace,
    name,
    // A Namespace that is being created has no other labels than those it is created with.
    labels: labelsOf(createsNamespace ? known.object : known.namespaceObject),
    ports: ports.length === 0 ? undefined : ports,
    isPortForward,
  };
}

function reachOf(operation: Operation, namespace: string): Reach {
  if (namespace !== '') return 'Namespace';
  if (!operation.isCollection) return 'Cluster';
  const scope = resourceScope(operation.apiGroup, operation.resource);
  return scope === 'Namespaced' ? 'AllNamespaces' : scope;
}

const isNamespaces = (operation: Operation): boolean =>
  operation.resource === 'namespaces' && operation.apiGroup === '' && operation.subresource === '';

/** A POST names its object in the body only, or leaves the name to the server (`generateName`). */
function nameOf(operation: Operation, known: Known): string | undefined {
  const name = operation.proxyTarget?.name ?? (operation.name || operation.fieldSelectorName);
  if (name !== undefined && name !== '') return name;
  if (operation.verb !== 'create' || operation.subresource !== '') return undefined;
  const written = metadataField(known.object, 'name');
  return typeof written === 'string' && written !== '' ? written : undefined;
}

function labelsOf(value: CelValue | Lazy | undefined): Labels | undefined {
  const object = force(value);
  if (object === undefined || !isMap(object)) return undefined;
  const labels = metadataField(value, 'labels') ?? null;
  if (labels === null) return new Map();
  if (!isMap(labels)) return undefined;
  const found = new Map<string, string>();
  for (const [key, label] of mapEntries(labels)) {
    if (typeof key !== 'string' || typeof label !== 'string') return undefined;
    found.set(key, label);
  }
  return found;
}

function metadataField(value: CelValue | Lazy | undefined, field: string): CelValue | undefined {
  const object = force(value);
  if (object === undefined || !isMap(object)) return undefined;
  const metadata = mapGet(object, 'metadata');
  return metadata !== undefined && isMap(metadata) ? mapGet(metadata, field) : undefined;
}

export const force = (value: CelValue | Lazy | undefined): CelValue | undefined =>
  value instanceof Lazy ? value.get() : value;
