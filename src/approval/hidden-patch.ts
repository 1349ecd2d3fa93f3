import { HIDDEN, isSecretName } from './hidden-arguments.ts';

type Fields = Readonly<Record<string, unknown>>;

/**
 * A patch as an approver may see it, where its result cannot be shown: what it would write to Secrets, environments and
 * members named like secrets is hidden. What is an object in it is left to `hideValues`, which knows objects.
 * @param resource the plural name of what is patched
 */
export function hidePatch(resource: string, patch: unknown): unknown {
  if (!Array.isArray(patch)) return resource === 'secrets' && isFields(patch) ? { ...patch, kind: 'Secret' } : patch;
  // RFC 6902. A `test` says what a value is, too.
  return patch.map((operation: unknown) => {
    if (!isFields(operation) || !('value' in operation)) return operation;
    return hides(resource, operation['path']) ? { ...operation, value: HIDDEN } : operation;
  });
}

function hides(resource: string, path: unknown): boolean {
  if (typeof path !== 'string' || resource === 'secrets') return true;
  const names = path.split('/').map((name) => name.replaceAll('~1', '/').replaceAll('~0', '~'));
  return names.some((name) => name === 'env' || name === 'args' || name === 'command' || isSecretName(name));
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
