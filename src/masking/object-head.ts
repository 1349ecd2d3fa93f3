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
 * is Secret is believed; of metadata's, the first. Where kind and metadata are known and tell of no Secret, the rest is not
 * read: the mask itself refuses a second kind that is.
 * @param cursor where the object begins; it is moved
 * @param known its kind, where that is known from elsewhere
 * @param wanted `names`: only what metadata says
 */
export function readHead(cursor: JsonCursor, known: string, wanted: 'all' | 'names' = 'all'): ObjectHead {
  const head = { kind: '', type: '', uid: '', namespace: '', name: '', hasData: false };
  if (cursor.peek() !== 0x7b) return head;
  cursor.enter();
  if (cursor.empty(0x7d)) return head;
  do {
    const name = keyName(cursor);
    if (name === 'kind') {
      const kind = text(cursor);
      if (head.kind !== 'Secret') head.kind = kind;
    } else if (name === 'type') head.type = text(cursor);
    else if (name === 'metadata' && cursor.peek() === 0x7b) {
      const kind = head.kind || known;
      const isLast = wanted === 'names' || (kind !== '' && kind !== 'Secret');
      readMetadata(cursor, head, isLast);
      if (isLast) return head;
    } else if (name === 'object' && EVENT.test(head.type)) return head;
    else {
      if (name === 'data' || name === 'stringData') head.hasData = true;
      cursor.pass();
    }
  } while (cursor.more(0x7d));
  return head;
}

/**
 * @param isLast nothing behind it is read: the cursor is left where all three are known, mostly before labels, annotations and
 * managedFields
 */
function readMetadata(
  cursor: JsonCursor,
  head: { uid: string; namespace: string; name: string },
  isLast: boolean,
): void {
  cursor.enter();
  if (cursor.empty(0x7d)) return;
  do {
    const field = keyName(cursor);
    if ((field === 'uid' || field === 'namespace' || field === 'name') && head[field] === '')
      head[field] = text(cursor);
    else cursor.pass();
    if (isLast && head.uid !== '' && head.namespace !== '' && head.name !== '') return;
  } while (cursor.more(0x7d));
}

/** Reads a member's key; the cursor is then at its value. */
function keyName(cursor: JsonCursor): string {
  cursor.read();
  const { name } = KEYS.read(cursor.bytes, cursor.from, cursor.to);
  cursor.colon();
  return name;
}

/** A value that is a string; nothing for any other, which is passed over. */
function text(cursor: JsonCursor): string {
  if (cursor.peek() === 0x22) return readJsonString(cursor.text(cursor.string()));
  cursor.pass();
  return '';
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
