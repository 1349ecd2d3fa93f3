import type { Budget, CelValue } from '../cel/engine.ts';
import type { Field } from './field.ts';
import { containersOf, podTemplate } from './pod-template.ts';

const distinct = (list: readonly string[]): string[] => [...new Set(list)];

/** Images of all containers and of image volumes, each once. */
export function images(object: CelValue, budget: Budget): string[] {
  const spec = podTemplate(object, budget)?.spec;
  if (spec === undefined) return [];
  const found = containersOf(spec).map((container) => container.get('image').string());
  for (const volume of spec.get('volumes').items()) found.push(volume.at('image', 'reference').string());
  return distinct(found.filter((image) => image !== ''));
}

/** `hostPath`, `secret`, …; for a projected volume also `projected/secret`, `projected/serviceAccountToken`, …. */
export function volumeTypes(object: CelValue, budget: Budget): string[] {
  const spec = podTemplate(object, budget)?.spec;
  if (spec === undefined) return [];
  const found: string[] = [];
  for (const volume of spec.get('volumes').items()) {
    const sources = sourcesOf(volume);
    found.push(...(sources.length === 0 ? ['emptyDir'] : sources));
    for (const source of volume.at('projected', 'sources').items()) {
      for (const [type] of source.entries()) found.push(`projected/${type}`);
    }
  }
  return distinct(found);
}

/** The API server makes an emptyDir of a volume without a source. */
export const sourcesOf = (volume: Field): string[] =>
  volume
    .entries()
    .map(([key]) => key)
    .filter((key) => key !== 'name');

/** Volume sources whose driver is handed a Secret, and the field that names it. */
const SECRET_FIELDS: readonly (readonly [source: string, ...path: string[]])[] = [
  ['secret', 'secretName'],
  ['csi', 'nodePublishSecretRef', 'name'],
  ['azureFile', 'secretName'],
  ['rbd', 'secretRef', 'name'],
  ['cephfs', 'secretRef', 'name'],
  ['cinder', 'secretRef', 'name'],
  ['iscsi', 'secretRef', 'name'],
  ['scaleIO', 'secretRef', 'name'],
  ['flexVolume', 'secretRef', 'name'],
  ['storageos', 'secretRef', 'name'],
];

/** Names of the Secrets that the Pod reads, or the kubelet on its behalf, each once. */
export function secretsOf(object: CelValue, budget: Budget): string[] {
  const spec = podTemplate(object, budget)?.spec;
  if (spec === undefined) return [];
  const found: string[] = [];
  const take = (reference: Field, ...path: string[]): void => {
    if (!reference.present) return;
    const name = reference.at(...path);
    if (name.present) found.push(name.string());
  };
  for (const secret of spec.get('imagePullSecrets').items()) take(secret, 'name');
  for (const container of containersOf(spec)) {
    for (const variable of container.get('env').items()) take(variable.at('valueFrom', 'secretKeyRef'), 'name');
    for (const source of container.get('envFrom').items()) take(source.get('secretRef'), 'name');
  }
  for (const volume of spec.get('volumes').items()) {
    for (const [source, ...path] of SECRET_FIELDS) take(volume.get(source), ...path);
    for (const source of volume.at('projected', 'sources').items()) take(source.get('secret'), 'name');
  }
  return distinct(found);
}

/** The account the Pods run as; '' for what runs no Pods. */
export function serviceAccountOf(object: CelValue, budget: Budget): string {
  const spec = podTemplate(object, budget)?.spec;
  if (spec === undefined) return '';
  // serviceAccount is the older name of the field; the newer one wins.
  return spec.get('serviceAccountName').string() || spec.get('serviceAccount').string() || 'default';
}
