import { isObject, type Json } from '../../request/json.ts';
import { holdsAnyMarker, MARKER } from '../marker.ts';
import { readRelease } from './helm-release.ts';

/** A whole placeholder. What a rule shows of a value's end follows it. */
export const PLACEHOLDER = /sallyport\.masked\.[a-z2-7]{26}/g;

/**
 * Whether a text holds a placeholder, or a part of one, in any encoding: as it is, in base64 at any offset, in UTF-16, in a Helm
 * release.
 */
export function holdsPlaceholder(text: string): boolean {
  if (text.includes(MARKER)) return true;
  // Shorter than what base64 makes of the marker's fixed part.
  if (text.length < MARKER.length + 4) return false;
  if (holdsAnyMarker(text)) return true;
  const release = readRelease(text);
  if (release !== undefined) return treeHoldsPlaceholder(release);
  // Base64 in lines, or with an alphabet for URLs, and base64 of base64.
  if (text.length > MAX_DECODED || !/^[A-Za-z0-9+/_=\s-]+$/.test(text)) return false;
  // Both alphabets are read as one.
  return holdsAnyMarker(Buffer.from(text, 'base64').toString('latin1'));
}

const MAX_DECODED = 1 << 20;

/** Of the marker in base64 so many characters stand in a row that it alone decides, letters and digits all; in base64 of that more. */
const MAY_BE_ENCODED = /[A-Za-z0-9]{22}|\0/;

/** As `holdsPlaceholder`, for what has no lines: most names are too short for base64 of the marker, and nothing is decoded. */
export function lineHoldsPlaceholder(text: string): boolean {
  return text.includes(MARKER) || (MAY_BE_ENCODED.test(text) && holdsPlaceholder(text));
}

/** Placeholders in the strings of a value, decoded where they stand in base64; without repetitions. */
export function placeholdersIn(value: Json, found: Set<string> = new Set()): Set<string> {
  if (typeof value === 'string') {
    for (const [text] of value.matchAll(PLACEHOLDER)) found.add(text);
    if (!value.includes(MARKER) && holdsPlaceholder(value)) {
      for (const [text] of Buffer.from(value, 'base64').toString('latin1').matchAll(PLACEHOLDER)) found.add(text);
    }
  } else if (Array.isArray(value)) for (const item of value) placeholdersIn(item, found);
  else if (isObject(value)) for (const member of value.values()) placeholdersIn(member, found);
  return found;
}

/** Whether any name or string of a value holds one. */
export function treeHoldsPlaceholder(value: Json): boolean {
  if (typeof value === 'string') return holdsPlaceholder(value);
  if (Array.isArray(value)) return value.some(treeHoldsPlaceholder);
  if (!isObject(value)) return false;
  for (const [name, member] of value) if (name.includes(MARKER) || treeHoldsPlaceholder(member)) return true;
  return false;
}
