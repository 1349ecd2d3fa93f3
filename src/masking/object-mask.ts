import type { Arena } from './arena.ts';
import { fieldPaths } from './field-paths.ts';
import { JsonCursor, unreadable } from './json-cursor.ts';
import { type Key, KeyTable, keyOf } from './key-table.ts';
import { KeywordGate } from './keyword-gate.ts';
import { type FieldMask, type MaskPlan, substituteScalar } from './mask-plan.ts';
import { EVENT, type ObjectHead, readHead, siblingText } from './object-head.ts';
import type { ObjectHint } from './object-hint.ts';
import { ObjectPlace } from './object-place.ts';
import { ObjectText } from './object-text.ts';
import { Patch } from './patch.ts';
import type { PathState } from './path-automaton.ts';
import { SECRET_WORDS } from './secret-name.ts';
import { structureOf } from './structure.ts';

const NOTHING = Buffer.alloc(0);
const KEYS = new KeyTable();
const NO_KEY = keyOf('');
/** Any name that says nothing. */
const PLAIN = keyOf('-');
const NAME_WORDS = new KeywordGate(SECRET_WORDS);
const FLAG = /^--?[A-Za-z][A-Za-z0-9-]*$/;

/**
 * Masks one object (or any JSON value).
 * @param arena of which what is returned may be made
 * @returns the bytes as they should be seen; the same buffer where nothing had to be masked; nothing, where some waits in `later`
 * @throws SallyportError SP_MASKING_UNREADABLE
 */
export function maskObject(plan: MaskPlan, bytes: Buffer, hint: ObjectHint, arena?: Arena): Buffer {
  const patch = new Patch(bytes, 0, arena);
  const cursor = new JsonCursor(bytes);
  maskValue(plan, patch, cursor, hint);
  if (cursor.peek() !== -1) throw unreadable('something follows its end');
  if (hint.later !== undefined && hint.later.strings.length > 0) {
    hint.later.pieces = () => patch.pieces(bytes.length);
    return NOTHING;
  }
  const masked = patch.take(bytes.length);
  // Two buffers may lie in one piece of memory.
  const { buffer, byteOffset, length } = bytes;
  return masked.length === length && masked.byteOffset === byteOffset && masked.buffer === buffer ? bytes : masked;
}

/**
 * Masks the value that begins where the cursor is, and moves the cursor behind it.
 * @param patch of the cursor's bytes: takes what is replaced
 * @throws SallyportError SP_MASKING_UNREADABLE; INCOMPLETE, when the cursor's bytes go on
 */
export function maskValue(plan: MaskPlan, patch: Patch, cursor: JsonCursor, hint: ObjectHint): void {
  new ObjectMask(plan, patch, cursor, hint).run();
}

class ObjectMask {
  private readonly plan: MaskPlan;
  private readonly patch: Patch;
  private readonly cursor: JsonCursor;
  private readonly bytes: Buffer;
  private readonly start: number;
  private readonly hint: ObjectHint;
  private readonly place: ObjectPlace;
  private readonly text: ObjectText;
  /** The place's. */
  private readonly path: string[];
  private root: PathState<FieldMask>;
  /** A kind was read, or members that depend on it were: another that would mask more is a contradiction. */
  private settled: boolean;
  private readonly idle: boolean;
  private readonly exempt: boolean;

  constructor(wide: MaskPlan, patch: Patch, cursor: JsonCursor, hint: ObjectHint) {
    this.patch = patch;
    this.bytes = patch.bytes;
    this.hint = hint;
    this.cursor = cursor;
    cursor.peek();
    this.start = cursor.at;
    this.settled = hint.kind === '';
    let { kind } = hint;
    let head: ObjectHead | undefined;
    if (kind === '') {
      head = readHead(cursor.again(this.start), '');
      // An item of a list whose kind comes later: until it is known, data is taken for a Secret's.
      const guess = head.hasData && hint.nesting === undefined ? 'Secret' : '';
      kind = head.kind === '' ? guess : head.kind;
    }
    const plan = wide.forObject === undefined ? wide : this.ownPlan(wide, kind, head);
    this.exempt = plan === undefined;
    this.plan = plan ?? wide;
    this.idle = this.plan.recognizer.idle;
    this.place = new ObjectPlace(cursor, this.start, hint, kind, this.plan.placeholders.paths, head);
    this.path = this.place.path;
    this.text = new ObjectText(this.plan, patch, hint, this.place, maskObject);
    this.root = fieldPaths(this.plan, kind);
  }

