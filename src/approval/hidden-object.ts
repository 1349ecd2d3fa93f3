import { HIDDEN, hideArguments, isSecretName } from './hidden-arguments.ts';

type Fields = Record<string, unknown>;

/** Deeper than any object of Kubernetes; what lies below is not shown. */
const MAX_DEPTH = 100;
const CHANGED = '<hidden, changed>';
/** They say everything again, values included. */
const REPEATING = new Set(['kubectl.kubernetes.io/last-applied-configuration']);

/**
 * An object as an approver may see it: no values of Secrets, environments and arguments for secrets, nor of entries of a
 * ConfigMap that are named like one; no managedFields. Beside its other version a hidden value still tells whether it
 * changed. Neither is touched.
 * @param other the version to compare with; undefined for none
 */
export function hideValues(object: unknown, other?: unknown): unknown {
  return hide(object, other, 0);
}

function hide(value: unknown, other: unknown, depth: number): unknown {
  if (depth > MAX_DEPTH) return '<too deep to show>';
  if (Array.isArray(value)) {
    const others = Array.isArray(other) ? other : [];
    return value.map((item, index) => hide(item, partner(item, index, others), depth + 1));
  }
  if (!isFields(value)) return value;
  const before = isFields(other) ? other : undefined;
  const kind = value['kind'];
  const shown: [string, unknown][] = [];
  for (const [name, part] of Object.entries(value)) {
    const was = before === undefined ? undefined : own(before, name);
    if (name === 'managedFields' && depth <= 3) continue;
    if (kind === 'Secret' && (name === 'data' || name === 'stringData'))
      shown.push([name, hideAll(part, was, () => true)]);
    else if (kind === 'ConfigMap' && (name === 'data' || name === 'binaryData')) {
      shown.push([name, hideAll(part, was, isSecretName)]);
    } else if (name === 'env' && Array.isArray(part)) shown.push([name, hideEnvironment(part, was, depth)]);
    else if ((name === 'command' || name === 'args') && isWords(part)) shown.push([name, hideArguments(part)]);
    else if (name === 'annotations' && isFields(part))
      shown.push([name, hideAll(part, was, (key) => REPEATING.has(key) || isSecretName(key.split('/').at(-1)!))]);
    else shown.push([name, hide(part, was, depth + 1)]);
  }
  // From entries: a name may be `__proto__`.
  return Object.fromEntries(shown);
}

/** The item of the other list that is the same thing: by name where there are names, else by place. */
function partner(item: unknown, index: number, others: readonly unknown[]): unknown {
  if (!isFields(item) || typeof item['name'] !== 'string') return others[index];
  const { name } = item;
  return others.find((other) => isFields(other) && other['name'] === name);
}

function hideAll(values: unknown, was: unknown, isSecret: (name: string) => boolean): unknown {
  if (!isFields(values)) return values === null || values === undefined ? values : HIDDEN;
  const before = isFields(was) ? was : undefined;
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      name,
      isSecret(name) ? mark(value, before && own(before, name)) : value,
    ]),
  );
}

function hideEnvironment(list: readonly unknown[], was: unknown, depth: number): unknown[] {
  const others = Array.isArray(was) ? was : [];
  return list.map((item, index) => {
    const other = partner(item, index, others);
    if (!isFields(item)) return HIDDEN;
    const shown = hide(item, other, depth + 2) as Fields;
    if (!Object.hasOwn(item, 'value')) return shown;
    return { ...shown, value: mark(item['value'], isFields(other) ? other['value'] : undefined) };
  });
}

function mark(value: unknown, was: unknown): string {
  return was === undefined || JSON.stringify(was) === JSON.stringify(value) ? HIDDEN : CHANGED;
}

function own(fields: Fields, name: string): unknown {
  return Object.hasOwn(fields, name) ? fields[name] : undefined;
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isWords(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((word) => typeof word === 'string');
}
