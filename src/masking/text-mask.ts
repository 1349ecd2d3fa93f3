import { sequencesIn } from './ansi.ts';
import { type Finding, joined as joinedFindings } from './finding.ts';
import { type LineForm, PLAIN_LINES } from './line-form.ts';
import { LineScan } from './line-scan.ts';
import { LineState } from './line-state.ts';
import { type Plain, plainText } from './plain.ts';
import type { Recognizer } from './recognizer.ts';
import { isWide, widened } from './utf16.ts';
import { findInWrittenOut } from './written-out-lines.ts';

/** What to write for a finding. @param value what stood there, one character a byte, without terminal sequences */
export type Replace = (finding: Finding, value: string) => string;

/** Characters of one line that are looked at together; a longer one passes in pieces that overlap by a quarter. */
export const WINDOW = 65_536;
const OVERLAP = 16_384;
/** Characters of an unfinished line that was passed on already, kept as context for what comes. */
const CONTEXT = 8192;
/** Lines that hold something, one behind the other, are looked at together: about so many characters. */
const REGION = 4096;
const LINE_FEED = 0x0a;

export interface TextMaskOptions {
  /** Every placeholder is cut or filled up to the length of what it replaces: for text inside a framing that counts bytes. */
  readonly keepLength?: boolean;
  /** What is written need not outlast the call; what is returned may be a part of it. */
  readonly lent?: boolean;
}

/**
 * Masks a text as it passes. Whole lines go on at once; of an unfinished line at most 64 KiB are held, until its end comes or
 * the owner calls `flush`, some time after a write that left `holding` true. However the bytes are cut, what
 * comes out is the same (between flushes). Bytes in which nothing is found come out as they went in.
 */
export class TextMask {
  /** What is held, in the pieces in which it came: many small ones are joined when they are looked at. */
  private pieces: Buffer[] = [];
  private length = 0;
  /** How much of it was passed on by a flush. */
  private passed = 0;
  private maskedFrom = -1;
  /** So many bytes of it are known to hold nothing. */
  private clean = 0;
  private readonly state: LineState;
  private readonly recognizer: Recognizer;
  private readonly replace: Replace;
  private readonly keepLength: boolean;
  private readonly lent: boolean;

  constructor(recognizer: Recognizer, replace: Replace, { keepLength = false, lent = false }: TextMaskOptions = {}) {
    this.lent = lent;
    this.recognizer = recognizer;
    this.state = new LineState(recognizer.byName);
    this.replace = replace;
    this.keepLength = keepLength;
  }

  /** Whether something waits for a flush. */
  get holding(): boolean {
    return this.length > this.passed;
  }

  write(chunk: Uint8Array): Buffer {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    const last = bytes.lastIndexOf(LINE_FEED);
    const out: Buffer[] = [];
    if (last === -1) {
      this.hold(bytes);
      if (this.length < WINDOW) return EMPTY;
      this.drain(-1, out);
      return joined(out);
    }
    let from = 0;
    if (this.length > 0) {
      from = bytes.indexOf(LINE_FEED) + 1;
      this.hold(bytes.subarray(0, from));
      this.drain(this.length, out);
    }
    this.lines(bytes, from, last + 1, out);
    if (last + 1 < bytes.length) {
      this.hold(bytes.subarray(last + 1));
      if (this.length >= WINDOW) this.drain(-1, out);
    }
    return joined(out);
  }

  private hold(bytes: Buffer): void {
    this.pieces.push(this.lent ? Buffer.from(bytes) : bytes);
    this.length += bytes.length;
  }

  private held(): Buffer {
    if (this.pieces.length !== 1) this.pieces = [Buffer.concat(this.pieces, this.length)];
    return this.pieces[0]!;
  }

  /** @returns the first bytes of what is held, which is held no more */
  private shift(length: number): Buffer {
    const held = this.held();
    this.pieces = length === held.length ? [] : [held.subarray(length)];
    this.length -= length;
    return held.subarray(0, length);
  }

