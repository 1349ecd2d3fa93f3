import { isLuhn, isMod97 } from './checksum.ts';
import type { Detector } from './detector.ts';
import { begins, isAddress, isUpper } from './keyword-check.ts';

const digitsOf = (text: string): string => text.replace(/[^0-9]/g, '');

/** The first digits of the networks (ISO/IEC 7812) with the lengths they issue. */
function isCard(text: string): boolean {
  const digits = digitsOf(text);
  if (!isLuhn(digits) || /^(\d)\1+$/.test(digits)) return false;
  const n = digits.length;
  if (/^4/.test(digits)) return n === 13 || n === 16 || n === 19;
  if (/^3[47]/.test(digits)) return n === 15;
  if (/^(?:5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720)/.test(digits)) return n === 16;
  if (/^3(?:0[0-5]|[689])/.test(digits)) return n === 14 || n === 16;
  if (/^(?:6011|64[4-9]|65|62|35(?:2[89]|[3-8])|81)/.test(digits)) return n >= 16 && n <= 19;
  return /^(?:50|5[6-9]|6)/.test(digits) && n >= 16 && n <= 19;
}

/** Lengths by country (the IBAN registry). */
const IBAN_LENGTHS: Readonly<Record<string, number>> = {
  ...{ AD: 24, AE: 23, AL: 28, AT: 20, AZ: 28, BA: 20, BE: 16, BG: 22, BH: 22, BR: 29, BY: 28, CH: 21, CR: 22, CY: 28 },
  ...{ CZ: 24, DE: 22, DK: 18, DO: 28, EE: 20, EG: 29, ES: 24, FI: 18, FO: 18, FR: 27, GB: 22, GE: 22, GI: 23, GL: 18 },
  ...{ GR: 27, GT: 28, HR: 21, HU: 28, IE: 22, IL: 23, IQ: 23, IS: 26, IT: 27, JO: 30, KW: 30, KZ: 20, LB: 28, LC: 32 },
  ...{ LI: 21, LT: 20, LU: 20, LV: 21, MC: 27, MD: 24, ME: 22, MK: 19, MR: 27, MT: 31, MU: 30, NL: 18, NO: 15, PK: 24 },
  ...{ PL: 28, PS: 29, PT: 25, QA: 29, RO: 24, RS: 22, SA: 24, SE: 24, SI: 19, SK: 24, SM: 27, TN: 24, TR: 26, UA: 29 },
  ...{ VA: 22, VG: 24, XK: 20 },
};

/** The length in `text` of the IBAN it begins with, or 0. */
export function ibanLength(text: string): number {
  const want = IBAN_LENGTHS[text.slice(0, 2)];
  if (want === undefined) return 0;
  let compact = '';
  let at = 0;
  for (; at < text.length && compact.length < want; at++) {
    const char = text[at]!;
    if (char === ' ' && compact.length % 4 === 0) continue;
    if (!/[A-Z0-9]/.test(char)) return 0;
    compact += char;
  }
  if (compact.length < want || /[A-Za-z0-9]/.test(text[at] ?? '')) return 0;
  return isMod97(compact) ? at : 0;
}

const COUNTRY_CODES =
  /^(?:1|7|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]|2[1-689]\d|3[578]\d|42\d|5[09]\d|6[789]\d|8[05789]\d|9[679]\d)/;

function isInternational(text: string): boolean {
  const digits = digitsOf(text);
  return digits.length >= 9 && digits.length <= 15 && COUNTRY_CODES.test(digits);
}

const NANP = '[2-9][0-9]{2}';

/** Personal data and payment: recognised by structure and checksum, masked where a rule asks for these families. */
export const PERSONAL_KINDS: readonly Detector[] = [
  {
    kind: 'credit-card',
    family: 'payment-cards',
    keywords: ['0000000000000', '0000 0000', '0000-0000', '0000 000000', '0000-000000'],
    check: begins,
    pattern: /(?:\d{13,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{1,7}|\d{4}([ -])\d{6}\2\d{4,5})(?![A-Za-z0-9]|[.-]\d)/y,
    accept: isCard,
  },
  {
    kind: 'iban',
    family: 'bank-accounts',
    keywords: Object.keys(IBAN_LENGTHS).map((country) => `${country.toLowerCase()}00`),
    check: isUpper,
    pattern: /[A-Z]{2}\d{2}(?: ?[A-Z0-9]{1,4}){3,8}/y,
  },
  {
    kind: 'ssn',
    family: 'personal-data',
    keywords: ['000-00-0000'],
    pattern: /(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![A-Za-z0-9]|-\d)/y,
  },
  {
    kind: 'phone',
    family: 'personal-data',
    keywords: ['+0'],
    pattern: /\+\d{1,3}(?:[ .-]?\(?\d{1,5}\)?){1,6}(?![A-Za-z0-9]|[.:]\d)/y,
    accept: isInternational,
  },
  {
    kind: 'phone',
    family: 'personal-data',
    keywords: ['(000) 000-0000', '(000)000-0000', '000-000-0000', '000.000.0000'],
    pattern: new RegExp(`(?:\\(${NANP}\\) ?${NANP}-\\d{4}|${NANP}([.-])${NANP}\\1\\d{4})(?![A-Za-z0-9]|[.-]\\d)`, 'y'),
  },
  {
    kind: 'email',
    family: 'personal-data',
    keywords: ['@'],
    check: isAddress,
    inside: /[A-Za-z0-9._%+-]/,
    pattern:
      /[A-Za-z0-9_][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})\.){1,6}[A-Za-z]{2,24}(?![A-Za-z0-9:-]|\.[A-Za-z])/y,
  },
];
