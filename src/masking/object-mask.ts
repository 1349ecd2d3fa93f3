import { gzipSync } from 'node:zlib';
import { SallyportError } from '../errors.ts';
import { inflate } from './encoded.ts';
import { type Cursor, descend, ended } from './field-path.ts';
import { JsonCursor, type Span, unreadable } from './json-cursor.ts';
import { readJsonString, writeJsonString } from './json-string.ts';
import { type Key, KeyTable, keyOf } from './key-table.ts';
import { holdsMarker } from './marker.ts';
import { type FieldMask, type MaskPlan, replacer, substitute, substituteScalar } from './mask-plan.ts';
import { EVENT, type ObjectHead, readHead, siblingText } from './object-head.ts';
import { isPlausible } from './secret-name.ts';
import { hasMaskedFields, IDENTITY_MEMBERS, RULE_STRUCTURE, structureOf } from './structure.ts';
import { maskText } from './text-mask.ts';

/** What is known of an object from outside: the resource that was asked for, the list it stands in. */
export interface ObjectHint {
  readonly kind: string;
  /** Names of a Table's columns. */
  readonly columns?: readonly string[];
  /** The object around a nested one: placeholders are bound to it. */
  readonly object?: string;
  readonly nesting?: number;
}

const MAX_NESTING = 4;
const KEYS = new KeyTable();
const NO_KEY = keyOf('');

/**
 * Masks one object (or any JSON value).
 * @returns the bytes as they should be seen; the same buffer where nothing had to be masked
 * @throws SallyportError SP_MASKING_UNREADABLE
 */
export function maskObject(plan: MaskPlan, bytes: Buffer, hint: ObjectHint): Buffer {
  return new ObjectMask(plan, bytes, hint).run();
}

class ObjectMask {
  private readonly plan: MaskPlan;
  private readonly cursor: JsonCursor;
  private readonly bytes: Buffer;
  private readonly hint: ObjectHint;
  private readonly head: ObjectHead;
  private readonly kind: string;
  private readonly object: string;
  private readonly path: string[] = [];
  private readonly out: Buffer[] = [];
  private copied = 0;
  private readonly idle: boolean;
  private readonly exempt: boolean;
  /** Values masked by their place: a Table's cells may repeat them. */
  private readonly seen = new Set<string>();

  constructor(wide: MaskPlan, bytes: Buffer, hint: ObjectHint) {
    this.bytes = bytes;
    this.hint = hint;
    this.cursor = new JsonCursor(bytes);
    this.head = readHead(bytes, hint.kind);
    // Only the object itself says which one it is; what stands in one of its texts says what its author likes.
    const isNamed = hint.nesting === undefined && this.head.name !== '';
    const plan = isNamed && wide.forObject !== undefined ? wide.forObject(this.head.namespace, this.head.name) : wide;
    this.exempt = plan === undefined;
    this.plan = plan ?? wide;
    this.idle = this.plan.recognizer.idle;
    // An item of a list whose kind comes later: until it is known, data is taken for a Secret's.
    const guess = this.head.hasData && hint.kind === '' && hint.nesting === undefined ? 'Secret' : hint.kind;
    this.kind = this.head.kind === '' ? guess : this.head.kind;
    this.object = this.head.uid || hint.object || `${this.kind}/${this.head.namespace}/${this.head.name}`;
  }

  run(): Buffer {
    if (this.exempt) {
      this.cursor.skip();
      if (this.cursor.peek() !== -1) throw unreadable('something follows its end');
      return this.bytes;
    }
    const masks = this.plan.structure
      ? structureOf(this.kind).map(
          (path) => ({ path, action: 'Redact', scope: 'Object', rule: RULE_STRUCTURE }) as const,
        )
      : [];
    const cursors = [...masks, ...this.plan.fields].map((of) => ({ path: of.path, done: 0, of }));
    if (this.head.isRow) this.row();
    else this.value(cursors, undefined, NO_KEY);
    if (this.cursor.peek() !== -1) throw unreadable('something follows its end');
    if (this.out.length === 0) return this.bytes;
    this.out.push(this.bytes.subarray(this.copied));
    return Buffer.concat(this.out);
  }