  /** Whole lines, from bytes: none is held. */
  private lines(bytes: Buffer, from: number, to: number, out: Buffer[]): void {
    for (let at = from; at < to; ) {
      const end = bytes.lastIndexOf(LINE_FEED, Math.min(to, at + WINDOW) - 1) + 1;
      if (end > at) {
        this.short(bytes, at, end, out);
        at = end;
      } else {
        const next = bytes.indexOf(LINE_FEED, at) + 1;
        this.hold(bytes.subarray(at, next));
        this.drain(this.length, out);
        at = next;
      }
    }
  }

  /** Lines that are not too long. */
  private short(bytes: Buffer, from: number, to: number, out: Buffer[]): void {
    let passed = from;
    this.walk(PLAIN_LINES, bytes, from, to, (start, end, text) => {
      out.push(bytes.subarray(passed, start), Buffer.from(text, 'latin1'));
      passed = end;
    });
    out.push(bytes.subarray(passed, to));
  }

  /**
   * Whole lines in whatever form, none of them too long, while nothing is held: only those in which something may stand become text.
   * @param put is told what to write in the place of which bytes
   */
  walk(
    form: LineForm,
    bytes: Buffer,
    from: number,
    to: number,
    put: (start: number, end: number, text: string) => void,
  ): void {
    const scan = new LineScan(this.recognizer, bytes, to, form.escaped);
    for (let at = from; at < to; ) {
      let start = at;
      let end: number;
      if (this.state.isOpen) end = Math.min(to, form.lineEnd(bytes, Math.max(at, Math.min(at + REGION, to - 2))));
      else {
        const hit = scan.next(at);
        if (hit >= to) return;
        start = form.lineStart(bytes, hit, at);
        end = Math.min(to, form.lineEnd(bytes, start));
        while (end < to && end - start < REGION) {
          const next = Math.min(to, form.lineEnd(bytes, end));
          if (scan.next(end) >= next) break;
          end = next;
        }
      }
      const raw = form.read(bytes, start, end);
      const { plain, found } = this.find(raw, form.escaped ? undefined : bytes.subarray(start, end));
      const all = this.state.extend(plain.text, found);
      if (all.length > 0) {
        put(start, end, this.render(raw, { plain, found: all }));
        this.maskedFrom = -1;
      }
      at = end;
    }
  }

  end(): Buffer {
    return this.length > 0 ? this.take(this.length) : EMPTY;
  }

  /** Passes on what waits. A secret that is typed slowly is masked from where it can be told as one. */
  flush(): Buffer {
    if (!this.holding) return EMPTY;
    const raw = this.held().toString('latin1');
    const { plain, found } = this.find(raw);
    // The line is not over: what it would leave behind for the next is not kept.
    const out = this.render(raw, { plain, found: this.state.copy().extend(plain.text, found) });
    this.passed = this.length;
    if (this.length > CONTEXT * 2) this.forget(this.length - CONTEXT);
    return Buffer.from(out, 'latin1');
  }

  private forget(length: number): void {
    this.shift(length);
    this.passed -= length;
    this.maskedFrom = Math.max(-1, this.maskedFrom - length);
  }

  private drain(lines: number, out: Buffer[]): void {
    let rest = lines;
    // Lines that are too long are cut where they would be cut if they came byte by byte.
    while (rest > 0) {
      const length = shortLines(this.held(), rest);
      const taken = length > 0 ? length : this.windowCut();
      out.push(this.take(taken));
      rest -= taken;
    }
    while (this.length >= WINDOW) out.push(this.take(this.windowCut()));
  }

  /** Where a window may be cut: not in a finding, and at a blank where one is near. */
  private windowCut(): number {
    const window = this.held().subarray(0, WINDOW);
    let cut = WINDOW - OVERLAP;
    const blank = window.lastIndexOf(BLANK, cut);
    if (blank > cut - 4096) cut = blank + 1;
    if (this.isQuiet(window)) {
      this.clean = WINDOW;
      return cut;
    }
    const plain = plainText(window.toString('latin1'));
    for (const { start, end } of this.recognizer.find(plain.text)) {
      const from = plain.origin(start);
      if (from < cut && plain.origin(end - 1) >= cut) cut = from > 0 ? from : WINDOW;
    }
    return cut;
  }

