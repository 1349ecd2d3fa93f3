import { collector } from '../heap.ts';

/** Bytes of buffers that may become garbage before the young generation is swept. */
const SWEEP_EVERY = 8 << 20;

let sinceSweep = 0;
let collect: ReturnType<typeof collector> | undefined;

/**
 * Tells of buffers that have been passed on. V8 counts their few bytes on its heap and sees no need to sweep, until
 * tens of megabytes outside of it make it mark the whole heap, old objects too: that costs a 50 MB list a third of its
 * CPU time, and its memory. A sweep of the young generation alone takes a millisecond and frees all of them.
 */
export function passedOn(bytes: number): void {
  sinceSweep += bytes;
  if (sinceSweep < SWEEP_EVERY) return;
  sinceSweep = 0;
  collect ??= collector();
  collect({ type: 'minor' });
}
