import type { Plain } from './plain.ts';

/** ASCII in UTF-16 of either order: every second byte is zero. A line's first zero belongs to the line feed before it. */
const WIDE = /(?:\0[\x09-\x7e]){4,}|(?:[\x09-\x7e]\0){4,}/g;

export const holdsWide = (raw: string): boolean => raw.includes('\0');

/** A text without the zeros of UTF-16: what is written in it reads as it does in ASCII. */
export function narrowed(raw: string): Plain {
  const origins: { readonly at: number; readonly origin: number }[] = [];
  let text = '';
  let from = 0;
  for (const { 0: run, index } of raw.matchAll(WIDE)) {
    text += raw.slice(from, index);
    origins.push({ at: text.length, origin: run[0] === '\0' ? index + 1 : index });
    text += run.replaceAll('\0', '');
    from = index + run.length;
    origins.push({ at: text.length, origin: -from });
  }
  if (from === 0) return { text: raw, origin: (at) => at };
  text += raw.slice(from);
  return { text, origin: (at) => originOf(origins, at) };
}

/** @param origins where runs begin, and (negative) where they end */
function originOf(origins: readonly { readonly at: number; readonly origin: number }[], at: number): number {
  let low = -1;
  let high = origins.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (origins[middle]!.at <= at) low = middle;
    else high = middle - 1;
  }
  if (low === -1) return at;
  const { at: start, origin } = origins[low]!;
  return origin < 0 ? at - start - origin : origin + 2 * (at - start);
}

/** Whether a range of a raw text is in UTF-16. */
export const isWide = (raw: string): boolean => raw.length > 2 && raw[1] === '\0' && raw[0] !== '\0';

/** ASCII as it is written between the zeros that stand around it. */
export const widened = (text: string): string => [...text].join('\0');
