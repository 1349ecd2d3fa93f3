import { createHash } from 'node:crypto';
import { type AdmissionRequest, member } from './admission-review.ts';

/** On a dry run that writes nothing: by it the controller finds out whether the API server calls, with this very configuration. */
export const PROBE_ANNOTATION = 'sallyport.dev/webhook-probe';

const LEASE = 'sallyport-controller';
const ANSWER = 'Sallyport: the webhook was called, ';

/** Names a match condition. */
export function probeMark(expression: string): string {
  return createHash('sha256').update(expression).digest('hex').slice(0, 16);
}

/**
 * Added to the match condition that `mark` names. An API server that has not heard of that condition yet does not call for a
 * probe of this mark. Nobody but the controller may write this Lease.
 */
export function probeTerm(namespace: string, mark: string): string {
  const key = JSON.stringify(PROBE_ANNOTATION);
  return [
    'request.operation == "UPDATE"',
    'request.resource.group == "coordination.k8s.io"',
    'request.resource.resource == "leases"',
    `request.namespace == ${JSON.stringify(namespace)}`,
    `request.name == "${LEASE}"`,
    'has(object.metadata.annotations)',
    `${key} in object.metadata.annotations`,
    `object.metadata.annotations[${key}] == "${mark}"`,
  ].join(' && ');
}

/** @returns the warning to answer a probe with; undefined for every other review. It allows nothing: a dry run writes nothing. */
export function probeAnswer({ dryRun, operation, resource, name, object }: AdmissionRequest): string | undefined {
  if (!dryRun || operation !== 'UPDATE' || resource !== 'leases' || name !== LEASE) return undefined;
  const mark = member(member(member(object, 'metadata'), 'annotations'), PROBE_ANNOTATION);
  return typeof mark === 'string' && /^[0-9a-f]{16}$/.test(mark) ? `${ANSWER}${mark}` : undefined;
}

/** Whether these warnings of an answer hold that of the webhook. */
export function wasCalled(warnings: readonly string[], mark: string): boolean {
  return warnings.some((text) => text.includes(`${ANSWER}${mark}`));
}