  /** Only the object itself says which one it is; what stands in one of its texts says what its author likes. */
  private ownPlan(wide: MaskPlan, kind: string, head: ObjectHead | undefined): MaskPlan | undefined {
    if (wide.forObject === undefined || this.hint.nesting !== undefined) return wide;
    const { namespace, name } = head ?? readHead(this.cursor.again(this.start), kind, 'names');
    if (name === '') return wide;
    const plan = wide.forObject(namespace, name);
    return plan === undefined || wide.masked === undefined ? plan : { ...plan, masked: wide.masked };
  }

  run(): void {
    if (this.exempt) this.cursor.pass();
    else this.value(this.root, undefined, NO_KEY);
  }

  private value(state: PathState<FieldMask>, field: FieldMask | undefined, beside: Key): boolean {
    const { cursor } = this;
    const c = cursor.peek();
    if (c === 0x7b) return this.members(state, field, beside);
    if (c === 0x5b) return this.items(state, field, beside);
    if (c === 0x22) {
      const quote = field === undefined ? this.text.quietEnd(cursor.at + 1, cursor.end, beside) : -1;
      if (quote !== -1) {
        cursor.at = quote + 1;
        return true;
      }
      cursor.read();
      return this.text.mask(cursor.from, cursor.to, cursor.escaped, field, beside);
    }
    const start = cursor.at;
    cursor.scalar();
    if (field === undefined || this.bytes[start] === 0x6e) return true;
    const place = { object: this.place.object, path: this.place.text, rule: field.rule };
    const text = substituteScalar(this.plan, place, this.bytes.toString('latin1', start, cursor.at), field);
    if (text === undefined) return false;
    this.patch.put(start, cursor.at, text);
    return true;
  }

  /** @param above whose value the object is */
  private members(state: PathState<FieldMask>, field: FieldMask | undefined, above: Key): boolean {
    const { cursor, place, path, bytes } = this;
    const depth = path.length;
    const inMetadata = field === undefined && depth > 0 && path[depth - 1] === 'metadata';
    let label = NO_KEY;
    let kept = 0;
    let comma = -1;
    let before: Key | undefined;
    cursor.enter();
    if (cursor.empty(0x7d)) return true;
    for (;;) {
      const guess = KEYS.at(before === undefined ? above.below : before.behind);
      let member: Key;
      if (guess !== undefined && cursor.expect(guess.bytes)) member = guess;
      else {
        cursor.read();
        member = KEYS.read(bytes, cursor.from, cursor.to);
        if (before === undefined) above.below = member.slot;
        else before.behind = member.slot;
      }
      before = member;
      const start = cursor.from - 1;
      cursor.colon();
      place.enter(member.name);
      if (depth === 0) this.atTop(member);
      let keep = true;
      if (inMetadata && member.identity) keep = this.identity(member);
      else if (depth === 0 && this.isObjectMember(member)) this.subObject();
      else {
        const from = depth === 0 ? this.root : state;
        const below = from.dead ? from : from.step(member.name);
        const own = field ?? (from.dead ? undefined : below.ended);
        if (this.idle && own === undefined && below.dead && !(depth === 0 && member.role === 'items')) cursor.pass();
        else {
          if (member.role === 'label' && own === undefined && cursor.peek() === 0x22) label = this.peekLabel();
          const beside = member.role === 'value' && label !== NO_KEY ? label : member;
          keep = this.value(below, own, beside) || own === undefined;
        }
      }
      place.leave();
      const end = cursor.at;
      const more = cursor.more(0x7d);
      if (keep) {
        kept++;
        comma = cursor.at - 1;
      } else {
        if (kept > 0) this.patch.cut(comma, end);
        else this.patch.cut(start, more ? cursor.at : end);
        if (kept > 0 && more) comma = cursor.at - 1;
      }
      if (!more) return true;
    }
  }

