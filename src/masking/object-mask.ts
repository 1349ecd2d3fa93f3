import { SallyportError } from '../errors.ts';
import type { Arena } from './arena.ts';
import { kindOf } from './assignment.ts';
import { fieldPaths } from './field-paths.ts';
import {
  isReleaseOfConfigMap,
  isReleaseOfSecret,
  type MaskInside,
  maskReleaseOfConfigMap,
  maskReleaseOfSecret,
  maskTextOfRelease,
} from './helm-mask.ts';
import type { ReleaseSecrets } from './helm-release.ts';
import { JsonCursor, unreadable } from './json-cursor.ts';
import { readJsonString, writeJsonString } from './json-string.ts';
import { type Key, KeyTable, keyOf } from './key-table.ts';
import { KeywordGate } from './keyword-gate.ts';
import type { KnownPath } from './known-path.ts';
import { holdsMarker } from './marker.ts';
import { type FieldMask, type MaskPlan, readsValue, replacer, substitute, substituteScalar } from './mask-plan.ts';
import { EVENT, type ObjectHead, readHead, siblingText } from './object-head.ts';
import { Patch } from './patch.ts';
import type { PathState } from './path-automaton.ts';
import { isPlausible, SECRET_WORDS } from './secret-name.ts';
import { StringMask } from './string-mask.ts';
import { RULE_STRUCTURE, structureOf } from './structure.ts';
import { maskText, type Replace, TextMask } from './text-mask.ts';

/** What is known of an object from outside: the resource that was asked for, the list it stands in. */
export interface ObjectHint {
  readonly kind: string;
  /** The object around a nested one: placeholders are bound to it. */
  readonly object?: string;
  readonly nesting?: number;
  /** Of a Helm release: what its Secrets hold. */
  readonly release?: ReleaseSecrets;
  /** Takes what can be done later: the object is masked when all of it is. Without it, all is done at once. */
  readonly later?: Later;
}

/** Long strings of an object that wait for their turn, and how the object is had then. */
export class Later {
  /** Of the object and what comes of it, until that has been passed on; undefined where both last. */
  readonly arena: Arena | undefined;
  readonly strings: StringMask[] = [];
  pieces: () => Buffer[] = () => [];

  constructor(arena: Arena | undefined) {
    this.arena = arena;
  }
}

const NOTHING = Buffer.alloc(0);
/** From here on a string is masked where it stands, and not as a value of its own. */
const LONG = 512;
/** From here on it may wait for its turn. */
export const LATER = 32_768;

