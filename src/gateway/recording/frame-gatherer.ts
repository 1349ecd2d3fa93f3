import { isUtf8 } from 'node:buffer';
import { encodeData, type FrameChannel, type FrameLine } from '../../recording/line.ts';
import { timestampOf } from '../../recording/timestamp.ts';
import { rounded } from './event-fields.ts';

/** Bytes of one frame: a line that is longer would wait for itself. */
export const FRAME_BYTES = 64 << 10;
/** Bytes that wait for the lines before them; more are appended at once, to leave with the same write. */
const MOST_GATHERED = 256 << 10;
/** Milliseconds from the first piece of a frame to its last: by so much its time is exact. */
export const FRAME_SPAN = 5;
/** What a frame takes beside its data, about. */
const AROUND = 200;

export interface FrameGathererOptions {
  readonly auditID: string;
  /** Of the clock that never jumps, when the request was received. */
  readonly startedAt: number;
  /** Keeps lines; resolves when they are kept. */
  readonly keep: (lines: readonly FrameLine[], size: number) => Promise<void>;
}

const scratch = Buffer.alloc(FRAME_BYTES);

/** Good until the next call: what becomes of it is a string. */
function joined(pieces: readonly Buffer[]): Buffer {
  let size = 0;
  for (const piece of pieces) size += piece.copy(scratch, size);
  return scratch.subarray(0, size);
}

interface Piece {
  readonly channel: FrameChannel;
  readonly at: number;
  readonly bytes: Buffer[];
  size: number;
}

/**
 * Makes frames of what passes: pieces of one channel that follow each other within a few milliseconds are one frame. Nothing
 * waits to be gathered: lines leave with the turn of the event loop, or, while others are being written, right behind them.
 */
export class FrameGatherer {
  readonly #options: FrameGathererOptions;
  #pieces: Piece[] = [];
  #size = 0;
  #gathered: PromiseWithResolvers<void> | undefined;
  #scheduled = false;
  #writing = 0;
  /** Resolves when all that was given is kept, or could not be. */
  #settled: Promise<unknown> = Promise.resolve();

  constructor(options: FrameGathererOptions) {
    this.#options = options;
  }

  /** Takes a piece of a stream, which nobody changes any more. @returns when it is kept */
  add(channel: FrameChannel, chunk: Buffer): Promise<void> {
    const at = performance.now();
    const last = this.#pieces.at(-1);
    if (last?.channel === channel && at - last.at <= FRAME_SPAN && last.size + chunk.length <= FRAME_BYTES) {
      last.bytes.push(chunk);
      last.size += chunk.length;
    } else {
      this.#pieces.push({ channel, at, bytes: [chunk], size: chunk.length });
    }
    this.#size += chunk.length;
    this.#gathered ??= Promise.withResolvers<void>();
    const { promise } = this.#gathered;
    if (this.#size >= MOST_GATHERED) this.#leave();
    else if (this.#writing === 0 && !this.#scheduled) {
      this.#scheduled = true;
      setImmediate(() => {
        this.#scheduled = false;
        this.#leave();
      });
    }
    return promise;
  }

  /** Everything that was given is kept, or could not be: what is appended from here on stands behind it. */
  async settle(): Promise<void> {
    this.#leave();
    await this.#settled;
  }

  #leave(): void {
    const gathered = this.#gathered;
    if (gathered === undefined) return;
    const pieces = this.#pieces;
    const size = this.#size;
    this.#pieces = [];
    this.#size = 0;
    this.#gathered = undefined;
    this.#writing += 1;
    const lines = pieces.flatMap((piece) => this.#lines(piece));
    const kept = this.#options.keep(lines, size + lines.length * AROUND);
    const settled = kept.then(gathered.resolve, gathered.reject).then(() => {
      this.#writing -= 1;
      if (this.#writing === 0) this.#leave();
    });
    // Whoever gave a piece is told; where nobody waits, a failure is no uncaught one.
    gathered.promise.catch(() => {});
    this.#settled = Promise.all([this.#settled, settled]);
  }

  #lines({ channel, at, bytes }: Piece): FrameLine[] {
    const whole = bytes.length === 1 ? bytes[0]! : joined(bytes);
    const { auditID, startedAt } = this.#options;
    const time = timestampOf(Date.now() - (performance.now() - at));
    const elapsed = rounded(at - startedAt);
    const lines: FrameLine[] = [];
    for (let from = 0; from < whole.length; from += FRAME_BYTES) {
      const piece = whole.subarray(from, from + FRAME_BYTES);
      // In JSON a NUL takes six bytes, in base64 less than two; and text has none.
      const isText = !piece.includes(0) && isUtf8(piece);
      lines.push({ kind: 'Frame', auditID, time, elapsed, channel, ...encodeData(piece, isText) });
    }
    return lines;
  }
}
