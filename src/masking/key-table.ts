import { readJsonString } from './json-string.ts';
import { classifyName, type NameClass } from './secret-name.ts';
import { IDENTITY_MEMBERS } from './structure.ts';

/** A member's name, read once. */
export interface Key {
  readonly text: string;
  /** The same, as it stands in JSON. */
  readonly bytes: Uint8Array;
  /** Where the table has it; -1 where it does not. */
  readonly slot: number;
  /** Slots of the names that stood last behind this one, and first in the object that is its value: most objects of a list are alike. */
  behind: number;
  below: number;
  /** Without its escapes; the same text for most. */
  readonly name: string;
  readonly named: NameClass;
  /** Whether metadata's member of that name holds nothing of anyone. */
  readonly identity: boolean;
  /** What the name means to a mask, told by one comparison. */
  readonly role: KeyRole;
}

export type KeyRole = 'none' | 'kind' | 'object' | 'items' | 'metadata' | 'label' | 'value';

const ROLES: ReadonlyMap<string, KeyRole> = new Map<string, KeyRole>([
  ...(['kind', 'object', 'items', 'metadata', 'value'] as const).map((name) => [name, name] as const),
  ['values', 'value'],
  ['name', 'label'],
  ['key', 'label'],
]);

const SLOTS = 8192;
const MAX_KEPT = 64;
const NOWHERE = -1;

/** Names of members repeat: each is decoded and judged once. The table does not grow; a new name takes its slot. */
export class KeyTable {
  private readonly slots: (Key | undefined)[] = new Array<Key | undefined>(SLOTS).fill(undefined);

  read(bytes: Buffer, start: number, end: number): Key {
    if (end - start > MAX_KEPT) return keyOf(bytes.toString('latin1', start, end));
    let hash = end - start;
    for (let i = start; i < end; i++) hash = (Math.imul(hash, 31) + bytes[i]!) | 0;
    const slot = (hash ^ (hash >>> 13)) & (SLOTS - 1);
    const known = this.slots[slot];
    if (known !== undefined && matches(known.bytes, bytes, start, end)) return known;
    const key = keyOf(bytes.toString('latin1', start, end), slot);
    this.slots[slot] = key;
    return key;
  }

  /** What stands in a slot that a name gave as `behind` or `below`: a guess, which costs a comparison. No name holds another one. */
  at(slot: number): Key | undefined {
    return slot === NOWHERE ? undefined : this.slots[slot];
  }
}

/** Reads a name that stands elsewhere than in a member's place: a flag, a column. */
export function keyOf(text: string, slot = NOWHERE): Key {
  const name = readJsonString(text);
  return {
    text,
    bytes: Buffer.from(text, 'latin1'),
    slot,
    behind: NOWHERE,
    below: NOWHERE,
    name,
    named: classifyName(name.replace(/^-+/, '')),
    identity: IDENTITY_MEMBERS.has(name),
    role: ROLES.get(name) ?? 'none',
  };
}

function matches(known: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  if (known.length !== end - start) return false;
  for (let i = 0; i < known.length; i++) if (known[i] !== bytes[start + i]) return false;
  return true;
}