  private value(cursors: readonly Cursor<FieldMask>[], field: FieldMask | undefined, beside: Key): boolean {
    const { cursor } = this;
    const c = cursor.peek();
    if (c === 0x7b) return this.members(cursors, field);
    if (c === 0x5b) return this.items(cursors, field, beside);
    if (c === 0x22) return this.string(cursor.string(), field, beside);
    const start = cursor.at;
    cursor.scalar();
    if (field === undefined || this.bytes[start] === 0x6e) return true;
    const place = { object: this.object, path: this.pathText(), rule: field.rule };
    const text = substituteScalar(this.plan, place, this.bytes.toString('latin1', start, cursor.at), field);
    if (text === undefined) return false;
    this.put(start, cursor.at, text);
    return true;
  }

  private members(cursors: readonly Cursor<FieldMask>[], field: FieldMask | undefined): boolean {
    const { cursor, path } = this;
    const inMetadata = path[path.length - 1] === 'metadata' && field === undefined;
    let name = '';
    let kept = 0;
    cursor.peek();
    cursor.enter();
    if (cursor.empty(0x7d)) return true;
    let comma = -1;
    let more = true;
    while (more) {
      cursor.peek();
      const start = cursor.at;
      const span = cursor.string();
      const member = KEYS.read(this.bytes, span.start, span.end);
      const key = member.name;
      cursor.colon();
      cursor.peek();
      path.push(key);
      if (key === 'kind' && path.length === 1) this.checkKind();
      let keep = true;
      if (inMetadata && IDENTITY_MEMBERS.has(key)) cursor.skip();
      else if (this.isObjectMember(key)) this.subObject();
      else {
        const below = cursors.length === 0 ? cursors : descend(cursors, key);
        const own = field ?? ended(below);
        if (this.idle && own === undefined && below.length === 0 && !(path.length === 1 && key === 'items')) {
          cursor.skip();
        } else {
          if (own === undefined && (key === 'name' || key === 'key') && cursor.peek() === 0x22)
            name = this.peekString();
          keep = this.value(below, own, (key === 'value' || key === 'values') && name !== '' ? keyOf(name) : member);
          if (!keep && own === undefined) keep = true;
        }
      }
      path.pop();
      const end = cursor.at;
      more = cursor.more(0x7d);
      if (keep) {
        kept++;
        comma = cursor.at - 1;
      } else {
        if (kept > 0) this.cut(comma, end);
        else this.cut(start, more ? cursor.at : end);
        if (kept > 0 && more) comma = cursor.at - 1;
      }
    }
    return true;
  }

  private items(cursors: readonly Cursor<FieldMask>[], field: FieldMask | undefined, beside: Key): boolean {
    const { cursor, path } = this;
    cursor.enter();
    if (cursor.empty(0x5d)) return true;
    let index = 0;
    let flag = '';
    const holdsObjects = path.length === 1 && path[0] === 'items' && (this.kind === '' || this.kind.endsWith('List'));
    do {
      cursor.peek();
      const start = cursor.at;
      const end = this.bytes.length;
      const sibling = (key: string): string | undefined => siblingText(this.bytes, start, end, key);
      path.push(String(index++));
      const below = cursors.length === 0 ? cursors : descend(cursors, path[path.length - 1]!, sibling);
      const isText = cursor.peek() === 0x22;
      const text = isText && this.bytes[start + 1] === 0x2d ? this.peekString() : '';
      if (holdsObjects && field === undefined && ended(below) === undefined) this.subObject();
      else {
        const keep = this.value(below, field ?? ended(below), flag === '' ? beside : keyOf(flag));
        // An item that is dropped leaves an empty one: the others keep their places.
        if (!keep) this.put(start, cursor.at, isText ? '""' : 'null');
      }
      flag = /^--?[A-Za-z][A-Za-z0-9-]*$/.test(text) ? text : '';
      path.pop();
    } while (cursor.more(0x5d));
    return true;
  }

