import { type Budget, CelRuntimeError, type CelValue } from '../cel/engine.ts';
import type { Field } from './field.ts';
import { BASELINE } from './pod-security-baseline.ts';
import { RESTRICTED } from './pod-security-restricted.ts';
import { containersOf, podTemplate } from './pod-template.ts';

/** A Pod as the checks see it. */
export interface CheckedPod {
  readonly metadata: Field;
  readonly spec: Field;
  readonly containers: readonly Field[];
  readonly isWindows: boolean;
  /** `hostUsers: false`: root inside is nobody outside, so some checks are relaxed (KEP-127). */
  readonly hasUserNamespace: boolean;
}

export interface Violation {
  readonly path: string;
  readonly message: string;
}

/** One control of the Pod Security Standards, under the id that the API server's own admission gives it. */
export interface Check {
  readonly id: string;
  /** Checks of the baseline that this one, being stricter, stands for. */
  readonly replaces?: readonly string[];
  run(pod: CheckedPod): Violation[];
}

const LEVELS: Readonly<Record<string, readonly Check[]>> = {
  baseline: BASELINE,
  restricted: [
    ...BASELINE.filter((check) => !RESTRICTED.some((stricter) => stricter.replaces?.includes(check.id))),
    ...RESTRICTED,
  ],
};

/**
 * The Pod Security Standards, version `latest`, as of Kubernetes 1.35 and later:
 * https://kubernetes.io/docs/concepts/security/pod-security-standards/. Judged is the object as it is given; where the
 * API server fills in a default that a check reads, the default is assumed.
 *
 * @param level `baseline` or `restricted`
 * @returns violations, empty for what runs no Pods
 */
export function podSecurity(object: CelValue, level: CelValue, budget: Budget): CelValue {
  const checks = typeof level === 'string' && Object.hasOwn(LEVELS, level) ? LEVELS[level] : undefined;
  if (checks === undefined) throw new CelRuntimeError("podSecurity: the level must be 'baseline' or 'restricted'");
  const template = podTemplate(object, budget);
  if (template === undefined) return [];
  const { spec, metadata } = template;
  const pod: CheckedPod = {
    metadata,
    spec,
    containers: containersOf(spec),
    isWindows: spec.at('os', 'name').string() === 'windows',
    hasUserNamespace: spec.get('hostUsers').bool() === false,
  };
  return checks.flatMap(({ id, run }) => run(pod).map(({ path, message }) => ({ id, path, message })));
}
