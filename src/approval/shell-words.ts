import { escapeLine } from '../errors.ts';

/**
 * One argument as a POSIX shell would take it. Where it holds characters that must not reach a terminal, they are written
 * as `\u{…}` within `$'…'`, backslashes doubled, so that it cannot be mistaken for an argument that spells the same.
 */
export function shellWord(word: string): string {
  if (/^[A-Za-z0-9_@%+=:,./-]+$/.test(word)) return word;
  const escaped = escapeLine(word);
  if (escaped === word) return `'${word.replaceAll("'", "'\\''")}'`;
  return `$'${escapeLine(word.replaceAll('\\', '\\\\').replaceAll("'", "\\'"))}'`;
}

/** argv, each element quoted by itself. */
export function shellWords(words: readonly string[]): string {
  return words.map(shellWord).join(' ');
}
