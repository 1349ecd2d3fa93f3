import type { Field } from './field.ts';
import type { CheckedPod, Violation } from './pod-security.ts';

export const violation = (field: Field, message: string): Violation => ({ path: field.path, message });

/** The security context of the Pod, then those of its containers. */
export const contextsOf = (pod: CheckedPod): Field[] => [
  pod.spec.get('securityContext'),
  ...pod.containers.map((container) => container.get('securityContext')),
];

/** A field of every security context that must hold a permitted value where it is set. */
export function eachContext(
  pod: CheckedPod,
  path: readonly string[],
  permitted: (field: Field) => boolean,
  must: string,
): Violation[] {
  const fields = contextsOf(pod).map((context) => context.at(...path));
  return fields.filter((field) => field.present && !permitted(field)).map((field) => violation(field, must));
}

/** For profiles: a profile that is there without a permitted type, even without any, violates. */
export function eachProfile(pod: CheckedPod, name: string, types: ReadonlySet<string>, must: string): Violation[] {
  return contextsOf(pod)
    .map((context) => context.get(name))
    .filter((profile) => profile.present && !types.has(profile.get('type').string()))
    .map((profile) => violation(profile.get('type'), must));
}
