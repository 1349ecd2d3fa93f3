import { type AnswerHint, AnswerMask } from './answer-mask.ts';
import { Arena } from './arena.ts';
import { INCOMPLETE, JsonCursor, unreadable } from './json-cursor.ts';
import { isEscaped } from './line-form.ts';
import type { Masked, MaskPlan } from './mask-plan.ts';
import { Later } from './object-hint.ts';
import { maskObject, maskValue } from './object-mask.ts';
import { LATER } from './object-text.ts';
import { Patch } from './patch.ts';

/** What one object may have in bytes; the API server's own limit is near 1.5 MiB. */
const MAX_UNIT = 16 * 1024 * 1024;

/** What an object is gathered in grows from here, or from what the last one took. */
const FIRST_GATHER = 16 * 1024;
const MOST_GUESSED = 1024 * 1024;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

export interface JsonMaskOptions {
  /** Long strings may wait: while `busy`, `step` goes on before anything else is written. */
  readonly sliced?: boolean;
  /**
   * Memory is used again and again. What is written need not outlast the call, and what is returned lasts until `passed`: whoever
   * keeps it longer copies it. Without, what was written is not to be changed, and what is returned lasts.
   */
  readonly lent?: boolean;
}

/**
 * Masks an answer in JSON as it passes: a list item by item, a Table row by row, a watch event by event. What is held is one
 * object at most. However the bytes are cut, what comes out is the same; of an object that is cut off, nothing does.
 * Fits BodyTransform of the gateway, less its headers.
 */
export class JsonMask {
  private readonly plan: MaskPlan;
  private hint: AnswerHint;
  private readonly answer: AnswerMask;
  /** The beginning of an object that is not whole yet, and its length. */
  private held: Buffer = NOTHING;
  private heldLength = 0;
  private lastLength = 0;
  /** What was gathered last, as it was taken. */
  private gathered: Buffer | undefined;
  private depth = 0;
  private inString = false;
  private escaped = false;
  private mode: 'head' | 'units' | 'tail' = 'head';
  /** At depth 1: the string that was read last, where it may be the key of what follows. */
  private keyStart = -1;
  private lastKey = '';
  private total = 0;
  private listKey = '';
  /** What was masked in an item that may turn out to be cut: told when it is whole. */
  private readonly told: Masked[] = [];
  private tentative: MaskPlan | undefined;
  private readonly sliced: boolean;
  /** Objects that are not done, and what stands behind the first of them: pieces, and the memory of those before it. */
  private readonly queue: (Later | Buffer | Arena)[] = [];
  /** Of what is gathered. */
  private readonly gathering: Arena | undefined;
  /** Of what was returned, until it has been passed on. */
  private spent: Arena | undefined;

  /** @param hint what was asked for: `Secret` for any answer about secrets, `''` where that is not known */
  constructor(plan: MaskPlan, hint: AnswerHint = { kind: '' }, { sliced = false, lent = false }: JsonMaskOptions = {}) {
    this.sliced = sliced;
    if (lent) {
      this.gathering = new Arena();
      this.spent = new Arena();
    }
    this.plan = plan;
    this.answer = new AnswerMask(plan, hint);
    this.hint = hint;
  }

