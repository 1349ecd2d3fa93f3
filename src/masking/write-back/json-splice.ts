import { isObject, type Json, JsonNumber, writeJson } from '../../request/json.ts';
import { JsonCursor } from '../json-cursor.ts';
import { readJsonString } from '../json-string.ts';

/**
 * Writes other values in the places of leaves of a JSON text, and leaves all else of the text as it is: white space, order and
 * numbers of a file in a ConfigMap are its owner's.
 * @param before what the text holds @param after the same tree with other leaves
 */
export function spliceJson(text: string, before: Json, after: Json): string {
  const changes = new Map<string, Json>();
  collect(before, after, [], changes);
  if (changes.size === 0) return text;
  const bytes = Buffer.from(text);
  const cursor = new JsonCursor(bytes);
  const out: Buffer[] = [];
  const path: string[] = [];
  let copied = 0;
  const value = (): void => {
    const c = cursor.peek();
    const start = cursor.at;
    if (c === 0x7b) {
      cursor.enter();
      if (cursor.empty(0x7d)) return;
      do {
        path.push(Buffer.from(readJsonString(cursor.text(cursor.string())), 'latin1').toString());
        cursor.colon();
        value();
        path.pop();
      } while (cursor.more(0x7d));
    } else if (c === 0x5b) {
      cursor.enter();
      if (cursor.empty(0x5d)) return;
      let index = 0;
      do {
        path.push(String(index++));
        value();
        path.pop();
      } while (cursor.more(0x5d));
    } else {
      if (c === 0x22) cursor.string();
      else cursor.scalar();
      const change = changes.get(path.join('\0'));
      if (change === undefined) return;
      out.push(bytes.subarray(copied, start), Buffer.from(writeJson(change)));
      copied = cursor.at;
    }
  };
  value();
  out.push(bytes.subarray(copied));
  return Buffer.concat(out).toString();
}

function collect(before: Json, after: Json, path: readonly string[], changes: Map<string, Json>): void {
  if (Array.isArray(before) && Array.isArray(after)) {
    for (const [i, item] of before.entries()) collect(item, after[i]!, [...path, String(i)], changes);
  } else if (isObject(before) && isObject(after)) {
    for (const [name, member] of before) collect(member, after.get(name)!, [...path, name], changes);
  } else if (!sameLeaf(before, after)) changes.set(path.join('\0'), after);
}

export function sameLeaf(a: Json | undefined, b: Json | undefined): boolean {
  return a instanceof JsonNumber && b instanceof JsonNumber ? a.text === b.text : a === b;
}
