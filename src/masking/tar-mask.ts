import { unreadable } from './json-cursor.ts';
import type { Recognizer } from './recognizer.ts';
import { type Replace, TextMask } from './text-mask.ts';

const BLOCK = 512;
/** Types of entries that hold a file's bytes (POSIX ustar, GNU sparse): '0', NUL, '7', 'S'. */
const FILES = new Set([0x30, 0x00, 0x37, 0x53]);

/**
 * Masks the files in a tar archive (POSIX.1-1988 ustar, pax, GNU) as it passes. What is written for a secret has the secret's
 * length, so every size in the archive stays true; names and headers are not touched. Bytes that are no archive are masked as
 * text, lengths kept as well.
 */
export class TarMask {
  private readonly recognizer: Recognizer;
  private readonly replace: Replace;
  private readonly strict: boolean;
  private header: Buffer = Buffer.alloc(0);
  private file: TextMask | undefined;
  /** Bytes of the current entry that are still to come: content, then filling up to a block. */
  private content = 0;
  private padding = 0;
  /** Bytes of the current file that came in and have not gone out yet. */
  private owed = 0;
  private plain: TextMask | undefined;

  /** @param strict what is no archive is an error, and not text */
  constructor(recognizer: Recognizer, replace: Replace, strict: boolean) {
    this.recognizer = recognizer;
    this.replace = replace;
    this.strict = strict;
  }

  /** Whether something waits for more. Nothing of an archive is ever passed on early. */
  get holding(): boolean {
    return this.plain?.holding === true;
  }

  /** @throws SallyportError SP_MASKING_UNREADABLE */
  write(chunk: Uint8Array): Buffer {
    let bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    const out: Buffer[] = [];
    while (bytes.length > 0) {
      if (this.plain !== undefined) {
        out.push(this.plain.write(bytes));
        break;
      }
      const taken =
        this.content > 0 ? this.entry(bytes, out) : this.padding > 0 ? this.pad(bytes, out) : this.head(bytes, out);
      bytes = bytes.subarray(taken);
    }
    return Buffer.concat(out);
  }

  flush(): Buffer {
    return this.plain?.flush() ?? Buffer.alloc(0);
  }

  end(): Buffer {
    if (this.plain !== undefined) return this.plain.end();
    // A cut archive is passed on as far as it came.
    return this.file === undefined ? this.header : this.closed(this.file);
  }

  private entry(bytes: Buffer, out: Buffer[]): number {
    const part = bytes.subarray(0, this.content);
    this.content -= part.length;
    if (this.file === undefined) out.push(part);
    else {
      this.owed += part.length;
      this.give(this.file.write(part), out);
      if (this.content === 0) {
        out.push(this.closed(this.file));
        this.file = undefined;
      }
    }
    return part.length;
  }

  private give(masked: Buffer, out: Buffer[]): void {
    this.owed -= masked.length;
    out.push(masked);
  }

  private closed(file: TextMask): Buffer {
    const rest = file.end();
    this.owed -= rest.length;
    if (this.owed !== 0) throw unreadable('a file in an archive changed its length');
    return rest;
  }

  private pad(bytes: Buffer, out: Buffer[]): number {
    const part = bytes.subarray(0, this.padding);
    this.padding -= part.length;
    out.push(part);
    return part.length;
  }

  private head(bytes: Buffer, out: Buffer[]): number {
    const part = bytes.subarray(0, BLOCK - this.header.length);
    this.header = Buffer.concat([this.header, part]);
    if (this.header.length < BLOCK) return part.length;
    const { header } = this;
    this.header = Buffer.alloc(0);
    if (isHeader(header)) {
      const size = sizeOf(header);
      this.content = size;
      this.padding = (BLOCK - (size % BLOCK)) % BLOCK;
      if (size > 0 && FILES.has(header[156]!))
        this.file = new TextMask(this.recognizer, this.replace, { keepLength: true });
      out.push(header);
    } else if (header.every((byte) => byte === 0)) out.push(header);
    else {
      if (this.strict) throw unreadable('it is no tar archive');
      this.plain = new TextMask(this.recognizer, this.replace, { keepLength: true });
      out.push(this.plain.write(header));
    }
    return part.length;
  }
}

/** The sum of a header's bytes, its own field taken as blanks. */
function isHeader(header: Buffer): boolean {
  const stated = Number.parseInt(
    header
      .toString('latin1', 148, 156)
      .replace(/[\0 ]+$/, '')
      .trim(),
    8,
  );
  let sum = 8 * 0x20;
  for (const [i, byte] of header.entries()) if (i < 148 || i >= 156) sum += byte;
  return stated === sum;
}

/** Octal digits, or (GNU) a binary number marked by the first bit. */
function sizeOf(header: Buffer): number {
  const field = header.subarray(124, 136);
  if ((field[0]! & 0x80) !== 0) {
    const size = field.readUIntBE(6, 6);
    if (field[0] !== 0x80 || field.subarray(1, 6).some((byte) => byte !== 0))
      throw unreadable('a file in an archive is too large');
    return size;
  }
  const digits = field
    .toString('latin1')
    .replace(/[\0 ]+$/, '')
    .trim();
  if (!/^[0-7]{0,11}$/.test(digits)) throw unreadable('a header in an archive cannot be read');
  return digits === '' ? 0 : Number.parseInt(digits, 8);
}
