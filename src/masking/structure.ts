import { parseFieldPath, type Segment } from './field-path.ts';

const fields = (...paths: readonly string[]): readonly (readonly Segment[])[] =>
  paths.map((path) => parseFieldPath(path));

/** What is masked by where it stands, whatever it holds. By kind; complete, because nothing has to be recognised. */
const STRUCTURE: ReadonlyMap<string, readonly (readonly Segment[])[]> = new Map([
  ['Secret', fields('data.*', 'stringData.*')],
  ['TokenRequest', fields('status.token')],
  ['TokenReview', fields('spec.token')],
  ['CertificateSigningRequest', []],
]);

export function structureOf(kind: string): readonly (readonly Segment[])[] {
  return STRUCTURE.get(kind) ?? [];
}

/** Kinds for whom quoted values in a Status message are replaced whole: a failed patch of a Secret repeats its other keys. */
export function hasMaskedFields(kind: string): boolean {
  return /^(?:secrets?|tokenrequests?|tokenreviews?)$/i.test(kind);
}

/** Members of metadata that hold nothing of anyone and that tools depend on. */
export const IDENTITY_MEMBERS: ReadonlySet<string> = new Set([
  ...['name', 'generateName', 'namespace', 'uid', 'resourceVersion', 'continue', 'selfLink', 'creationTimestamp'],
  ...['deletionTimestamp', 'managedFields', 'ownerReferences', 'finalizers', 'remainingItemCount', 'generation'],
]);

export const RULE_STRUCTURE = 'default-structure';
export const RULE_DETECTORS = 'default-detectors';
