import type { Arena } from './arena.ts';
import { JsonCursor, type Span, unreadable } from './json-cursor.ts';
import { readJsonString } from './json-string.ts';
import type { MaskPlan } from './mask-plan.ts';
import type { Later, ObjectHint } from './object-hint.ts';
import { maskObject } from './object-mask.ts';
import { maskStatus, type StatusHint } from './status-mask.ts';
import { type TableHint, TableMask } from './table-mask.ts';

/** What was asked for, as far as it is known. */
export interface AnswerHint extends ObjectHint {
  /** Whether a list was asked for: `items` of any other object are part of it. */
  readonly isList?: boolean;
  readonly table?: TableHint;
  readonly status?: StatusHint;
}

/** Masks one answer that is there as a whole, by its shape: a Status, a Table, an event of either, or an object. */
export class AnswerMask {
  private knownTable: TableMask | undefined;
  private readonly plan: MaskPlan;
  private readonly hint: AnswerHint;
  private readonly status: StatusHint;

  constructor(plan: MaskPlan, hint: AnswerHint) {
    this.plan = plan;
    this.hint = hint;
    this.status = hint.status ?? { about: hint.kind, names: () => [] };
  }

  /** What a Table's rows are masked by: its head says it, for all of them. */
  get table(): TableMask {
    this.knownTable ??= new TableMask(this.plan, this.hint.kind, this.hint.table);
    return this.knownTable;
  }

  /**
   * @param later takes what can wait, of an object; then nothing is returned
   * @param arena of which what is returned may be made
   */
  mask(bytes: Buffer, later?: Later, arena?: Arena): Buffer {
    const cursor = new JsonCursor(bytes);
    const hint = later === undefined ? this.hint : { ...this.hint, later };
    if (cursor.peek() !== 0x7b) return maskObject(this.plan, bytes, hint, arena);
    const kind = firstKind(cursor);
    if (kind === 'Status') return maskStatus(this.plan, onlyKind(bytes), this.status);
    if (kind === 'Table') return this.table.whole(onlyKind(bytes));
    if (kind === undefined && this.isEventOf(bytes)) return this.event(bytes);
    return maskObject(this.plan, bytes, hint, arena);
  }

  /** Whether it is a watch event whose object needs more than any object does. */
  private isEventOf(bytes: Buffer): boolean {
    let found = false;
    const cursor = new JsonCursor(bytes);
    cursor.members((key) => {
      if (readJsonString(cursor.text(key)) === 'object' && cursor.peek() === 0x7b) {
        const { start, end } = cursor.skip();
        const kind = firstKind(new JsonCursor(bytes, start, end));
        if (kind === 'Status' || kind === 'Table') found = true;
      } else cursor.skip();
    });
    return found;
  }

  private event(bytes: Buffer): Buffer {
    const cursor = new JsonCursor(bytes);
    const members: string[] = [];
    cursor.peek();
    const lead = bytes.subarray(0, cursor.at);
    cursor.members((key) => {
      const { start, end } = cursor.skip();
      const value = bytes.subarray(start, end);
      const isObject = readJsonString(cursor.text(key)) === 'object';
      members.push(`"${cursor.text(key)}":${(isObject ? this.mask(value) : value).toString('latin1')}`);
      if (!isObject && value.length > LONGEST_TYPE) throw unreadable('an event has a type that is none');
    });
    return Buffer.concat([lead, Buffer.from(`{${members.join(',')}}`, 'latin1'), bytes.subarray(cursor.at)]);
  }
}

const LONGEST_TYPE = 34;

/** The object's kind, as far as it is said before anything else was read that an event has. */
function firstKind(cursor: JsonCursor): string | undefined {
  let kind: string | undefined;
  cursor.members((key) => {
    if (readJsonString(cursor.text(key)) === 'kind' && cursor.peek() === 0x22) {
      kind = readJsonString(cursor.text(cursor.string()));
      return true;
    }
    cursor.skip();
    return false;
  });
  return kind;
}

/** A second kind would have been masked otherwise. */
function onlyKind(bytes: Buffer): Buffer {
  const cursor = new JsonCursor(bytes);
  const kinds: Span[] = [];
  cursor.members((key) => {
    if (readJsonString(cursor.text(key)) === 'kind') kinds.push(key);
    cursor.skip();
  });
  if (kinds.length > 1) throw unreadable('a kind stands in it twice');
  return bytes;
}
