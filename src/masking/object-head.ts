import type { JsonCursor } from './json-cursor.ts';
import { readJsonString } from './json-string.ts';
import { KeyTable } from './key-table.ts';

const KEYS = new KeyTable();

/** What an object says of itself. */
export interface ObjectHead {
  readonly kind: string;
  readonly type: string;
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  /** kind and data without a kind: how an item of a list of Secrets or ConfigMaps looks. */
  readonly hasData: boolean;
}

/**
 * Reads an object's head before its body is masked: `data` may stand before `kind`. Of keys that stand twice, a `kind` that
 * is Secret is believed. Where kind and metadata are known and tell of no Secret, the rest is not read: the mask itself refuses
 * a second kind that is.
 * @param cursor where the object begins; it is moved
 * @param known its kind, where that is known from elsewhere
 * @param wanted `names`: only what metadata says
 */
export function readHead(cursor: JsonCursor, known: string, wanted: 'all' | 'names' = 'all'): ObjectHead {
  const { bytes } = cursor;
  const head = { kind: '', type: '', uid: '', namespace: '', name: '', hasData: false };
  if (cursor.peek() !== 0x7b) return head;
  const text = (): string => {
    if (cursor.peek() === 0x22) return readJsonString(cursor.text(cursor.string()));
    cursor.pass();
    return '';
  };
  cursor.members((key) => {
    const { name } = KEYS.read(bytes, key.start, key.end);
    if (name === 'kind') {
      const kind = text();
      if (head.kind !== 'Secret') head.kind = kind;
    } else if (name === 'type') head.type = text();
    else if (name === 'metadata' && cursor.peek() === 0x7b) {
      cursor.members((member) => {
        const field = KEYS.read(bytes, member.start, member.end).name;
        if (field === 'uid' || field === 'namespace' || field === 'name') head[field] = text();
        else cursor.pass();
      });
      const kind = head.kind || known;
      if (wanted === 'names' || (kind !== '' && kind !== 'Secret')) return true;
    } else if (name === 'object' && EVENT.test(head.type)) return true;
    else {
      if (name === 'data' || name === 'stringData') head.hasData = true;
      cursor.pass();
    }
    return false;
  });
  return head;
}

/** The types of a watch's events. */
export const EVENT = /^[A-Z]{1,32}$/;

/** One member's value of the object that begins where the cursor is, where it is a string. */
export function siblingText(cursor: JsonCursor, key: string): string | undefined {
  let found: string | undefined;
  if (cursor.peek() !== 0x7b) return undefined;
  cursor.members((span) => {
    if (readJsonString(cursor.text(span)) === key && cursor.peek() === 0x22)
      found = readJsonString(cursor.text(cursor.string()));
    else cursor.pass();
  });
  return found;
}
