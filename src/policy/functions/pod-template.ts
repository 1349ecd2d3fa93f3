import { type Budget, CelRuntimeError, type CelValue } from '../cel/engine.ts';
import { Field } from './field.ts';

/** Where an object says what its Pods are. */
export interface PodTemplate {
  readonly metadata: Field;
  readonly spec: Field;
}

const TEMPLATE = ['spec', 'template'];
/** By `group/Kind`; versions of one group agree. */
const KINDS: Readonly<Record<string, readonly string[]>> = {
  '/Pod': [],
  '/PodTemplate': ['template'],
  '/ReplicationController': TEMPLATE,
  'apps/Deployment': TEMPLATE,
  'apps/StatefulSet': TEMPLATE,
  'apps/DaemonSet': TEMPLATE,
  'apps/ReplicaSet': TEMPLATE,
  'batch/Job': TEMPLATE,
  'batch/CronJob': ['spec', 'jobTemplate', 'spec', 'template'],
};
/** Kinds of Kubernetes itself that are no workloads: an odd field in one of them is no Pod. */
const OWN_GROUPS = new Set([
  '',
  'apps',
  'batch',
  'autoscaling',
  'policy',
  'networking.k8s.io',
  'rbac.authorization.k8s.io',
]);
const SHAPES: readonly (readonly string[])[] = [
  [],
  TEMPLATE,
  ['spec', 'jobTemplate', 'spec', 'template'],
  ['template'],
];

/**
 * The Pod of a Pod, or the Pod template of a workload; undefined for what runs no Pods, and for null.
 *
 * A kind that is not known here (an Argo Rollout, an OpenKruise CloneSet, an object without `kind`) is a workload where
 * it is shaped like one: `spec.template.spec.containers`, `spec.jobTemplate.spec.template.spec.containers`,
 * `template.spec.containers` or `spec.containers`. With several of these it is an error: one could hide the other.
 */
export function podTemplate(object: CelValue, budget: Budget): PodTemplate | undefined {
  const root = Field.root(object, budget);
  if (!root.present) return undefined;
  const kind = root.get('kind').string();
  const apiVersion = root.get('apiVersion').string();
  const slash = apiVersion.indexOf('/');
  const group = slash === -1 ? '' : apiVersion.slice(0, slash);
  if (kind !== '' && apiVersion !== '') {
    const known = KINDS[`${group}/${kind}`];
    if (known !== undefined) return at(root, known);
    if (OWN_GROUPS.has(group) || group.endsWith('.k8s.io')) return undefined;
  }
  const shaped = SHAPES.filter((shape) => hasContainers(root, shape));
  if (shaped.length > 1) throw new CelRuntimeError('the object holds several Pod templates');
  return shaped[0] === undefined ? undefined : at(root, shaped[0]);
}

function at(root: Field, path: readonly string[]): PodTemplate {
  const place = root.at(...path);
  const spec = place.get('spec');
  if (!spec.present) throw new CelRuntimeError(`${spec.path} is missing`);
  return { metadata: place.get('metadata'), spec };
}

/** Of a kind that is not known, other types than a Pod's are no error, only no Pod. */
function hasContainers(root: Field, path: readonly string[]): boolean {
  try {
    return root.at(...path, 'spec', 'containers').present;
  } catch {
    return false;
  }
}

/** Containers of every kind: an init or ephemeral container runs as much as any other. */
export const containersOf = (spec: Field): Field[] => [
  ...spec.get('initContainers').items(),
  ...spec.get('containers').items(),
  ...spec.get('ephemeralContainers').items(),
];