  /**
   * @param chunk which nobody changes from now on, unless memory is lent
   * @throws SallyportError SP_MASKING_UNREADABLE; what was not passed on by then must not be
   */
  write(chunk: Uint8Array): Buffer {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    const out: Buffer[] = [];
    let from = 0;
    const { length } = bytes;
    let i = 0;
    while (i < length) {
      if (
        this.mode === 'units' &&
        this.listKey === 'items' &&
        this.depth === 2 &&
        i === from &&
        this.heldLength === 0
      ) {
        i = this.wholeUnits(bytes, i, out);
        from = i;
        if (i === length) break;
      }
      if (this.inString) {
        i = this.passString(bytes, i);
        continue;
      }
      const c = bytes[i]!;
      if (PLAIN[c] === 1 && this.depth > 0) {
        do i++;
        while (i < length && PLAIN[bytes[i]!] === 1);
        continue;
      }
      if (c === QUOTE) {
        this.inString = true;
        this.keyStart = this.depth === 1 && this.mode === 'head' ? this.total + i : -1;
      } else if (c === 0x7b || c === 0x5b) {
        this.depth++;
        if (this.depth > 100_000) throw unreadable('it is nested too deep');
        if (c === 0x5b && this.depth === 2 && this.mode === 'head' && this.mayOpenList()) {
          const head = this.take(bytes, from, i + 1);
          from = i + 1;
          const masked = this.head(head);
          if (masked === undefined) this.keep(head);
          else this.give(out, masked);
        }
      } else if (c === 0x7d || c === 0x5d) {
        this.depth--;
        if (this.depth < 0) throw unreadable('more was closed than opened');
        if (this.mode === 'units' && this.depth === 1) {
          this.unit(out, this.take(bytes, from, i));
          from = i;
          this.mode = 'tail';
        } else if (this.depth === 0) {
          // The newline behind an object, and behind an event, passes with it.
          while (i + 1 < length && bytes[i + 1]! <= 0x20) i++;
          this.whole(out, this.take(bytes, from, i + 1));
          from = i + 1;
        }
      } else if (c === 0x2c && this.mode === 'units' && this.depth === 2) {
        this.unit(out, this.take(bytes, from, i));
        this.give(out, COMMA);
        from = i + 1;
      } else if (this.depth === 0 && c > 0x20) throw unreadable('an object was expected');
      i++;
    }
    // Between objects there is white space only; a watch's client waits for the newline behind an event.
    if (this.depth === 0 && !this.inString) this.give(out, this.take(bytes, from, length));
    else this.keep(bytes.subarray(from));
    this.total += bytes.length;
    return joined(out, this.spent);
  }

  /** What was returned is needed no more; nothing else has memory used again, so that who forgets it spoils nothing. */
  passed(): void {
    this.spent?.release();
  }

  /** Whether something waits for `step`. */
  get busy(): boolean {
    return this.queue.length > 0;
  }

  /** Works on what waits, for less than a millisecond. @returns what is done by that, one piece of it at a time */
  step(): Buffer {
    const [first] = this.queue;
    if (first === undefined) return NOTHING;
    if (first instanceof Arena) {
      this.queue.shift();
      first.release();
      return NOTHING;
    }
    if (!(first instanceof Later)) {
      this.queue.shift();
      return first;
    }
    const [string] = first.strings;
    if (string?.step() === true) return NOTHING;
    first.strings.shift();
    if (first.strings.length > 0) return NOTHING;
    const done: (Buffer | Arena)[] = first.pieces();
    if (first.arena !== undefined) done.push(first.arena);
    this.queue.splice(0, 1, ...done);
    return NOTHING;
  }

  /** @throws SallyportError where the answer ended before its end */
  end(): Buffer {
    if (this.depth > 0 || this.inString) throw unreadable('it ends too early');
    const rest: Buffer[] = [];
    while (this.busy) rest.push(Buffer.from(this.step()));
    return joined(rest);
  }

  /** What is done passes, unless something before it is not. */
  private give(out: Buffer[], done: Buffer): void {
    if (done.length === 0) return;
    if (this.queue.length === 0) out.push(done);
    else this.queue.push(this.spent === undefined ? done : Buffer.from(done));
  }

