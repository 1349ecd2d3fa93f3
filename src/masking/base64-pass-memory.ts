/** Bytes that are read in one pass. */
export const PIECE = 16_384;

/** Where the pass has what: addresses in its memory. */
export const TEXT = 0x400;
/** Eight bytes for each run: none has fewer than sixteen, and one more lies between two. */
export const RUNS = 0x8000;
export const MEMORY_BYTES = 0x10000;
