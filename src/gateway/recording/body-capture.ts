import { isUtf8 } from 'node:buffer';
import { createHash, type Hash, hash } from 'node:crypto';
import { encodeData, type RecordedBody } from '../../recording/line.ts';

/** Keeps the beginning of a body as it passes, its length, and the SHA-256 of all of it where that is more. */
export class BodyCapture {
  readonly #contentType: string;
  readonly #most: number;
  readonly #kept: Buffer[] = [];
  #keptBytes = 0;
  #bytes = 0;
  /** Made when the body turns out to be longer than what is kept. */
  #digest: Hash | undefined;

  /** @param most bytes that are kept; 0: none */
  constructor(contentType: string, most: number) {
    this.#contentType = contentType;
    this.#most = most;
  }

  /** @param chunk of which what is kept is not changed afterwards by anyone: see `wants` */
  add(chunk: Buffer): void {
    this.#bytes += chunk.length;
    if (this.#digest === undefined && this.#bytes > this.#most) {
      this.#digest = createHash('sha256');
      for (const piece of this.#kept) this.#digest.update(piece);
    }
    this.#digest?.update(chunk);
    if (this.#keptBytes >= this.#most) return;
    const piece = chunk.subarray(0, this.#most - this.#keptBytes);
    this.#keptBytes += piece.length;
    this.#kept.push(piece);
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Whether it keeps a part of what comes next. */
  get wants(): boolean {
    return this.#keptBytes < this.#most;
  }

  /** Bytes that are kept. */
  get kept(): number {
    return this.#keptBytes;
  }

  done(): RecordedBody {
    const kept = this.#kept.length === 1 ? this.#kept[0]! : Buffer.concat(this.#kept);
    const truncated = this.#bytes > kept.length;
    const contentType = this.#contentType.slice(0, 200);
    const bytes = this.#bytes;
    if (kept.length > 0 && !truncated) {
      const { data, encoding } = encodeData(kept, isUtf8(kept));
      // Most requests have this one: nothing is spread.
      return encoding === undefined ? { contentType, bytes, data } : { contentType, bytes, data, encoding };
    }
    const sha256 = this.#digest?.digest('hex') ?? hash('sha256', kept, 'hex');
    const whole = { contentType, bytes, sha256, ...(truncated && { truncated }) };
    if (kept.length === 0) return whole;
    const text = wholeCharacters(kept);
    return { ...whole, ...encodeData(text, isUtf8(text)) };
  }
}

/** Without the first bytes of a character that was cut. */
function wholeCharacters(bytes: Buffer): Buffer {
  for (let cut = 0; cut < Math.min(4, bytes.length); cut += 1) {
    const at = bytes.length - 1 - cut;
    const byte = bytes[at]!;
    if (byte < 0x80) return bytes.subarray(0, at + 1);
    if (byte >= 0xc0) {
      const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
      return cut + 1 >= length ? bytes : bytes.subarray(0, at);
    }
  }
  return bytes;
}
