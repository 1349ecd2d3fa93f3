import { isObject, type Json, JsonNumber } from '../../request/json.ts';
import { placeholdersIn } from './placeholder-search.ts';

/** Members by which Kubernetes' lists tell their items apart, the most telling first. */
const IDENTITY = [
  'name',
  'key',
  'uid',
  'id',
  'containerPort',
  'port',
  'mountPath',
  'devicePath',
  'ip',
  'type',
] as const;

/**
 * Which item of a list that is written comes from which of the list as it is shown: by the placeholders in it (each is of one
 * index only), by what identifies an item, and only where nothing does by its index.
 * @returns for each item an index, or undefined where it is a new one
 */
export function originsOfItems(sent: readonly Json[], shown: readonly Json[]): readonly (number | undefined)[] {
  const origins: (number | undefined)[] = new Array<number | undefined>(sent.length).fill(undefined);
  const taken = new Set<number>();
  const take = (item: number, origin: number): void => {
    origins[item] = origin;
    taken.add(origin);
  };
  const marks = sent.map((item) => placeholdersIn(item));
  if (marks.some((each) => each.size > 0)) {
    const shownMarks = shown.map((item) => placeholdersIn(item));
    for (const [i, own] of marks.entries()) {
      if (own.size === 0) continue;
      const from = shownMarks.flatMap((there, j) => ([...own].some((mark) => there.has(mark)) ? [j] : []));
      if (from.length === 1 && !taken.has(from[0]!)) take(i, from[0]!);
    }
  }
  for (const [i, item] of sent.entries()) {
    if (origins[i] !== undefined) continue;
    const identity = identityOf(item);
    if (identity === undefined) continue;
    const same = shown.flatMap((one, j) =>
      !taken.has(j) && identityOf(one, identity.key)?.text === identity.text ? [j] : [],
    );
    if (same.length > 0) take(i, same.includes(i) ? i : same[0]!);
  }
  for (const [i, item] of sent.entries()) {
    if (origins[i] !== undefined || i >= shown.length || taken.has(i) || identityOf(item) !== undefined) continue;
    if (isObject(item) === isObject(shown[i])) take(i, i);
  }
  return origins;
}

function identityOf(
  item: Json | undefined,
  only?: string,
): { readonly key: string; readonly text: string } | undefined {
  if (!isObject(item)) return undefined;
  for (const key of only === undefined ? IDENTITY : [only]) {
    const value = item.get(key);
    if (typeof value === 'string') return { key, text: `"${value}` };
    if (value instanceof JsonNumber) return { key, text: value.text };
  }
  return undefined;
}
