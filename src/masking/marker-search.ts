import { findMarkers, LONGEST_NEEDLE } from './marker.ts';

/** Looks for placeholders in a stream of bytes, in any encoding that `findMarkers` knows, wherever the stream is cut. */
export class MarkerSearch {
  #tail = Buffer.alloc(0);

  /** Whether a placeholder ends in this chunk, or stands in it. */
  finds(chunk: Uint8Array): boolean {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    const seam = Buffer.concat([this.#tail, bytes.subarray(0, LONGEST_NEEDLE - 1)]);
    if (findMarkers(bytes).length > 0 || findMarkers(seam).length > 0) return true;
    const end = bytes.length >= LONGEST_NEEDLE ? bytes : Buffer.concat([this.#tail, bytes]);
    this.#tail = Buffer.from(end.subarray(Math.max(0, end.length - LONGEST_NEEDLE + 1)));
    return false;
  }
}
