/** Stretches of a piece that are read side by side. */
export const STRETCHES = 4;

/** Bytes that are read in one pass. */
export const PIECE = 16_384;
/** No state may depend on more bytes than that. */
export const MOST_EARLY = 256;

/** Where the pass has what: addresses in its memory. Below: where each stretch's list ends. */
export const CLASSES = 0x400;
/** The first stretch; before each stands what its first state depends on. */
export const TEXT = 0x800;
/** From one stretch to the next. */
export const STRIDE: number = PIECE / STRETCHES + MOST_EARLY;
/** Of each stretch: eight bytes for each of its own. */
export const LISTS = 0x8000;
export const LIST_STRIDE: number = (PIECE / STRETCHES) * 8;
/** Rows of states in which no keyword ends. */
export const ROWS = 0x40000;
/** Rows of those in which one does: this bit in an address says so. */
export const ENDING = 0x800000;
export const MEMORY_BYTES = 0x1000000;