const MAX_NESTING = 4;
const KEYS = new KeyTable();
const REDACT = { action: 'Redact', scope: 'Object' } as const;
const NO_KEY = keyOf('');
/** Any name that says nothing. */
const PLAIN = keyOf('-');
const NAME_WORDS = new KeywordGate(SECRET_WORDS);
const JSON_TEXT = /^\s*[[{]/;
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
  private kind: string;
  private root: PathState<FieldMask>;
  /** A kind was read, or members that depend on it were: another that would mask more is a contradiction. */
  private settled: boolean;
  private knownHead: ObjectHead | undefined;
  private knownObject: string | undefined;
  private readonly path: string[] = [];
  /** The beginnings of `path`; the first `known` + 1 are right. */
  private readonly paths: KnownPath[];
  private known = 0;
  private readonly idle: boolean;
  private readonly byName: boolean;
  private readonly exempt: boolean;

  constructor(wide: MaskPlan, patch: Patch, cursor: JsonCursor, hint: ObjectHint) {
    this.patch = patch;
    this.bytes = patch.bytes;
    this.hint = hint;
    this.cursor = cursor;
    cursor.peek();
    this.start = cursor.at;
    this.kind = hint.kind;
    this.settled = false;
    if (hint.kind === '') {
      this.knownHead = readHead(cursor.again(this.start), '');
      // An item of a list whose kind comes later: until it is known, data is taken for a Secret's.
      const guess = this.knownHead.hasData && hint.nesting === undefined ? 'Secret' : '';
      this.kind = this.knownHead.kind === '' ? guess : this.knownHead.kind;
      this.settled = true;
    }
    const plan = wide.forObject === undefined ? wide : this.ownPlan(wide);
    this.exempt = plan === undefined;
    this.plan = plan ?? wide;
    this.idle = this.plan.recognizer.idle;
    this.byName = this.plan.recognizer.byName;
    this.paths = [this.plan.placeholders.paths];
    this.root = fieldPaths(this.plan, this.kind);
  }

  /** Only the object itself says which one it is; what stands in one of its texts says what its author likes. */
  private ownPlan(wide: MaskPlan): MaskPlan | undefined {
    if (wide.forObject === undefined || this.hint.nesting !== undefined) return wide;
    const { namespace, name } = this.knownHead ?? readHead(this.cursor.again(this.start), this.kind, 'names');
    if (name === '') return wide;
    const plan = wide.forObject(namespace, name);
    return plan === undefined || wide.masked === undefined ? plan : { ...plan, masked: wide.masked };
  }

  run(): void {
    if (this.exempt) this.cursor.pass();
    else this.value(this.root, undefined, NO_KEY);
  }

  /** Whether a string is nothing but what detectors look at. */
  private get readsPlain(): boolean {
    return !this.idle && this.hint.release === undefined && this.kind !== 'ConfigMap';
  }

  private get head(): ObjectHead {
    this.knownHead ??= readHead(this.cursor.again(this.start), this.kind);
    return this.knownHead;
  }

  /** What placeholders are bound to. */
  private get object(): string {
    if (this.knownObject === undefined) {
      const { uid, namespace, name } = this.knownHead ?? readHead(this.cursor.again(this.start), this.kind, 'names');
      this.knownObject = uid || this.hint.object || `${this.kind}/${namespace}/${name}`;
    }
    return this.knownObject;
  }

  private value(state: PathState<FieldMask>, field: FieldMask | undefined, beside: Key): boolean {
    const { cursor } = this;
    const c = cursor.peek();
    if (c === 0x7b) return this.members(state, field, beside);
    if (c === 0x5b) return this.items(state, field, beside);
    if (c === 0x22) {
      if (field === undefined && this.readsPlain && (beside.named === 'none' || !this.byName)) {
        const quote = this.plan.recognizer.quietEnd(this.bytes, cursor.at + 1, cursor.end);
        if (quote !== -1) {
          cursor.at = quote + 1;
          return true;
        }
      }
      cursor.read();
      return this.string(cursor.from, cursor.to, cursor.escaped, field, beside);
    }
    const start = cursor.at;
    cursor.scalar();
    if (field === undefined || this.bytes[start] === 0x6e) return true;
    const place = { object: this.object, path: this.pathText(), rule: field.rule };
    const text = substituteScalar(this.plan, place, this.bytes.toString('latin1', start, cursor.at), field);
    if (text === undefined) return false;
    this.patch.put(start, cursor.at, text);
    return true;
  }

  /** @param above whose value the object is */
  private members(state: PathState<FieldMask>, field: FieldMask | undefined, above: Key): boolean {
    const { cursor, path, bytes } = this;
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
      path.push(member.name);
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
      path.pop();
      if (this.known > depth) this.known = depth;
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
    const { cursor, path, bytes } = this;
    cursor.enter();
    if (cursor.empty(0x5d)) return true;
    let index = 0;
    let flag = NO_KEY;
    const holdsObjects = path.length === 1 && path[0] === 'items' && (this.kind === '' || this.kind.endsWith('List'));
    do {
      const isText = cursor.peek() === 0x22;
      const start = cursor.at;
      path.push(index < INDEXES.length ? INDEXES[index]! : String(index));
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
      path.pop();
      if (this.known > path.length) this.known = path.length;
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
    if (kind === this.kind) this.settled = true;
    else if (!this.settled) {
      this.settled = true;
      this.kind = kind;
      this.root = fieldPaths(this.plan, kind);
    } else if (structureOf(kind).length > 0) throw unreadable('a kind stands in it twice, or behind what it speaks of');
  }

  private isObjectMember({ role }: Key): boolean {
    // A watch event's object.
    return role === 'object' && this.cursor.peek() === 0x7b && EVENT.test(this.head.type);
  }

  private subObject(): void {
    const kind = this.hint.kind || (this.kind.endsWith('List') ? this.kind.slice(0, -4) : '');
    maskValue(this.plan, this.patch, this.cursor, { ...this.hint, kind });
  }

  private string(start: number, end: number, escaped: boolean, field: FieldMask | undefined, name: Key): boolean {
    if (field !== undefined) return this.fieldString(start, end, field);
    if (this.hint.release !== undefined) return this.releaseString(start, end, name, this.hint.release);
    if (end - start < 4 || this.idle) return true;
    const { bytes } = this;
    if (this.kind === 'ConfigMap' && this.isRelease(start)) return this.configMapRelease(start, end);
    if (end - start >= LONG && (name.named === 'none' || !this.byName)) {
      return this.longString(start, end, escaped);
    }
    const quiet = !escaped && (name.named === 'none' || !this.byName);
    if (quiet && !this.plan.recognizer.mayHold(bytes, start, end)) return true;
    const raw = bytes.toString('latin1', start, end);
    const masked = this.inspected(escaped ? readJsonString(raw) : raw, name, undefined);
    if (masked !== undefined) this.patch.put(start - 1, end + 1, writeJsonString(masked));
    return true;
  }

  /** Text of many lines, or an encoding: what stands around what is masked is left as it is. */
  private longString(start: number, end: number, escaped: boolean): boolean {
    const { plan, patch, bytes } = this;
    if (opensJson(bytes, start)) {
      const raw = bytes.toString('latin1', start, end);
      const text = escaped ? readJsonString(raw) : raw;
      const nested = this.nested(text);
      if (nested !== undefined) {
        if (nested !== text) patch.put(start - 1, end + 1, writeJsonString(nested));
        return true;
      }
    }
    const path = this.pathText();
    let replace: Replace | undefined;
    const mask = new TextMask(plan.recognizer, (finding, value) => {
      replace ??= replacer(plan, this.object, path);
      return replace(finding, value);
    });
    if (this.hint.later !== undefined && end - start >= LATER) {
      this.hint.later.strings.push(new StringMask(mask, patch.split(start, end), start, end));
    } else {
      const string = new StringMask(mask, patch, start, end);
      while (string.step());
    }
    return true;
  }

  /** @returns what to write, or undefined to leave it */
  private inspected(text: string, name: Key, at: string | undefined): string | undefined {
    const { plan } = this;
    const replace: Replace = (finding, value) => replacer(plan, this.object, at ?? this.pathText())(finding, value);
    const named = this.byName ? name.named : 'none';
    if (named !== 'none' && !holdsMarker(text) && isPlausible(text, named) && !/[\n{]/.test(text)) {
      return replace({ start: 0, end: text.length, kind: kindOf(named) }, text);
    }
    if (JSON_TEXT.test(text)) {
      const nested = this.nested(text);
      if (nested !== undefined) return nested === text ? undefined : nested;
    }
    return maskText(text, plan.recognizer, replace)?.toString('latin1');
  }

  /** JSON in a string, as in last-applied-configuration. @returns undefined where it is none */
  private nested(text: string): string | undefined {
    const nesting = (this.hint.nesting ?? 0) + 1;
    if (nesting > MAX_NESTING) return undefined;
    try {
      const bytes = Buffer.from(text, 'latin1');
      const masked = maskObject(this.plan, bytes, { kind: '', object: `${this.object} ${this.pathText()}`, nesting });
      return masked === bytes ? text : masked.toString('latin1');
    } catch (error) {
      if (error instanceof SyntaxError || error instanceof SallyportError) return undefined;
      throw error;
    }
  }

  private fieldString(start: number, end: number, field: FieldMask): boolean {
    const { path, patch } = this;
    const inSecretData = this.kind === 'Secret' && path[0] === 'data';
    if (inSecretData && isReleaseOfSecret(path, () => this.head.type)) {
      const text = readJsonString(this.bytes.toString('latin1', start, end));
      const release = maskReleaseOfSecret(text, this.insideRelease());
      if (release !== undefined) {
        patch.put(start - 1, end + 1, writeJsonString(release));
        return true;
      }
    }
    if (!inSecretData && !readsValue(this.plan, field)) {
      const { placeholders } = this.plan;
      const at = this.here();
      this.plan.masked?.({ rule: field.rule, kind: 'field', path: at.text });
      const object = placeholders.ofObject(this.object, field.rule);
      patch.placeholder(start, end, placeholders, object, at.digest(placeholders));
      return true;
    }
    let value = '';
    if (readsValue(this.plan, field)) {
      const text = readJsonString(this.bytes.toString('latin1', start, end));
      value = inSecretData ? Buffer.from(text, 'base64').toString('latin1') : text;
    }
    const place = { object: this.object, path: this.pathText(), rule: field.rule };
    const masked = substitute(this.plan, place, value, 'field', field);
    if (masked === undefined) return false;
    patch.put(start, end, inSecretData ? Buffer.from(masked).toString('base64') : masked);
    return true;
  }

  private isRelease(start: number): boolean {
    const begin = (): string => this.bytes.toString('latin1', start, start + 4);
    return isReleaseOfConfigMap(this.path, begin, () => this.head.name);
  }

  private configMapRelease(start: number, end: number): boolean {
    const text = readJsonString(this.bytes.toString('latin1', start, end));
    const place = { object: this.object, path: this.pathText(), rule: RULE_STRUCTURE };
    // What cannot be unpacked goes as a whole.
    const written =
      maskReleaseOfConfigMap(text, this.insideRelease()) ?? substitute(this.plan, place, text, 'field', REDACT) ?? '';
    if (written !== text) this.patch.put(start - 1, end + 1, writeJsonString(written));
    return true;
  }

  private insideRelease(): MaskInside {
    return (json, release) => maskObject(this.plan, json, { kind: 'helm', object: this.object, nesting: 1, release });
  }

  private releaseString(start: number, end: number, name: Key, release: ReleaseSecrets): boolean {
    const text = readJsonString(this.bytes.toString('latin1', start, end));
    const path = this.pathText();
    const hide = (value: string, within = ''): string | undefined => {
      const place = { object: this.object, path: path + within, rule: RULE_STRUCTURE };
      return substitute(this.plan, place, value, 'field', REDACT);
    };
    const inspect = (part: string): string => this.inspected(part, name, undefined) ?? part;
    const masked = maskTextOfRelease(text, this.path, release, hide, inspect);
    if (masked !== text) this.patch.put(start - 1, end + 1, writeJsonString(masked));
    return true;
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

  private here(): KnownPath {
    const { path, paths } = this;
    for (; this.known < path.length; this.known++) paths[this.known + 1] = paths[this.known]!.step(path[this.known]!);
    return paths[path.length]!;
  }

  private pathText(): string {
    return this.here().text;
  }
}

/** Whether what stands there may be JSON: its first sign says so, behind blanks that may be written out. */
function opensJson(bytes: Buffer, start: number): boolean {
  for (let i = start; ; i++) {
    const c = bytes[i]!;
    if (c === 0x7b || c === 0x5b) return true;
    if (c === 0x20) continue;
    if (c !== 0x5c) return false;
    const sign = bytes[++i]!;
    // \\n \\r \\t; what else is written out is read.
    if (sign !== 0x6e && sign !== 0x72 && sign !== 0x74) return sign === 0x75;
  }
}

const INDEXES = Array.from({ length: 64 }, (_, i) => String(i));
