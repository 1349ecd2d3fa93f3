/** Bytes of one: four TLS records, which leave as one write. */
export const PASSING = 64 * 1024;
/** Of those that nobody uses so many are kept, four megabytes in all. */
const MOST_KEPT = 64;

const kept: Buffer[] = [];

/**
 * Memory for what is on its way to a client, used again and again. Made anew for each write it would be garbage that V8 does
 * not see on its heap, and memory that no cache of the processor holds yet.
 */
export function takeBuffer(): Buffer {
  return kept.pop() ?? Buffer.allocUnsafeSlow(PASSING);
}

/** Only what nobody can write from any more: after its write has been called back without an error. */
export function giveBack(buffer: Buffer): void {
  if (kept.length < MOST_KEPT) kept.push(buffer);
}
