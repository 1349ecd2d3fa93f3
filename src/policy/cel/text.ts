import type { Budget } from './budget.ts';

/**
 * CEL counts and orders strings by code point, JavaScript by UTF-16 unit. These bridge the two; most strings have no
 * surrogates and take the short way.
 */
const SURROGATE = /[\ud800-\udfff]/;

export const hasSurrogates = (s: string): boolean => SURROGATE.test(s);

/** Length in code points. */
export function codePointLength(s: string, budget?: Budget): number {
  if (s.length > 64) budget?.burn(s.length >> 6);
  if (!SURROGATE.test(s)) return s.length;
  let length = s.length;
  for (let i = 0; i < s.length - 1; i++) {
    if ((s.charCodeAt(i) & 0xfc00) === 0xd800 && (s.charCodeAt(i + 1) & 0xfc00) === 0xdc00) {
      length--;
      i++;
    }
  }
  return length;
}

export const codePoints = (s: string): string[] => Array.from(s);

/** Length in bytes of UTF-8. */
export const byteLength = (s: string): number => Buffer.byteLength(s, 'utf8');

/** Order by code point: -1, 0 or 1. A unit of a pair (0xD800…) stands for more than 0xE000…0xFFFF do. */
export function compareStrings(a: string, b: string, budget?: Budget): number {
  if (a === b) return 0;
  const length = Math.min(a.length, b.length);
  let i = 0;
  while (i < length && a.charCodeAt(i) === b.charCodeAt(i)) i++;
  if (i > 64) budget?.burn(i >> 6);
  if (i === length) return a.length < b.length ? -1 : 1;
  const x = a.charCodeAt(i);
  const y = b.charCodeAt(i);
  return rank(x) < rank(y) ? -1 : 1;
}

const rank = (unit: number): number => (unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit);