  /** Masks one object, or leaves the long strings of it for later. */
  private mask(out: Buffer[], bytes: Buffer, by: (bytes: Buffer, arena?: Arena, later?: Later) => Buffer): void {
    const { spent } = this;
    if (!this.sliced || bytes.length < LATER) {
      this.give(out, by(bytes, spent));
      return;
    }
    const arena = spent === undefined ? undefined : new Arena();
    // What was gathered is of the present call's memory, and has to outlast it.
    arena?.adopt(spent!);
    const later = new Later(arena);
    const masked = by(arena === undefined || bytes === this.gathered ? bytes : copied(bytes, arena), arena, later);
    if (later.strings.length > 0) this.queue.push(later);
    else {
      this.give(out, masked);
      spent?.adopt(arena!);
    }
  }

  /**
   * Masks the items that are whole in this chunk, in one pass over them. Only one that is cut by the chunk's end is looked at
   * twice: once for where it ends, and once it is there.
   * @returns where the first item begins that is not whole
   */
  private wholeUnits(bytes: Buffer, from: number, out: Buffer[]): number {
    this.tentative ??= this.telling();
    const patch = new Patch(bytes, from, this.spent);
    const cursor = new JsonCursor(bytes, from, bytes.length, true);
    let done = from;
    let mark = patch.mark();
    try {
      while (cursor.peek() !== 0x5d) {
        maskValue(this.tentative, patch, cursor, this.hint);
        if (!cursor.more(0x5d)) {
          // The list's end is the scanner's.
          done = cursor.at - 1;
          break;
        }
        done = cursor.at;
        this.tell();
        mark = patch.mark();
      }
    } catch (error) {
      if (error !== INCOMPLETE) throw error;
      this.told.length = 0;
      patch.undo(mark);
    }
    this.tell();
    if (done > from) this.give(out, patch.take(done));
    return done;
  }

  private telling(): MaskPlan {
    const { plan, told } = this;
    return plan.masked === undefined ? plan : { ...plan, masked: (what) => void told.push(what) };
  }

  private tell(): void {
    for (const what of this.told) this.plan.masked?.(what);
    this.told.length = 0;
  }

  private passString(bytes: Buffer, at: number): number {
    const { length } = bytes;
    if (this.escaped && at < length) {
      this.escaped = false;
      at++;
    }
    for (let quote = bytes.indexOf(QUOTE, at); quote !== -1; quote = bytes.indexOf(QUOTE, quote + 1)) {
      if (quote > at && bytes[quote - 1] === BACKSLASH && isEscaped(bytes, quote, at)) continue;
      this.inString = false;
      if (this.keyStart !== -1) this.lastKey = this.textOf(bytes, quote);
      return quote + 1;
    }
    this.escaped = at < length && bytes[length - 1] === BACKSLASH && isEscaped(bytes, length, at);
    return length;
  }

  /** The string at depth 1 that ends here, if it is short enough to be a list's key. */
  private textOf(bytes: Buffer, end: number): string {
    const length = this.total + end - this.keyStart - 1;
    if (length > 5) return '';
    const start = end - length;
    if (start >= 0) return bytes.toString('latin1', start, end);
    const { held, heldLength } = this;
    return held.toString('latin1', heldLength + start, heldLength) + bytes.toString('latin1', 0, end);
  }

  private mayOpenList(): boolean {
    return this.lastKey === 'items' || this.lastKey === 'rows';
  }

  /** What ends here: where it lies, or, where its beginning came before, gathered. */
  private take(bytes: Buffer, from: number, to: number): Buffer {
    const part = bytes.subarray(from, to);
    if (this.heldLength === 0) return part;
    this.keep(part);
    this.gathered = this.held.subarray(0, this.heldLength);
    this.lastLength = this.heldLength;
    this.held = NOTHING;
    this.heldLength = 0;
    if (this.gathering !== undefined) this.spent!.adopt(this.gathering);
    return this.gathered;
  }

  private keep(part: Buffer): void {
    if (part.length === 0) return;
    const length = this.heldLength + part.length;
    if (length > MAX_UNIT) throw unreadable(`one object has more than ${MAX_UNIT} bytes`);
    if (length > this.held.length) this.grow(length);
    part.copy(this.held, this.heldLength);
    this.heldLength = length;
  }

