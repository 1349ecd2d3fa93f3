/**
 * Bytes of which parts are replaced, from left to right. What stays is copied in as long pieces as there are, and not at all
 * where nothing is replaced.
 */
export class Patch {
  readonly bytes: Buffer;
  private from = 0;
  private copied = 0;
  private out: Buffer = NOTHING;
  private length = 0;
  /** What stands before `out`: pieces, and ranges with patches of their own. */
  private parts: (Buffer | { readonly patch: Patch; readonly end: number })[] = [];

  constructor(bytes: Buffer, from = 0) {
    this.bytes = bytes;
    this.from = from;
    this.copied = from;
  }

  /** Latin-1 text, one character a byte, or bytes, in the place of a range. */
  put(start: number, end: number, text: string | Buffer): void {
    this.cut(start, end);
    this.reserve(text.length);
    if (typeof text !== 'string') this.out.set(text, this.length);
    else if (text.length > 128) this.out.write(text, this.length, 'latin1');
    else for (let i = 0; i < text.length; i++) this.out[this.length + i] = text.charCodeAt(i);
    this.length += text.length;
  }

  cut(start: number, end: number): void {
    this.copy(start);
    this.copied = end;
  }

  /** A range whose replacements are told later, before this patch is taken. */
  split(start: number, end: number): Patch {
    this.cut(start, end);
    this.parts.push(this.out.subarray(0, this.length));
    this.out = NOTHING;
    this.length = 0;
    const patch = new Patch(this.bytes, start);
    this.parts.push({ patch, end });
    return patch;
  }

  /** For `undo`: how far it is. */
  mark(): { readonly copied: number; readonly length: number } {
    return { copied: this.copied, length: this.length };
  }

  undo(mark: { readonly copied: number; readonly length: number }): void {
    this.copied = mark.copied;
    this.length = mark.length;
  }

  /** Everything up to `end`; what follows belongs to the next `take`. The bytes themselves where nothing was replaced. */
  take(end: number): Buffer {
    let out: Buffer;
    if (this.parts.length > 0) {
      this.copy(end);
      const parts = this.parts.map((part) => ('patch' in part ? part.patch.take(part.end) : part));
      out = Buffer.concat([...parts, this.out.subarray(0, this.length)]);
      this.parts = [];
    } else if (this.length === 0 && this.copied === this.from) {
      out = this.bytes.subarray(this.from, end);
    } else {
      this.copy(end);
      out = this.out.subarray(0, this.length);
    }
    this.out = NOTHING;
    this.length = 0;
    this.from = end;
    this.copied = end;
    return out;
  }

  private copy(to: number): void {
    const length = to - this.copied;
    this.reserve(length);
    this.bytes.copy(this.out, this.length, this.copied, to);
    this.length += length;
    this.copied = to;
  }

  private reserve(more: number): void {
    const need = this.length + more;
    if (need <= this.out.length) return;
    const rest = this.bytes.length - this.copied;
    const grown = Buffer.allocUnsafeSlow(Math.max(need + Math.ceil(need / 4) + 256, Math.min(rest * 2, need + rest)));
    this.out.copy(grown, 0, 0, this.length);
    this.out = grown;
  }
}

const NOTHING = Buffer.alloc(0);
