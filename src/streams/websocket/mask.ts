import { randomFillSync } from 'node:crypto';
import { endianness } from 'node:os';

const LITTLE_ENDIAN = endianness() === 'LE';

/**
 * XORs `bytes` with the masking key in place (RFC 6455, 5.3; the same operation masks and unmasks).
 * `phase` is how many bytes of the frame's payload came before: a payload arrives in pieces.
 */
export function maskInPlace(bytes: Uint8Array, key: Uint8Array, phase: number): void {
  const length = bytes.length;
  let index = 0;
  // Bytes up to the next multiple of four of the underlying memory, so that the rest goes in 32-bit words.
  const head = Math.min(length, (4 - (bytes.byteOffset & 3)) & 3);
  for (; index < head; index++) bytes[index]! ^= key[(phase + index) & 3]!;

  const words = (length - index) >>> 2;
  if (words > 0) {
    const k0 = key[(phase + index) & 3]!;
    const k1 = key[(phase + index + 1) & 3]!;
    const k2 = key[(phase + index + 2) & 3]!;
    const k3 = key[(phase + index + 3) & 3]!;
    const word = LITTLE_ENDIAN ? k0 | (k1 << 8) | (k2 << 16) | (k3 << 24) : (k0 << 24) | (k1 << 16) | (k2 << 8) | k3;
    const view = new Int32Array(bytes.buffer, bytes.byteOffset + index, words);
    for (let at = 0; at < words; at++) view[at]! ^= word;
    index += words << 2;
  }
  for (; index < length; index++) bytes[index]! ^= key[(phase + index) & 3]!;
}

const POOL_BYTES = 4096;
const pool = Buffer.alloc(POOL_BYTES);
let used = POOL_BYTES;

/** A fresh unpredictable masking key (RFC 6455, 5.3); drawn in batches, because one call per frame costs more than the frame. */
export function freshMaskingKey(): Buffer {
  if (used === POOL_BYTES) {
    randomFillSync(pool);
    used = 0;
  }
  const key = Buffer.from(pool.subarray(used, used + 4));
  used += 4;
  return key;
}