  private take(length: number): Buffer {
    const bytes = this.shift(length);
    const quiet = this.clean >= length || this.isQuiet(bytes);
    this.clean = 0;
    const out = quiet ? bytes.subarray(Math.min(this.passed, length)) : this.masked(bytes);
    this.passed = Math.max(0, this.passed - length);
    this.maskedFrom = -1;
    return out;
  }

  private masked(bytes: Buffer): Buffer {
    const raw = bytes.toString('latin1');
    const { plain, found } = this.find(raw);
    return Buffer.from(this.render(raw, { plain, found: this.state.extend(plain.text, found) }), 'latin1');
  }

  /** Nothing can stand in these bytes, nor follow from what stood before them: no text need be made of them. */
  private isQuiet(bytes: Buffer): boolean {
    if (this.state.isOpen) return false;
    // Filling is told at the speed of memory.
    if (bytes.equals(ZEROS.subarray(0, bytes.length))) return true;
    return new LineScan(this.recognizer, bytes, bytes.length, false).next(0) >= bytes.length;
  }

  private find(raw: string, bytes?: Buffer): Found {
    const plain = plainText(raw);
    const found = this.recognizer.find(plain.text, plain.text === raw ? bytes : undefined);
    if (this.recognizer.idle || !plain.text.includes('\\n')) return { plain, found };
    const inside = findInWrittenOut(plain.text, (text) =>
      new LineState(this.recognizer.byName).extend(text, this.recognizer.find(text)),
    );
    return { plain, found: inside.length === 0 ? found : joinedFindings([...found, ...inside]) };
  }

  private render(raw: string, { plain, found }: Found): string {
    let out = '';
    let at = this.passed;
    for (const finding of found) {
      const { start, end } = finding;
      const from = plain.origin(start);
      const to = end > start ? plain.origin(end - 1) + 1 : from;
      if (to <= at) continue;
      const begin = Math.max(from, at);
      out += raw.slice(at, begin);
      // One that was begun by a flush has its placeholder already.
      const wide = isWide(raw.slice(begin, to));
      if (from !== this.maskedFrom) {
        const written = this.written(finding, plain.text.slice(start, end));
        out += wide ? widened(written) : written;
      }
      if (!wide) out += sequencesIn(raw.slice(begin, to));
      this.maskedFrom = from;
      at = to;
    }
    return out + raw.slice(at);
  }

  private written(finding: Finding, value: string): string {
    const text = finding.silent === true ? '' : this.replace(finding, value);
    if (!this.keepLength) return text;
    return text.length > value.length
      ? '*'.repeat(value.length)
      : text + value.slice(text.length).replace(/[^\r\n]/g, '*');
  }
}

const EMPTY = Buffer.alloc(0);
const BLANK = 0x20;
const ZEROS = Buffer.alloc(WINDOW);

function joined(pieces: readonly Buffer[]): Buffer {
  return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
}

interface Found {
  readonly plain: Plain;
  readonly found: readonly Finding[];
}

/** Length of the whole lines within `limit` before the first that exceeds the window. */
function shortLines(text: Buffer, limit: number): number {
  let from = 0;
  while (from < limit) {
    const newline = text.lastIndexOf(LINE_FEED, Math.min(limit, from + WINDOW) - 1);
    if (newline < from) return from;
    from = newline + 1;
  }
  return from;
}

/** Masks a whole text. @returns undefined where nothing was found */
export function maskText(text: string | Buffer, recognizer: Recognizer, replace: Replace): Buffer | undefined {
  let changed = false;
  const mask = new TextMask(recognizer, (finding, value) => {
    changed = true;
    return replace(finding, value);
  });
  const lines = mask.write(typeof text === 'string' ? Buffer.from(text, 'latin1') : text);
  const rest = mask.end();
  if (!changed) return undefined;
  return rest.length === 0 ? lines : Buffer.concat([lines, rest]);
}
