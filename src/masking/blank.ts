/**
 * White space of a text of which each character is one byte. JavaScript's own (`\s`, `trim`) takes 0xA0 for a space, which in UTF-8 is
 * the second half of à, Š or Р: what they are used for ends a secret in the middle of such a letter, and shows the rest of it.
 */
export function trimmedEnd(text: string): string {
  let end = text.length;
  while (end > 0 && isBlankCode(text.charCodeAt(end - 1))) end--;
  return end === text.length ? text : text.slice(0, end);
}

export function isBlank(text: string): boolean {
  return blanksBefore(text) === text.length;
}

/** How many characters of white space a text begins with. */
export function blanksBefore(text: string): number {
  let at = 0;
  while (at < text.length && isBlankCode(text.charCodeAt(at))) at++;
  return at;
}

function isBlankCode(code: number): boolean {
  return code === 0x20 || (code >= 0x09 && code <= 0x0d);
}
