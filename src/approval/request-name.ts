/** Crockford's base32 in lower case: no i, l, o, u, so that a name can be read out over a telephone. */
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';

/**
 * `ar-` and ten characters of a digest, to which a counter comes. A prefix only finds requests: 50 bits can be made to
 * collide, so whoever looks one up compares the whole digest.
 * @param digest 64 hexadecimal digits
 */
export function namePrefix(digest: string): string {
  if (!/^[0-9a-f]{64}$/.test(digest)) throw new TypeError('not a digest');
  let bits = BigInt(`0x${digest.slice(0, 13)}`) >> 2n;
  let text = '';
  for (let i = 0; i < 10; i++) {
    text = ALPHABET[Number(bits & 31n)]! + text;
    bits >>= 5n;
  }
  return `ar-${text}-`;
}

/** @param counter from 1 */
export function requestName(digest: string, counter: number): string {
  return namePrefix(digest) + counter;
}

/** The counter of a name with this prefix; 0 for every other name. */
export function counterOf(name: string, prefix: string): number {
  if (!name.startsWith(prefix)) return 0;
  const rest = name.slice(prefix.length);
  return /^[1-9]\d{0,8}$/.test(rest) ? Number(rest) : 0;
}
