import type { Finding } from './finding.ts';
import { readJsonString } from './json-string.ts';
import { isEscaped } from './line-form.ts';

/** Characters of a string that is read as a text of its own. */
const MAX_STRING = 65_536;

/**
 * Looks into strings of JSON that hold lines, as a log of JSON lines quotes a manifest or a file: inside they are a text.
 * @param text whole lines @param look finds in a text
 * @returns where that stands in the text itself
 */
export function findInWrittenOut(text: string, look: (inner: string) => readonly Finding[]): Finding[] {
  const found: Finding[] = [];
  const bytes = Buffer.from(text, 'latin1');
  let next = text.indexOf('\\n');
  while (next !== -1) {
    const lineStart = text.lastIndexOf('\n', next) + 1;
    const lineFeed = text.indexOf('\n', next);
    const lineEnd = lineFeed === -1 ? text.length : lineFeed;
    // Whatever stands between two quotes may be a string: one too many before them does not matter.
    let open = -1;
    for (
      let quote = text.indexOf('"', lineStart);
      quote !== -1 && quote < lineEnd;
      quote = text.indexOf('"', quote + 1)
    ) {
      if (isEscaped(bytes, quote, lineStart)) continue;
      if (open !== -1 && next < quote && quote - open <= MAX_STRING) found.push(...within(text, open + 1, quote, look));
      open = quote;
      if (next < open) next = text.indexOf('\\n', open);
      if (next === -1) return found;
    }
    next = text.indexOf('\\n', lineEnd);
  }
  return found;
}

function within(text: string, start: number, end: number, look: (inner: string) => readonly Finding[]): Finding[] {
  const raw = text.slice(start, end);
  const inner = readOrNothing(raw);
  if (inner === undefined) return [];
  const origins = originsOf(raw);
  if (origins.length !== inner.length + 1) return [];
  return look(inner).map((finding) => ({
    ...finding,
    start: start + origins[finding.start]!,
    end: start + origins[finding.end]!,
    open: false,
  }));
}

function readOrNothing(raw: string): string | undefined {
  try {
    return readJsonString(raw);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** For each character that is read, and for the end, where it is written. */
function originsOf(raw: string): number[] {
  const origins: number[] = [];
  let at = 0;
  while (at < raw.length) {
    let written = 1;
    let read = 1;
    if (raw[at] === '\\') {
      written = raw[at + 1] === 'u' ? 6 : 2;
      if (written === 6) {
        const unit = Number.parseInt(raw.slice(at + 2, at + 6), 16);
        read = unit < 0x80 ? 1 : unit < 0x800 ? 2 : 3;
        const isPair = unit >= 0xd800 && unit < 0xdc00 && /^\\u[dD][c-fC-F]/.test(raw.slice(at + 6, at + 9));
        if (isPair) [written, read] = [12, 4];
      }
    }
    for (let i = 0; i < read; i++) origins.push(at);
    at += written;
  }
  origins.push(raw.length);
  return origins;
}
