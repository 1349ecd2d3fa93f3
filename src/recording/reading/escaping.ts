import { escapeLine } from '../../errors.ts';

/** What steers a terminal, reorders a line or is not seen; the same set as `escapeLine` of src/errors.ts. */
const HARMFUL = /[\p{Cc}\p{Cs}\p{Default_Ignorable_Code_Point}\u2028\u2029\u202a-\u202e\ufff9-\ufffb]/gu;

/** JSON in which every harmful character is a `\u` escape: the same value to whoever parses it, and harmless to whoever looks. */
export function harmlessJSON(value: unknown): string {
  return JSON.stringify(value).replace(HARMFUL, (character) => {
    let escaped = '';
    for (let index = 0; index < character.length; index += 1) {
      escaped += `\\u${character.charCodeAt(index).toString(16).padStart(4, '0')}`;
    }
    return escaped;
  });
}

/** Text of several lines: each escaped by itself, tabs as spaces. */
export function harmlessLines(text: string): string {
  return text
    .split('\n')
    .map((line) => escapeLine(line.replace(/\r$/, '').replaceAll('\t', '    ')))
    .join('\n');
}
