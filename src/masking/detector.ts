import type { KeywordCheck } from './keyword-check.ts';

export type Family =
  | 'credentials'
  | 'private-keys'
  | 'tokens-by-name'
  | 'payment-cards'
  | 'bank-accounts'
  | 'personal-data';

export const FAMILIES: readonly Family[] = [
  ...(['credentials', 'private-keys', 'tokens-by-name', 'payment-cards', 'bank-accounts', 'personal-data'] as const),
];

/** What is looked for where no rule says otherwise: credentials, not personal data. */
export const DEFAULT_FAMILIES: readonly Family[] = ['credentials', 'private-keys', 'tokens-by-name'];

/** A kind recognised by its own form. */
export interface Detector {
  readonly kind: string;
  readonly family: Family;
  /** Any of these must be there before the expression is tried; `0` stands for a digit, case does not matter. */
  readonly keywords: readonly string[];
  /** Sticky, tried where the keyword begins (or where its token begins, with `inside`). Group 1, if any, is the secret. */
  readonly pattern: RegExp;
  /** The keyword stands inside: the token begins at the first of these characters to its left. */
  readonly inside?: RegExp;
  /** May follow a letter or digit. */
  readonly anywhere?: boolean;
  /** What must hold around a keyword, where that is not simply that a token begins with it. */
  readonly check?: KeywordCheck;
  readonly accept?: (value: string) => boolean;
}
