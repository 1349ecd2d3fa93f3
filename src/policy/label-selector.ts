import type { LabelSelector } from './agent-policy.ts';

export type Labels = ReadonlyMap<string, string>;

/** metav1.LabelSelector: all requirements must hold; without any, everything is selected. */
export interface CompiledSelector {
  readonly everything: boolean;
  test(labels: Labels): boolean;
}

type Requirement = (labels: Labels) => boolean;

/** @throws Error where the selector is not one, with a message for the policy's author. */
export function compileSelector(selector: LabelSelector): CompiledSelector {
  const requirements: Requirement[] = [];
  for (const [key, value] of Object.entries(selector.matchLabels ?? {})) {
    requirements.push((labels) => labels.get(key) === value);
  }
  for (const { key, operator, values = [] } of selector.matchExpressions ?? []) {
    const listed = new Set(values);
    if ((operator === 'In' || operator === 'NotIn') !== listed.size > 0) {
      throw new Error(`namespaceSelector: values do not go with the operator ${String(operator)} of key ${key}`);
    }
    switch (operator) {
      case 'In':
        requirements.push((labels) => listed.has(labels.get(key) ?? '') && labels.has(key));
        break;
      case 'NotIn':
        requirements.push((labels) => !labels.has(key) || !listed.has(labels.get(key) ?? ''));
        break;
      case 'Exists':
        requirements.push((labels) => labels.has(key));
        break;
      case 'DoesNotExist':
        requirements.push((labels) => !labels.has(key));
        break;
      default:
        throw new Error(`namespaceSelector: unknown operator ${String(operator satisfies never)}`);
    }
  }
  return {
    everything: requirements.length === 0,
    test: (labels) => requirements.every((requirement) => requirement(labels)),
  };
}
