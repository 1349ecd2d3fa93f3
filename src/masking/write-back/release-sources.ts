import { type Json, memberAt } from '../../request/json.ts';
import { documentsOf, HELM_TYPE, REVISION, readDocument, readRelease } from './helm-release.ts';
import type { View } from './original.ts';
import { treeHoldsPlaceholder } from './placeholder-search.ts';
import type { Tracer } from './tracer.ts';

/** Which Helm release an object belongs to. */
export interface ReleaseName {
  readonly name: string;
  readonly namespace: string;
  /** Whether it is a revision of the release itself. */
  readonly isRevision: boolean;
}

const NAME = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;

/**
 * The release that wrote, or is about to write, an object: by the type of its Secrets, the name of its ConfigMaps, or by the annotations that Helm gives all
 * that it renders.
 * @param namespace of the write; '' for cluster-scoped objects
 * @param trees what is sent, and what is there
 */
export function releaseOf(namespace: string, ...trees: readonly (Json | undefined)[]): ReleaseName | undefined {
  const text = (...path: readonly string[]): string | undefined =>
    trees.map((tree) => memberAt(tree, ...path)).find((value): value is string => typeof value === 'string');
  const isOfConfigMap = text('kind') === 'ConfigMap' && text('metadata', 'name')?.startsWith(REVISION) === true;
  if (text('type') === HELM_TYPE || isOfConfigMap) {
    const own = /^sh\.helm\.release\.v1\.(.+)\.v[0-9]+$/.exec(text('metadata', 'name') ?? '')?.[1];
    return own === undefined || !NAME.test(own) ? undefined : { name: own, namespace, isRevision: true };
  }
  const name = text('metadata', 'annotations', 'meta.helm.sh/release-name');
  const home = text('metadata', 'annotations', 'meta.helm.sh/release-namespace');
  if (name === undefined || home === undefined || !NAME.test(name) || !NAME.test(home)) return undefined;
  // What one namespace hides is not carried into another.
  return namespace !== '' && home !== namespace ? undefined : { name, namespace: home, isRevision: false };
}

/** What each revision's manifest (and its hooks) says of one object: views of it at the object's own paths. */
export function renderedViews(revision: View, tracer: Tracer, kind: string, name: string): View[] {
  const [real, shown, traced] = [revision.real, revision.shown, revision.traced].map((tree) => {
    const release = readRelease(textOf(memberAt(tree, 'data', 'release')));
    return release === undefined ? [] : manifestsOf(release);
  });
  const views: View[] = [];
  for (const [i, text] of real!.entries()) {
    if (!text.includes(kind) || !text.includes(name)) continue;
    const tree = readDocument(text);
    if (memberAt(tree, 'kind') !== kind || memberAt(tree, 'metadata', 'name') !== name) continue;
    const [seen, tokens] = [readDocument(shown![i] ?? ''), readDocument(traced![i] ?? '')];
    if (tree === undefined || seen === undefined || tokens === undefined) continue;
    views.push({ real: tree, shown: seen, traced: tracer.opened(tokens), own: false });
  }
  return views;
}

/** Secrets that a release's manifest renders with placeholders in it: a chart that looks a Secret up renders what it saw. */
export function lookedUpSecrets(data: string): readonly string[] {
  const release = readRelease(data);
  if (release === undefined) return [];
  const names = new Set<string>();
  for (const text of manifestsOf(release)) {
    if (!/^kind: *["']?Secret/m.test(text)) continue;
    const tree = readDocument(text);
    const name = memberAt(tree, 'metadata', 'name');
    if (tree !== undefined && typeof name === 'string' && NAME.test(name) && treeHoldsPlaceholder(tree))
      names.add(name);
  }
  return [...names];
}

function manifestsOf(release: Json): string[] {
  const hooks = memberAt(release, 'hooks');
  const texts = [
    memberAt(release, 'manifest'),
    ...(Array.isArray(hooks) ? hooks : []).map((hook) => memberAt(hook, 'manifest')),
  ];
  return texts.flatMap((text) => documentsOf(textOf(text)));
}

function textOf(value: Json | undefined): string {
  return typeof value === 'string' ? value : '';
}
