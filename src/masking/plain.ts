import { withoutAnsi } from './ansi.ts';
import { holdsWide, narrowed } from './utf16.ts';

/** A text without what stands between its characters, and where each of them stood. */
export interface Plain {
  readonly text: string;
  /** Offset in the original of the character at an offset of `text`; of its end for `text.length`. */
  origin(at: number): number;
}

/** A text as it is read: without a terminal's sequences and the zeros of UTF-16. */
export function plainText(raw: string): Plain {
  if (!holdsWide(raw)) return withoutAnsi(raw);
  const narrow = narrowed(raw);
  const plain = withoutAnsi(narrow.text);
  return plain.text === narrow.text ? narrow : { text: plain.text, origin: (at) => narrow.origin(plain.origin(at)) };
}