  /** The head believed the first kind; a second one that is a Secret would have been masked otherwise. */
  private checkKind(): void {
    if (this.kind === 'Secret' || this.cursor.peek() !== 0x22) return;
    if (this.peekString() === 'Secret') throw unreadable('a kind stands in it twice');
  }

  private isObjectMember(key: string): boolean {
    const { path } = this;
    // A watch event's object.
    return key === 'object' && path.length === 1 && this.cursor.peek() === 0x7b && EVENT.test(this.head.type);
  }

  private subObject(): void {
    const { start, end } = this.cursor.skip();
    const kind = this.hint.kind || (this.kind.endsWith('List') ? this.kind.slice(0, -4) : '');
    const unit = this.bytes.subarray(start, end);
    const masked = maskObject(this.plan, unit, { ...this.hint, kind });
    if (masked !== unit) this.put(start, end, masked);
  }

  /** A Table's row: first its object, then the cells, which may repeat what was masked in it. */
  private row(): void {
    const { cursor } = this;
    const spans = new Map<string, Span>();
    cursor.members((key) => void spans.set(cursor.text(key), cursor.skip()));
    const object = spans.get('object');
    const masks: [Span, Buffer][] = [];
    const values = new Set<string>();
    if (object !== undefined) {
      const unit = this.bytes.subarray(object.start, object.end);
      const mask = new ObjectMask(this.plan, unit, { kind: this.hint.kind });
      masks.push([object, mask.run()]);
      for (const value of mask.seen) values.add(value);
    }
    const cells = spans.get('cells');
    if (cells !== undefined) masks.push([cells, this.cells(cells, values)]);
    for (const [span, masked] of masks.sort(([a], [b]) => a.start - b.start)) this.put(span.start, span.end, masked);
  }

  private cells({ start, end }: Span, values: ReadonlySet<string>): Buffer {
    const cursor = new JsonCursor(this.bytes, start, end);
    const parts: string[] = [];
    if (cursor.peek() !== 0x5b) return this.bytes.subarray(start, end);
    cursor.enter();
    if (cursor.empty(0x5d)) return this.bytes.subarray(start, end);
    do {
      const column = this.hint.columns?.[parts.length] ?? '';
      if (cursor.peek() !== 0x22) {
        const span = cursor.skip();
        parts.push(cursor.text(span));
        continue;
      }
      const raw = cursor.text(cursor.string());
      const text = readJsonString(raw);
      const repeats = [...values].some((value) => value.length >= 4 && text.includes(value));
      const place = {
        object: this.object,
        path: `cells[${parts.length}]`,
        rule: repeats ? RULE_STRUCTURE : this.plan.rule,
      };
      const redact = { action: 'Redact', scope: 'Object' } as const;
      const masked = repeats
        ? substitute(this.plan, place, text, 'cell', redact)
        : this.inspected(text, column === 'Name' ? NO_KEY : keyOf(column), place.path);
      parts.push(masked === undefined ? `"${raw}"` : writeJsonString(masked));
    } while (cursor.more(0x5d));
    return Buffer.from(`[${parts.join(',')}]`, 'latin1');
  }

  private string({ start, end }: Span, field: FieldMask | undefined, name: Key): boolean {
    if (field !== undefined) return this.fieldString(start, end, field);
    if (end - start < 4 || this.idle) return true;
    const { bytes } = this;
    const quiet = name.named === 'none' && !this.isStatusMessage(name) && !hasEscape(bytes, start, end);
    if (quiet && !this.plan.recognizer.mayHold(bytes, start, end)) return true;
    const masked = this.inspected(readJsonString(bytes.toString('latin1', start, end)), name, undefined);
    if (masked !== undefined) this.put(start - 1, end + 1, writeJsonString(masked));
    return true;
  }

  private isStatusMessage({ name }: Key): boolean {
    return name === 'message' && this.kind === 'Status' && this.plan.structure;
  }

