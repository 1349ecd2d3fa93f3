/** Bytes that lie here unused at most. */
const MOST_KEPT = 16 << 20;
/** Smaller ones come from node's own slab, and cost nothing. */
const SMALL = 8 << 10;

/**
 * Buffers that are used again. A stream that is recorded, a list that is masked would else allocate several times their bytes, and
 * V8 marks its whole heap for some ten megabytes of them.
 */
export class BufferPool {
  readonly #free: Buffer[] = [];
  #kept = 0;

  /** @returns so many bytes, with whatever is in them */
  take(size: number): Buffer {
    if (size < SMALL) return Buffer.allocUnsafe(size);
    const index = this.#free.findIndex((buffer) => buffer.length >= size);
    if (index === -1) return Buffer.allocUnsafeSlow(2 ** Math.ceil(Math.log2(size))).subarray(0, size);
    const [buffer] = this.#free.splice(index, 1);
    this.#kept -= buffer!.length;
    return buffer!.subarray(0, size);
  }

  /** What was taken is needed no more, by anyone. */
  give(taken: Buffer): void {
    if (taken.length < SMALL) return;
    const buffer = Buffer.from(taken.buffer);
    if (this.#kept + buffer.length > MOST_KEPT) return;
    this.#kept += buffer.length;
    this.#free.push(buffer);
  }
}

/** Of this thread: what goes to the spool's files, and what comes from them; objects that are being masked. */
export const pool = new BufferPool();
