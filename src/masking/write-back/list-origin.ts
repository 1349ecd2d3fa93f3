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
    const holders = new Map<string, number[]>();
    for (const [j, item] of shown.entries()) for (const mark of placeholdersIn(item)) append(holders, mark, j);
    for (const [i, own] of marks.entries()) {
      if (own.size === 0) continue;
      const from = new Set([...own].flatMap((mark) => (holders.get(mark)?.length === 1 ? holders.get(mark)! : [])));
      const [only] = from;
      if (from.size === 1 && !taken.has(only!)) take(i, only!);
    }
  }
  const known = new Map<string, number[]>();
  for (const [j, item] of shown.entries()) {
    for (const key of IDENTITY) {
      const identity = identityOf(item, key);
      if (identity !== undefined && !taken.has(j)) append(known, `${key} ${identity.text}`, j);
    }
  }
  for (const [i, item] of sent.entries()) {
    const identity = origins[i] === undefined ? identityOf(item) : undefined;
    if (identity === undefined) continue;
    const same = known.get(`${identity.key} ${identity.text}`) ?? [];
    // The one at the same place, or the first that is left.
    while (same.length > 0 && taken.has(same[0]!)) same.shift();
    const isHere = !taken.has(i) && identityOf(shown[i], identity.key)?.text === identity.text;
    if (isHere) take(i, i);
    else if (same.length > 0) take(i, same[0]!);
  }
  for (const [i, item] of sent.entries()) {
    if (origins[i] !== undefined || i >= shown.length || taken.has(i) || identityOf(item) !== undefined) continue;
    if (isObject(item) === isObject(shown[i])) take(i, i);
  }
  return origins;
}

function append(lists: Map<string, number[]>, key: string, index: number): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [index]);
  else list.push(index);
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
