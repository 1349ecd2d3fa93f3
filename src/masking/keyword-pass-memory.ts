/** Stretches of a piece that are read side by side. */
export const STRETCHES = 4;

/** Bytes that are read in one pass. */
export const PIECE = 16_384;
/** No state may depend on more bytes than that. */
export const MOST_EARLY = 256;

/** Where the pass has what: addresses in its memory. Below: where each stretch's list ends. */
export const CLASSES = 0x400;
/** What a first state depends on stands before it. */
export const TEXT = 0x800;
/** Eight bytes for each of the text, rounded up to whole stretches. */
export const LISTS = 0x8000;
export const TABLES = 0x40000;
export const MEMORY_PAGES = 64;
export const MEMORY_BYTES: number = MEMORY_PAGES * 0x10000;