  /** @returns what to write, or undefined to leave it */
  private inspected(text: string, name: Key, at: string | undefined): string | undefined {
    const { plan } = this;
    const path = at ?? this.pathText();
    const replace = replacer(plan, this.object, path);
    const { named } = name;
    if (named !== 'none' && !holdsMarker(text) && isPlausible(text, named) && !/[\n{]/.test(text)) {
      const kind = named === 'password' ? 'generic-password' : 'generic-credential';
      return replace({ start: 0, end: text.length, kind }, text);
    }
    if (/^\s*[[{]/.test(text)) {
      const nested = this.nested(text);
      if (nested !== undefined) return nested === text ? undefined : nested;
    }
    const status = this.isStatusMessage(name) ? this.quoted(text, path) : text;
    const masked = maskText(status, plan.recognizer, replace);
    return masked ?? (status === text ? undefined : status);
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

  /** Values in quotes after "Invalid value" and in any message about a kind with masked fields; names stay. */
  private quoted(text: string, path: string): string {
    const details = /"details"\s*:\s*\{[^{}]{0,512}?"kind"\s*:\s*"([A-Za-z.]{1,64})"/.exec(
      this.bytes.toString('latin1'),
    );
    if (!hasMaskedFields(details?.[1] ?? this.hint.kind)) return text;
    const place = { object: this.object, path, rule: RULE_STRUCTURE };
    const redact = { action: 'Redact', scope: 'Object' } as const;
    return text.replace(/(:\s*)"((?:[^"\\]|\\.)*)"/g, (_, lead: string, value: string) => {
      return `${lead}"${substitute(this.plan, place, value, 'status-value', redact) ?? ''}"`;
    });
  }

  private fieldString(start: number, end: number, field: FieldMask): boolean {
    const text = readJsonString(this.bytes.toString('latin1', start, end));
    const helm = this.helmRelease(text);
    if (helm !== undefined) {
      this.put(start - 1, end + 1, writeJsonString(helm));
      return true;
    }
    const isBase64 = this.kind === 'Secret' && this.path[0] === 'data';
    const value = isBase64 ? Buffer.from(text, 'base64').toString('latin1') : text;
    this.seen.add(value);
    if (isBase64) this.seen.add(text);
    const place = { object: this.object, path: this.pathText(), rule: field.rule };
    const masked = substitute(this.plan, place, value, 'field', field);
    if (masked === undefined) return false;
    this.put(start - 1, end + 1, `"${isBase64 ? Buffer.from(masked).toString('base64') : masked}"`);
    return true;
  }

  /** A Helm release is JSON, gzipped, in base64, in base64: masked inside, so that helm can read it. */
  private helmRelease(text: string): string | undefined {
    if (this.head.type !== 'helm.sh/release.v1' || this.kind !== 'Secret' || this.path.join('.') !== 'data.release') {
      return undefined;
    }
    const inner = Buffer.from(Buffer.from(text, 'base64').toString('latin1'), 'base64');
    const json = inflate(inner);
    if (json === undefined) return undefined;
    try {
      const masked = maskObject(this.plan, json, { kind: 'helm', object: this.object, nesting: 1 });
      const packed = masked === json ? inner : gzipSync(masked, { level: 6 });
      return Buffer.from(packed.toString('base64')).toString('base64');
    } catch {
      return undefined;
    }
  }

  private peekString(): string {
    const { cursor } = this;
    const at = cursor.at;
    const text = readJsonString(cursor.text(cursor.string()));
    cursor.at = at;
    return text;
  }

  private put(start: number, end: number, text: string | Buffer): void {
    this.cut(start, end);
    this.out.push(typeof text === 'string' ? Buffer.from(text, 'latin1') : text);
  }

  private cut(start: number, end: number): void {
    this.out.push(this.bytes.subarray(this.copied, start));
    this.copied = end;
  }

  private pathText(): string {
    let text = '';
    for (const step of this.path) {
      if (/^\d+$/.test(step)) text += `[${step}]`;
      else if (/^[A-Za-z_$][A-Za-z0-9_$-]*$/.test(step)) text += text === '' ? step : `.${step}`;
      else text += `[${JSON.stringify(step)}]`;
    }
    return text;
  }
}

/** Whether an escape stands in the range. */
function hasEscape(bytes: Buffer, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if (bytes[i] === 0x5c) return true;
  return false;
}