  private grow(length: number): void {
    const guess = this.held.length > 0 ? this.held.length * 2 : Math.min(this.lastLength, MOST_GUESSED);
    const size = Math.max(length, guess, FIRST_GATHER);
    const held = this.gathering?.take(size) ?? Buffer.allocUnsafeSlow(size);
    this.held.copy(held, 0, 0, this.heldLength);
    this.held = held;
  }

  /**
   * What stands before a list's items, completed to be read.
   * @returns undefined where it is another object that has a member of that name: that one is masked as a whole
   */
  private head(bytes: Buffer): Buffer | undefined {
    const whole = Buffer.concat([bytes, LIST_END]);
    const parsed = parseHead(whole);
    const kind = typeof parsed.kind === 'string' ? parsed.kind : undefined;
    if (!this.isList(kind)) return undefined;
    this.mode = 'units';
    this.listKey = this.lastKey;
    const masked = maskObject(this.plan, whole, { kind: this.hint.kind }, this.spent);
    if (this.listKey === 'rows') this.answer.table.begin(whole);
    else if (this.hint.kind === '' && kind !== undefined) this.hint = { ...this.hint, kind: kind.slice(0, -4) };
    return masked.subarray(0, masked.length - LIST_END.length);
  }

  /** Lists of custom resources name their kind behind their items: then it counts what was asked for. */
  private isList(kind: string | undefined): boolean {
    if (this.lastKey === 'rows') return kind === 'Table' || (kind === undefined && this.hint.table !== undefined);
    return kind === undefined ? this.hint.isList !== false : kind.endsWith('List');
  }

  private unit(out: Buffer[], bytes: Buffer): void {
    if (bytes.length === 0 || bytes.every((c) => c <= 0x20)) this.give(out, bytes);
    else if (this.listKey === 'rows') this.give(out, this.answer.table.row(bytes));
    else {
      const { plan, hint } = this;
      this.mask(out, bytes, (unit, arena, later) =>
        maskObject(plan, unit, later === undefined ? hint : { ...hint, later }, arena),
      );
    }
  }

  /** An object at the top, or what follows a list's items. */
  private whole(out: Buffer[], bytes: Buffer): void {
    if (this.mode !== 'tail') {
      this.mask(out, bytes, (unit, arena, later) => this.answer.mask(unit, later, arena));
      return;
    }
    this.mode = 'head';
    this.lastKey = '';
    const lead = Buffer.from(`{"${this.listKey}":[`);
    const tail = Buffer.concat([lead, bytes]);
    this.give(out, maskObject(this.plan, tail, this.hint, this.spent).subarray(lead.length));
  }
}

const NOTHING = Buffer.alloc(0);

function copied(bytes: Buffer, arena: Arena): Buffer {
  const copy = arena.take(bytes.length);
  bytes.copy(copy);
  return copy;
}

function joined(parts: readonly Buffer[], arena?: Arena): Buffer {
  if (parts.length <= 1) return parts[0] ?? NOTHING;
  if (arena === undefined) return Buffer.concat(parts);
  let size = 0;
  for (const part of parts) size += part.length;
  const whole = arena.take(size);
  let at = 0;
  for (const part of parts) at += part.copy(whole, at);
  return whole;
}

/** What needs no look between strings: white space, colons, numbers, words. */
const PLAIN = new Uint8Array(256).fill(1);
for (const c of [QUOTE, 0x7b, 0x7d, 0x5b, 0x5d, 0x2c]) PLAIN[c] = 0;

function parseHead(head: Buffer): { readonly kind?: unknown } {
  try {
    return JSON.parse(head.toString()) as { readonly kind?: unknown };
  } catch {
    throw unreadable('what stands before its items is no JSON');
  }
}

const COMMA = Buffer.from(',');
const LIST_END = Buffer.from(']}');
