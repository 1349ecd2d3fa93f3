import { sequencesIn } from './ansi.ts';
import type { Finding } from './finding.ts';
import { type LineForm, PLAIN_LINES } from './line-form.ts';
import { LineScan } from './line-scan.ts';
import { LineState } from './line-state.ts';
import { type Plain, plainText } from './plain.ts';
import type { Recognizer } from './recognizer.ts';
import { isWide, widened } from './utf16.ts';

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
}

/**
 * Masks a text as it passes. Whole lines go on at once; of an unfinished line at most 64 KiB are held, until its end comes or
 * the owner calls `flush`, some time after a write that left `holding` true. However the bytes are cut, what
 * comes out is the same (between flushes). Bytes in which nothing is found come out as they went in.
 */
export class TextMask {
  private held = '';
  /** How much of `held` was passed on by a flush. */
  private passed = 0;
  private maskedFrom = -1;
  private readonly state: LineState;
  private readonly recognizer: Recognizer;
  private readonly replace: Replace;
  private readonly keepLength: boolean;

  constructor(recognizer: Recognizer, replace: Replace, { keepLength = false }: TextMaskOptions = {}) {
    this.recognizer = recognizer;
    this.state = new LineState(recognizer.byName);
    this.replace = replace;
    this.keepLength = keepLength;
  }

  /** Whether something waits for a flush. */
  get holding(): boolean {
    return this.held.length > this.passed;
  }

  write(chunk: Uint8Array): Buffer {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    const last = bytes.lastIndexOf(LINE_FEED);
    if (last === -1) {
      this.held += bytes.toString('latin1');
      return this.held.length < WINDOW ? EMPTY : Buffer.from(this.drain(-1), 'latin1');
    }
    const out: Buffer[] = [];
    let from = 0;
    if (this.held !== '') {
      from = bytes.indexOf(LINE_FEED) + 1;
      this.held += bytes.toString('latin1', 0, from);
      out.push(Buffer.from(this.drain(this.held.length), 'latin1'));
    }
    this.lines(bytes, from, last + 1, out);
    if (last + 1 < bytes.length) {
      this.held = bytes.toString('latin1', last + 1);
      if (this.held.length >= WINDOW) out.push(Buffer.from(this.drain(-1), 'latin1'));
    }
    return out.length === 1 ? out[0]! : Buffer.concat(out);
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
        this.held = bytes.toString('latin1', at, next);
        out.push(Buffer.from(this.drain(this.held.length), 'latin1'));
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
    const out = this.held.length > 0 ? this.take(this.held.length) : '';
    return Buffer.from(out, 'latin1');
  }

  /** Passes on what waits. A secret that is typed slowly is masked from where it can be told as one. */
  flush(): Buffer {
    if (!this.holding) return EMPTY;
    const { plain, found } = this.find(this.held);
    // The line is not over: what it would leave behind for the next is not kept.
    const out = this.render(this.held, { plain, found: this.state.copy().extend(plain.text, found) });
    this.passed = this.held.length;
    if (this.held.length > CONTEXT * 2) this.forget(this.held.length - CONTEXT);
    return Buffer.from(out, 'latin1');
  }

  private forget(length: number): void {
    this.held = this.held.slice(length);
    this.passed -= length;
    this.maskedFrom = Math.max(-1, this.maskedFrom - length);
  }

  private drain(lines: number): string {
    let out = '';
    let rest = lines;
    // Lines that are too long are cut where they would be cut if they came byte by byte.
    while (rest > 0) {
      const length = shortLines(this.held, rest);
      const taken = length > 0 ? length : this.windowCut();
      out += this.take(taken);
      rest -= taken;
    }
    while (this.held.length >= WINDOW) out += this.take(this.windowCut());
    return out;
  }

  /** Where a window may be cut: not in a finding, and at a blank where one is near. */
  private windowCut(): number {
    const window = this.held.slice(0, WINDOW);
    const plain = plainText(window);
    let cut = WINDOW - OVERLAP;
    const blank = window.lastIndexOf(' ', cut);
    if (blank > cut - 4096) cut = blank + 1;
    for (const { start, end } of this.recognizer.find(plain.text)) {
      const from = plain.origin(start);
      if (from < cut && plain.origin(end - 1) >= cut) cut = from > 0 ? from : WINDOW;
    }
    return cut;
  }

  private take(length: number): string {
    const text = this.held.slice(0, length);
    const findings = this.find(text);
    const out = this.render(text, {
      plain: findings.plain,
      found: this.state.extend(findings.plain.text, findings.found),
    });
    this.held = this.held.slice(length);
    this.passed = Math.max(0, this.passed - length);
    this.maskedFrom = -1;
    return out;
  }

  private find(raw: string, bytes?: Buffer): Found {
    const plain = plainText(raw);
    return { plain, found: this.recognizer.find(plain.text, plain.text === raw ? bytes : undefined) };
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

interface Found {
  readonly plain: Plain;
  readonly found: readonly Finding[];
}

/** Length of the whole lines within `limit` before the first that exceeds the window. */
function shortLines(text: string, limit: number): number {
  let from = 0;
  while (from < limit) {
    const newline = text.indexOf('\n', from);
    if (newline - from >= WINDOW) return from;
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