  private items(state: PathState<FieldMask>, field: FieldMask | undefined, beside: Key): boolean {
    const { cursor, place, path, bytes } = this;
    cursor.enter();
    if (cursor.empty(0x5d)) return true;
    let index = 0;
    let flag = NO_KEY;
    const holdsObjects =
      path.length === 1 && path[0] === 'items' && (this.place.kind === '' || this.place.kind.endsWith('List'));
    do {
      const isText = cursor.peek() === 0x22;
      const start = cursor.at;
      place.enter(index < INDEXES.length ? INDEXES[index]! : String(index));
      index++;
      const below = state.dead
        ? state
        : state.item(path[path.length - 1]!, (key) => siblingText(cursor.again(start), key));
      const own = field ?? (state.dead ? undefined : below.ended);
      const next = isText && bytes[start + 1] === 0x2d ? this.peekLabel() : NO_KEY;
      if (holdsObjects && own === undefined) this.subObject();
      else if (this.idle && own === undefined && below.dead) cursor.pass();
      else {
        const keep = this.value(below, own, flag === NO_KEY ? beside : flag);
        // An item that is dropped leaves an empty one: the others keep their places.
        if (!keep) this.patch.put(start, cursor.at, isText ? '""' : 'null');
      }
      flag = next.named !== 'none' && FLAG.test(next.text) ? next : NO_KEY;
      place.leave();
    } while (cursor.more(0x5d));
    return true;
  }

  /**
   * Passes over what is never masked. @returns false for what has to be left out: managedFields repeat the items of sets, and
   * one that a rule masks would stand there. Written back without it, an object keeps its own.
   */
  private identity({ name }: Key): boolean {
    const { cursor, bytes } = this;
    cursor.peek();
    const start = cursor.at;
    cursor.pass();
    if (name !== 'managedFields' || this.plan.fields.length === 0) return true;
    return !bytes.subarray(start, cursor.at).includes('"v:');
  }

  /** A member of the object itself: its kind says what is masked. */
  private atTop({ role, name }: Key): void {
    if (role !== 'kind') {
      if (role !== 'metadata' && name !== 'apiVersion') this.settled = true;
      return;
    }
    if (this.cursor.peek() !== 0x22) return;
    const kind = this.peekKey().name;
    if (kind === this.place.kind) this.settled = true;
    else if (!this.settled) {
      this.settled = true;
      this.place.kind = kind;
      this.root = fieldPaths(this.plan, kind);
    } else if (structureOf(kind).length > 0) throw unreadable('a kind stands in it twice, or behind what it speaks of');
  }

  private isObjectMember({ role }: Key): boolean {
    // A watch event's object.
    return role === 'object' && this.cursor.peek() === 0x7b && EVENT.test(this.place.head.type);
  }

  private subObject(): void {
    const kind = this.hint.kind || (this.place.kind.endsWith('List') ? this.place.kind.slice(0, -4) : '');
    maskValue(this.plan, this.patch, this.cursor, { ...this.hint, kind });
  }

  private peekKey(): Key {
    const { cursor } = this;
    const { at } = cursor;
    cursor.read();
    cursor.at = at;
    return KEYS.read(this.bytes, cursor.from, cursor.to);
  }

  /** A text that names what stands beside it. */
  private peekLabel(): Key {
    const { cursor } = this;
    const { at } = cursor;
    cursor.read();
    cursor.at = at;
    if (!cursor.escaped && !NAME_WORDS.touches(this.bytes, cursor.from, cursor.to)) return PLAIN;
    return KEYS.read(this.bytes, cursor.from, cursor.to);
  }
}

const INDEXES = Array.from({ length: 64 }, (_, i) => String(i));
